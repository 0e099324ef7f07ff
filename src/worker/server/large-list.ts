/** A large reply that is a list, whose size is known at its end only. Data plane. */

import { LF } from '../../bytes/ascii.ts'
import { Failure } from '../request/failure.ts'
import { MessageKind } from '../request/message.ts'
import { CloseReason, type ReplyTarget } from '../request/reply-target.ts'
import { LargeReply, type LargeReplyConnection, PAUSE_BYTES } from './large-reply.ts'
import { ReplyRest, Rest } from './reply-rest.ts'
import { receiverOf } from './request-queue.ts'
import { finish } from './sized-reply.ts'

/**
 * Begins to pass on a large list if its client awaits nothing before it.
 * @param start where the reply begins in buf; [start, end) goes out.
 * @returns false when it must be gathered.
 */
export function beginList(connection: LargeReplyConnection, buf: Uint8Array, start: number, end: number): boolean {
  const { head: message, input, socket } = connection
  if (message === null || message.kind !== MessageKind.forward || message.tag !== 0) return false
  if (connection.user !== null || connection.upload !== null) return false
  if (connection.server.pool.config.maxMessageBytes > 0) return false
  const client = receiverOf(message)
  if (client !== null && client.head !== message) return false
  client?.beginStream(input.parser.need)
  const rest = new ReplyRest(socket.turn.memory.tails, input.detachParser(), buf, start, end)
  const list = new LargeList(connection, rest)
  input.large = list
  list.pass(client, buf, start, end)
  return true
}

class LargeList extends LargeReply {
  private readonly rest: ReplyRest
  /** Bytes that have passed. */
  private passedBytes = 0

  constructor(connection: LargeReplyConnection, rest: ReplyRest) {
    super(connection)
    this.rest = rest
  }

  /** Passes on bytes after which more are to come. */
  pass(client: ReplyTarget | null, buf: Uint8Array, start: number, end: number): void {
    this.write(client, buf, start, end)
    if (client !== null && client.socket.pendingBytes >= PAUSE_BYTES) this.holdBack(client)
  }

  private write(client: ReplyTarget | null, buf: Uint8Array, start: number, end: number): void {
    this.passedBytes += end - start
    client?.socket.writeThrough(buf, start, end)
  }

  override consume(buf: Uint8Array, start: number, end: number): number {
    const { connection } = this
    const message = connection.head!
    const client = receiverOf(message)
    const place = this.rest.consume(buf, start, end)
    if (place === Rest.malformed || (place > 0 && buf[place - 1] !== LF)) {
      connection.fail(Failure.invalid)
      return -1
    }
    if (place < 0) {
      this.pass(client, buf, start, end)
      return end
    }
    this.write(client, buf, start, place)
    connection.input.large = null
    if (client !== null) connection.tally.addReply(this.passedBytes)
    finish(connection, message, client)
    if (connection.isClosed) return -1
    if (connection.head === null && place === end) connection.idle()
    return connection.isClosed ? -1 : place
  }

  override abandon(): void {
    // The client has a part of the reply.
    receiverOf(this.connection.head!)?.close(CloseReason.error)
    this.rest.close()
  }
}
