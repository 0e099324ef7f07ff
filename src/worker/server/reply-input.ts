/**
 * What arrives on a server connection, cut into replies. Data plane.
 *
 *     bytes ─▶ parser ─▶ complete: `answer`
 *                    ├─▶ incomplete: the tail keeps it until the rest is here
 *                    ├─▶ large: passes on in pieces (`large-reply.ts`)
 *                    └─▶ above `max_message_bytes`: an error is the answer, and the rest is dropped as it comes
 */

import { Parsed, type ReplyParser } from '../../protocol/parser.ts'
import { OWNED_CHUNK_BYTES } from '../io/output.ts'
import type { Tail } from '../memory/tail.ts'
import { Failure } from '../request/failure.ts'
import { STREAM_BYTES } from '../request/stream-limits.ts'
import { beginList } from './large-list.ts'
import { beginPart } from './large-part.ts'
import type { LargeReply, LargeReplyConnection } from './large-reply.ts'
import { ReplyRest, Rest } from './reply-rest.ts'
import { beginSized } from './sized-reply.ts'

/** The connection (`ServerConnection`) that the replies answer. */
export interface InputConnection extends LargeReplyConnection {
  /** Pairs the reply [start, end) with the oldest request. @returns false when the connection is closed. */
  answer(buf: Uint8Array, start: number, end: number, owned: boolean): boolean
}

export class ReplyInput {
  private readonly connection: InputConnection
  /** During `ServerProtocol.inspect` it stands at the reply that is looked at. */
  parser: ReplyParser
  /** The beginning of a reply, until the rest is here. null = there is none. */
  private tail: Tail | null = null
  /** The large reply that is arriving. null = there is none. */
  large: LargeReply | null = null
  /** The rest of a reply that was too large, and is answered. null = there is none. */
  private refused: ReplyRest | null = null

  constructor(connection: InputConnection) {
    this.connection = connection
    this.parser = connection.server.pool.protocol.newReplyParser(connection.resp3)
  }

  /** Takes [0, length) of buf, valid during the call. */
  consume(buf: Uint8Array, length: number): void {
    const { connection } = this
    let at = 0
    if (this.refused !== null) {
      at = this.refused.consume(buf, 0, length)
      if (at === Rest.malformed) connection.fail(Failure.invalid)
      if (at < 0) return
      this.refused = null
      if (at === length && connection.head === null) connection.idle()
    }
    if (this.large !== null) {
      at = this.large.consume(buf, at, length)
      if (at < 0) return
    }
    while (this.tail !== null && at < length) {
      at += this.tail.fill(buf, at, length, this.parser.need)
      this.parseTail()
      if (connection.isClosed) return
    }
    if (at < length) this.parse(buf, at, length)
  }

  /** Answers requests with the replies in [start, end); the beginning of another goes to a tail. */
  private parse(buf: Uint8Array, start: number, end: number): void {
    const { connection, parser } = this
    let at = start
    while (at < end) {
      const code = parser.parse(buf, at, end)
      if (code !== Parsed.complete) {
        if (code === Parsed.error) connection.fail(Failure.invalid)
        else this.begin(buf, at, end)
        return
      }
      if (!connection.answer(buf, at, parser.end, false)) return
      at = parser.end
    }
    if (connection.head === null) connection.idle()
  }

  /** [start, end) is the beginning of a reply. */
  private begin(buf: Uint8Array, start: number, end: number): void {
    const { connection, parser } = this
    if (this.refuses(parser.need, end - start)) {
      this.refuseRest(buf, start, end)
      return
    }
    if (parser.need >= STREAM_BYTES && this.beginLarge(buf, start, end)) return
    if (connection.head === null && connection.user === null) {
      // The beginning of a reply that no request awaits: what comes next must not be taken for its end.
      connection.fail(Failure.invalid)
      return
    }
    this.tail = connection.socket.turn.memory.tails.acquire()
    this.tail.fill(buf, start, end, parser.need)
  }

  /** A large reply begins with [start, end) of buf: passes it on. @returns false when it must be gathered. */
  private beginLarge(buf: Uint8Array, start: number, end: number): boolean {
    const { connection, parser } = this
    if (parser.exact) {
      if (this.large !== null || !beginSized(connection, parser.need)) return false
      this.continueLarge(buf, start, end)
      return true
    }
    const first = beginPart(connection, buf, start, end)
    if (first >= 0) {
      this.continueLarge(buf, first, end)
      return true
    }
    return beginList(connection, buf, start, end)
  }

  private continueLarge(buf: Uint8Array, start: number, end: number): void {
    this.large?.consume(buf, start, end)
  }

