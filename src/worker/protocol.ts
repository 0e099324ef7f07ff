/**
 * The seam between the worker's path and a wire protocol. Data plane. `redis-protocol.ts` and `memcache-protocol.ts` implement it; everything else in the
 * worker speaks of messages, fragments and replies only.
 */

import type { ParsedCode } from '../protocol/parser.ts'
import type { Client } from './client/client.ts'
import type { Message } from './request/message.ts'
import type { ServerConnection } from './server/server-connection.ts'

/** Finds one request; resumable. See `protocol/redis/request-parser.ts`. */
export interface RequestParser {
  start: number
  end: number
  /** After `incomplete`: bytes that the request needs in total, at least; 0 = unknown. */
  need: number
  /**
   * After `incomplete`: the parser never looks at bytes before this place again, so they may be passed on and forgotten. `parse` then goes
   * on with a `start` that lies before the buffer (negative) by the bytes that are gone.
   */
  safe: number
  parse(buf: Uint8Array, start: number, end: number): ParsedCode
  /** @param on the sender has not authenticated: it may say little. Until `reset`. */
  restrict(on: boolean): void
  reset(): void
}

/** Finds one reply; resumable. */
export interface ReplyParser {
  start: number
  end: number
  need: number
  /** After `incomplete`: `need` is the exact size of the reply, which is one value and ends in CR LF. */
  exact: boolean
  /** After `incomplete`, from `start`: where the value that is being read ends (0 = a line is read), and where that value or line begins. */
  readonly valueEnd: number
  readonly tokenStart: number
  /** After `incomplete` within a value: its bytes have gone by up to `valueEnd`. @returns true when the reply is whole. */
  skipValue(): boolean
  parse(buf: Uint8Array, start: number, end: number): ParsedCode
  reset(): void
}

/** What a client has under way beyond single requests: a transaction, a blocking command, subscriptions. */
export interface ClientSession {
  /** A request of its is answered whenever the server likes: nothing waits for it, and the client may leave before. */
  readonly endless: boolean
  /** It may be silent for as long as it likes. */
  readonly listening: boolean
  /** Keys or channels may belong to other servers from now on. */
  ringChanged(): void
  /** The client is gone. */
  leave(): void
}

/** What becomes of a server's reply. */
export const Verdict = {
  /** It goes to the client. */
  pass: 0,
  /** The request is answered, with nothing (a quiet command's success). */
  drop: 1,
  /** It goes to the client, and the server's failure counts. */
  passAndCount: 2,
  /** The connection is closed as broken; its requests fail. */
  broken: 3,
  /** It answered several requests, each of which has its part by now. */
  handled: 4,
} as const

export interface Protocol {
  newRequestParser(): RequestParser
  /** @param resp3 the connection speaks RESP3. */
  newReplyParser(resp3: boolean): ReplyParser
  /** Handles the complete request that `parser` found in buf. It ends in exactly one reply, in order, or in none by the protocol's rules. */
  request(client: Client, parser: RequestParser, buf: Uint8Array): void
  /**
   * Where an incomplete large request may go before it is whole.
   * @returns the index of its server, or -1 when it must be complete first (its key is not known yet, it is split, it is refused …).
   */
  streamTarget(client: Client, parser: RequestParser, buf: Uint8Array): number
  /** The tag of such a request's message. */
  uploadTag(parser: RequestParser): number
  /**
   * Answers a malformed request at [start, end).
   * @returns where to go on, or -1 when the stream is out of step: the client is closed after the replies due.
   */
  malformed(client: Client, parser: RequestParser, buf: Uint8Array, start: number, end: number): number
  /** Looks at a reply that begins with `-`, or whose message has a tag, before it is delivered. */
  inspect(connection: ServerConnection, message: Message, buf: Uint8Array, start: number, end: number): number
  /** Queues what a new server connection must say first (AUTH, SELECT). */
  greet(connection: ServerConnection): void
  /** Reply of the proxy for each `Failure`. */
  readonly failureReplies: readonly Uint8Array[]
  /** Reply to a request above `max_message_bytes`, before the close. */
  readonly tooLarge: Uint8Array
  /** Reply in place of one above `max_message_bytes`. */
  readonly replyTooLarge: Uint8Array
  /** Reply to a request whose server has `server_queue_bytes` waiting already. */
  readonly queueFull: Uint8Array
  /** What a client above `client_connections` is told before the close. */
  readonly tooManyClients: Uint8Array
}
