/**
 * A large request on its way through: its body goes to a server connection of its own, piece by piece as it arrives, so that it is never
 * in memory as a whole and a slow sender holds up nobody. Data plane.
 *
 *     client ─▶ [ head │ body … ] ─▶ bulk connection of the key's server          the client's later requests wait for the reply
 *               └ parsed as usual; bytes that the parser is done with are passed on and forgotten
 *
 * It begins when the client has nothing else under way, so the order of its requests holds. `client.ts` owns it; the connection knows it
 * until it is sent whole, answered early, or broken. From then on what still arrives of the body is dropped.
 */

import { Parsed, type ParsedCode, type RequestParser } from '../../protocol/parser.ts'
import type { Tail } from '../memory/tail.ts'
import { type Message, MessageKind } from '../request/message.ts'
import type { RequestStream } from '../server/request-stream.ts'
import type { ServerConnection } from '../server/server-connection.ts'
import type { Client } from './client.ts'

export class Upload implements RequestStream {
  readonly client: Client
  /** When the last bytes came, or reading was paused: Turn.nowMs. */
  activeMs = 0
  /** The server is not taking the body: the client is not read. */
  paused = false
  /** After `complete`: how many of the last bytes given belong to the next request. */
  surplusBytes = 0
  private readonly parser: RequestParser
  private readonly connection: ServerConnection
  /** Bytes of the request that are gone: passed on, or dropped. */
  private passedBytes = 0
  /** Bytes that the parser still needs: at most a piece of a line. */
  private tail: Tail | null = null

  /** @param bytes size of the request as far as it is known. */
  constructor(client: Client, parser: RequestParser, connection: ServerConnection, bytes: number) {
    this.client = client
    this.parser = parser
    this.connection = connection
    const message: Message = client.messages.acquire(client, MessageKind.forward)
    message.tag = client.poolClients.protocol.uploadTag(parser)
    client.push(message)
    connection.enqueueUpload(message, bytes, this)
  }

  /** Takes the request's next bytes, [start, end) of buf. @returns the parser's code. */
  take(buf: Uint8Array, start: number, end: number): ParsedCode {
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
    // The request's first byte lies before the buffer, by as much as has gone.
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
    // What the kernel does not take at once waits here, two reads' worth at most: more would only lie in memory. What lies in a slab alone is
    // written at the end of the turn, and if all of it goes out no `onDrain` tells of it.
    if (socket.queuedBytes === 0) return
    this.paused = true
    this.client.socket.readStop()
  }

  /** The server took what waited. */
  resume(): void {
    if (!this.paused) return
    this.paused = false
    this.activeMs = this.client.socket.turn.nowMs
    this.client.socket.readStart()
  }

  /** The request has gone whole: the reply's timeout begins. */
  finish(): void {
    if (this.connection.upload === this) this.connection.uploaded(this.passedBytes)
    this.resume()
  }

  /** Ends an upload that will not be whole: half a request must not stay on a connection. */
  abandon(): void {
    if (this.tail !== null) {
      this.tail.release()
      this.tail = null
    }
    if (this.connection.upload === this) this.connection.abandonUpload()
  }
}
