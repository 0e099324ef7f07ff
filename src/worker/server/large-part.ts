/**
 * A large reply to one fragment of a split request. It is cut at the ends of the values, which go to the `JoinedStream`
 * that puts the whole reply together. Data plane.
 */

import type { ValueScanner } from '../../protocol/parser.ts'
import { fragmentDone } from '../request/delivery.ts'
import { Failure } from '../request/failure.ts'
import { JoinedStream } from '../request/joined-stream.ts'
import type { Message } from '../request/message.ts'
import type { ReplyTarget } from '../request/reply-target.ts'
import { LargeReply, type LargeReplyConnection, PAUSE_BYTES } from './large-reply.ts'

/**
 * Begins to pass on a large reply to a fragment where its values can go out one by one.
 * @returns the place of its first value in buf, or -1 when it must be gathered.
 */
export function beginPart(connection: LargeReplyConnection, buf: Uint8Array, start: number, end: number): number {
  const { head: fragment, input } = connection
  const split = fragment === null ? null : fragment.split
  if (fragment === null || split === null || fragment.expired || split.failed) return -1
  // A reply above `max_message_bytes` must be seen as a whole before a part of it is out.
  if (connection.server.pool.config.maxMessageBytes > 0) return -1
  const { streaming } = split.joiner
  if (streaming === undefined || connection.user !== null || connection.upload !== null) return -1
  const first = streaming.firstValue(split, fragment, buf, start, end)
  if (first < 0) return -1
  const stream = (split.stream as JoinedStream | null) ?? new JoinedStream(split, streaming)
  split.stream = stream
  const scanner = streaming.newScanner(fragment.keys)
  const part = new LargePart(connection, fragment, stream, scanner)
  input.large = part
  input.parser.reset()
  stream.open(fragment, part)
  return first
}

class LargePart extends LargeReply {
  private readonly fragment: Message
  private readonly stream: JoinedStream
  private readonly scanner: ValueScanner
  /** Bytes that have passed. */
  private passedBytes = 0

  constructor(connection: LargeReplyConnection, fragment: Message, stream: JoinedStream, scanner: ValueScanner) {
    super(connection)
    this.fragment = fragment
    this.stream = stream
    this.scanner = scanner
  }

  override consume(buf: Uint8Array, start: number, end: number): number {
    const { connection, fragment, scanner } = this
    const stop = this.scan(buf, start, end)
    if (stop < 0) connection.fail(Failure.invalid)
    // A failed fragment may have closed its client, and the client other connections.
    if (connection.isClosed) return -1
    if (!scanner.done) {
      const client = this.stream.receiver
      if (client !== null) this.pauseForTurn(client)
      return stop
    }
    connection.input.large = null
    connection.unlinkHead(fragment)
    connection.server.unpark(connection)
    connection.server.health.countSuccess()
    connection.tally.addReply(this.passedBytes)
    fragmentDone(fragment.split!)
    if (connection.isClosed) return -1
    if (connection.head === null && stop === end) connection.idle()
    return connection.isClosed ? -1 : stop
  }

  /** Gives the values to the stream. @returns the place after the reply's bytes; a negative number when they are malformed. */
  private scan(buf: Uint8Array, start: number, end: number): number {
    const { scanner, stream, fragment } = this
    let at = start
    while (at < end && !scanner.done) {
      const next = scanner.step(buf, at, end)
      if (next < 0) return next
      stream.put(fragment, buf, at, next, scanner.endsValue)
      at = next
    }
    this.passedBytes += at - start
    return at
  }

  /** The client is slow, or values of other fragments come first: the connection waits where no other client waits on it. */
  private pauseForTurn(client: ReplyTarget): void {
    const { connection, fragment, stream } = this
    if (stream.isTurnOf(fragment)) {
      if (client.socket.pendingBytes >= PAUSE_BYTES) this.holdBack(client)
    } else if (stream.keptBytesOf(fragment) >= PAUSE_BYTES) {
      if (connection.isAlone(client) && connection.server.park(connection)) {
        this.stopReading()
        if (fragment.serverNext !== null) client.waitForReplies()
      } else {
        this.pauseForGrace()
      }
    }
  }

  /** Nothing: with the fragment its request fails, and that closes the client if a part of the reply is out. */
  override abandon(): void {}
}