  /** Parses what the tail has. Releases the tail when nothing incomplete remains in it. */
  private parseTail(): void {
    const tail = this.tail!
    const { connection, parser } = this
    let at = 0
    while (at < tail.length) {
      const code = parser.parse(tail.buf, at, tail.length)
      if (code !== Parsed.complete) {
        if (code === Parsed.error) connection.fail(Failure.invalid)
        else this.beginInTail(tail, at)
        return
      }
      if (this.large !== null) {
        // The reply waited for its turn, and is complete already: it is kept like any early reply.
        this.large.readOn()
        this.large = null
      }
      // A large reply that has the buffer to itself takes the buffer along.
      const owned = at === 0 && parser.end === tail.length && tail.length > OWNED_CHUNK_BYTES
      const { end } = parser
      const refused = this.refuses(0, end - at)
      if (!(refused ? this.refuse(end - at) : connection.answer(tail.buf, at, end, owned))) return
      at = end
      if (owned) tail.detachBuffer()
    }
    this.tail = null
    tail.release()
    if (connection.head === null) connection.idle()
  }

  /** What the tail has from `at` on is the beginning of a reply. */
  private beginInTail(tail: Tail, at: number): void {
    const { connection, parser } = this
    if (connection.head === null && connection.user === null) {
      connection.fail(Failure.invalid)
      return
    }
    if (this.refuses(parser.need, tail.length - at)) {
      this.tail = null
      this.refuseRest(tail.buf, at, tail.length)
      tail.release()
      return
    }
    if (parser.need >= STREAM_BYTES && this.beginLargeInTail(tail, at)) return
    if (at > 0) tail.skip(at)
  }

  private beginLargeInTail(tail: Tail, at: number): boolean {
    // Passing on may close the connection, which releases the tail that it has.
    this.tail = null
    if (this.beginLarge(tail.buf, at, tail.length)) {
      tail.release()
      return true
    }
    this.tail = tail
    return false
  }

  /** The reply that the tail begins with waited for its turn, and may pass now. For `AwaitedReply` alone. */
  passTail(): void {
    this.beginLargeInTail(this.tail!, 0)
  }

  /** @returns the parser, in the middle of a reply, for a `ReplyRest`. The next reply is parsed by a new one. */
  detachParser(): ReplyParser {
    const { parser, connection } = this
    this.parser = connection.server.pool.protocol.newReplyParser(connection.resp3)
    return parser
  }

  /**
   * @param needBytes size of the reply that the parser stands in, as far as it is known.
   * @param hereBytes bytes of it that are here.
   * @returns true when it is larger than the pool allows.
   */
  private refuses(needBytes: number, hereBytes: number): boolean {
    const { server, head, user } = this.connection
    const { maxMessageBytes } = server.pool.config
    if (maxMessageBytes === 0 || head === null || user?.listens) return false
    // `get` requests that share a line share its reply.
    return Math.max(needBytes, hereBytes) > maxMessageBytes * (head.joined + 1)
  }

  /** Answers the oldest request with an error in place of the reply that begins with [start, end); the rest is dropped as it comes. */
  private refuseRest(buf: Uint8Array, start: number, end: number): void {
    const bytes = Math.max(this.parser.need, end - start)
    const { tails } = this.connection.socket.turn.memory
    this.refused = new ReplyRest(tails, this.detachParser(), buf, start, end)
    this.refuse(bytes)
  }

  /** Answers the oldest request with an error in place of a reply of this size. @returns false when the connection is closed. */
  private refuse(bytes: number): boolean {
    const { server } = this.connection
    const line = server.pool.protocol.replyTooLarge
    server.countTooLarge(bytes)
    this.parser.parse(line, 0, line.length)
    return this.connection.answer(line, 0, line.length, false)
  }

  /** A large reply is gathered in memory. */
  get gathersLarge(): boolean {
    return this.tail !== null && this.parser.need >= STREAM_BYTES && this.refused === null
  }

  /** The beginning of a reply is here. */
  get isIncomplete(): boolean {
    return this.tail !== null
  }

  /** What the beginning of a reply takes, bytes. */
  get tailBytes(): number {
    return this.tail === null ? 0 : this.tail.buf.length
  }

  /** The connection closes: a client that has a part of a reply is closed too. */
  abandonLarge(): void {
    const { large } = this
    this.large = null
    large?.abandon()
  }

  /** The connection is closed. */
  close(): void {
    this.tail?.release()
    this.tail = null
    this.refused?.close()
    this.refused = null
  }
}
