/**
 * A large request that passes through: its body goes to a server connection of its own, piece by
 * piece as it arrives, so that it is never in memory as a whole, and a slow sender does not delay
 * other clients. Data plane.
 *
 *     client ─▶ [ head │ body … ] ─▶ bulk connection of the key's server          the client's later requests wait for the reply
 *               └ parsed as usual; bytes that the parser has done with are passed on and forgotten
 *
 * An upload begins when the client has nothing else in flight, so the order of its requests holds.
 * `client-upload.ts` begins it; the server connection refers to it until the request is sent whole,
 * answered early, or broken. The rest of the body is then dropped as it arrives.
 */

import { Parsed, type ParsedCode, type RequestParser } from '../../protocol/parser.ts'
import type { Tail } from '../memory/tail.ts'
import { type Message, MessageKind } from '../request/message.ts'
import type { ReplyTarget } from '../request/reply-target.ts'
import type { RequestStream } from '../server/request-stream.ts'
import type { ServerConnection } from '../server/server-connection.ts'

export class Upload implements RequestStream {
  readonly client: ReplyTarget
  /** `Turn.nowMs` of the last bytes, or of the pause. */
  activeMs = 0
  /** The server does not take the body, so the client is not read. */
  paused = false
  /** Once the request is complete: how many of the last bytes belong to the next request. */
  surplusBytes = 0
  private readonly parser: RequestParser
  private readonly connection: ServerConnection
  /** Bytes of the request that were passed on or dropped. */
  private passedBytes = 0
  /** Bytes that the parser still needs: at most a piece of a line. */
  private tail: Tail | null = null

  /** @param bytes size of the request as far as it is known. @param tag of its message. */
  constructor(client: ReplyTarget, parser: RequestParser, connection: ServerConnection, bytes: number, tag: number) {
    this.client = client
    this.parser = parser
    this.connection = connection
    const message: Message = client.messages.acquire(client, MessageKind.forward)
    message.tag = tag
    client.push(message)
    connection.enqueueUpload(message, bytes, this)
  }

  /** Passes on the request's next bytes, [start, end) of buf. @returns the parser's code. */
  consume(buf: Uint8Array, start: number, end: number): ParsedCode {
    this.activeMs = this.client.socket.turn.nowMs
    const { tail } = this
    if (tail === null) return this.pass(buf, start, end)
    this.tail = null
    tail.fill(buf, start, end, 0)
    const code = this.pass(tail.buf, 0, tail.length)
    tail.release()
    return code
  }

  private pass(buf: Uint8Array, start: number, end: number): ParsedCode {
    // The parser counts from the request's first byte, which lies `passedBytes` before the buffer.
    const code = this.parser.parse(buf, start - this.passedBytes, end)
    if (code === Parsed.error) return code
    const safe = code === Parsed.complete ? this.parser.end : this.parser.safe
    if (this.connection.upload === this) this.forward(buf, start, safe)
    this.passedBytes += safe - start
    if (code === Parsed.complete) {
      this.surplusBytes = end - safe
    } else if (safe < end) {
      this.tail = this.client.socket.turn.memory.tails.acquire()
      this.tail.fill(buf, safe, end, 0)
    }
    return code
  }

  private forward(buf: Uint8Array, start: number, end: number): void {
    const { socket } = this.connection
    socket.writeThrough(buf, start, end)
    // Bytes that the kernel does not take are queued, and the client pauses: at most two reads are
    // buffered. Bytes that lie in a slab only are written at the end of the turn; if the kernel
    // takes them all then, there is no `onDrain`, so they must not pause the client.
    if (socket.queuedBytes === 0) return
    this.paused = true
    this.client.socket.readStop()
  }

  /** The server has taken the queued bytes. */
  resume(): void {
    if (!this.paused) return
    this.paused = false
    this.activeMs = this.client.socket.turn.nowMs
    this.client.socket.readStart()
  }

  /** The request is sent whole: the timeout of its reply begins. */
  finish(): void {
    if (this.connection.upload === this) this.connection.uploaded(this.passedBytes)
    this.resume()
  }

  /**
   * Ends an upload whose rest will not come: the server connection closes, since half a request was
   * sent on it.
   */
  abandon(): void {
    if (this.tail !== null) {
      this.tail.release()
      this.tail = null
    }
    if (this.connection.upload === this) this.connection.abandonUpload()
  }
}
