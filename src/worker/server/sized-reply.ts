/** A large reply whose size its first line tells. Data plane. */

import { LF } from '../../bytes/ascii.ts'
import { emitReady } from '../request/delivery.ts'
import { Failure } from '../request/failure.ts'
import { type Message, MessageKind } from '../request/message.ts'
import { CloseReason, type ReplyTarget } from '../request/reply-target.ts'
import { LargeReply, type LargeReplyConnection, PAUSE_BYTES } from './large-reply.ts'
import { receiverOf } from './request-queue.ts'

/**
 * Begins to pass on the large reply that the parser stands in, or drops it as it arrives where its client is closed.
 * @param bytes its size.
 * @returns false when it must be gathered: its client awaits something else first, or it needs a look as a whole.
 */
export function beginSized(connection: LargeReplyConnection, bytes: number): boolean {
  const message = connection.head
  if (message === null || message.kind !== MessageKind.forward || message.tag !== 0) return false
  // A server that answers before it has the whole request is dealt with when its reply is whole.
  if (connection.upload !== null) return false
  const client = receiverOf(message)
  if (client !== null && client.head !== message) {
    if (client.heldBytes + bytes > client.hardLimitBytes) connection.input.large = new AwaitedReply(connection, client)
    return false
  }
  if (client !== null) {
    client.beginStream(bytes)
    connection.tally.addReply(bytes)
  }
  connection.input.parser.reset()
  connection.input.large = new SizedReply(connection, bytes)
  return true
}

class SizedReply extends LargeReply {
  /** Bytes that are still to come. */
  private leftBytes: number

  constructor(connection: LargeReplyConnection, bytes: number) {
    super(connection)
    this.leftBytes = bytes
  }

  override consume(buf: Uint8Array, start: number, end: number): number {
    const { connection } = this
    const message = connection.head!
    const client = receiverOf(message)
    const stop = end - start < this.leftBytes ? end : start + this.leftBytes
    this.leftBytes -= stop - start
    client?.socket.writeThrough(buf, start, stop)
    if (this.leftBytes > 0) {
      if (client !== null && client.socket.pendingBytes >= PAUSE_BYTES) this.holdBack(client)
      return stop
    }
    connection.input.large = null
    if (buf[stop - 1] !== LF) {
      // The reply was not what its first line said. The client has it already, and no reply can tell it so.
      client?.close(CloseReason.error)
      connection.fail(Failure.invalid)
      return -1
    }
    finish(connection, message, client)
    if (connection.isClosed) return -1
    if (connection.head === null) connection.idle()
    return connection.isClosed ? -1 : stop
  }

  override abandon(): void {
    // The client has a part of the reply.
    receiverOf(this.connection.head!)?.close(CloseReason.error)
  }
}

/**
 * A reply that goes to the tail as far as it is here, and is not read on until its client's earlier requests are
 * answered: with it the client would have more bytes waiting than its hard limit.
 */
class AwaitedReply extends LargeReply {
  constructor(connection: LargeReplyConnection, client: ReplyTarget) {
    super(connection)
    this.pause(client, connection.isAlone(client) && connection.server.park(connection))
  }

  /** Takes nothing: the tail does. */
  override consume(_buf: Uint8Array, start: number): number {
    return start
  }

  override abandon(): void {}

  protected override isReady(client: ReplyTarget | null): boolean {
    return client === null || client.head === this.connection.head
  }

  protected override keptBytes(): number {
    return this.connection.input.parser.need
  }

  override resume(): void {
    const { connection } = this
    if (!this.paused || connection.isClosed) return
    this.readOn()
    connection.input.large = null
    connection.input.passTail()
  }
}

/** The whole reply to `message` has passed. @param client null = it was dropped. */
export function finish(connection: LargeReplyConnection, message: Message, client: ReplyTarget | null): void {
  const { server } = connection
  connection.unlinkHead(message)
  server.unpark(connection)
  if (!message.expired) server.health.countSuccess()
  if (client !== null) {
    client.endStream()
    client.popHead()
    message.release()
    emitReady(client)
  } else if (message.client === null) {
    message.release()
  }
}
