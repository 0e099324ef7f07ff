/** What a client connection asks of the wire protocol that its pool speaks. Data plane. `redis/` and `memcache/` implement it. */

import type { RequestParser } from '../../protocol/parser.ts'
import type { Client } from './client.ts'

/** What a client has told the protocol about itself, and has open: a transaction, a blocking command, subscriptions. */
export interface ClientSession {
  /** True while nothing in it changes what a request means. See `Client.updateFastPath`. */
  readonly allowsFastPath: boolean
  /** True while the server may never answer a request of the client: a shutdown does not wait for the reply. */
  readonly mayNeverReply: boolean
  /** True while `client_idle_timeout` does not apply: the client waits for messages or for a blocking command. */
  readonly mayBeSilent: boolean
  /** Keys or channels may belong to other servers from now on. */
  ringChanged(): void
  /** The client is gone. */
  leave(): void
}

export interface ClientProtocol {
  newRequestParser(): RequestParser
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
  /** The pool's configuration has changed: what the client may do may have changed with it. */
  configured(client: Client): void
  /** Reply to a request above `max_message_bytes`, before the close. */
  readonly tooLarge: Uint8Array
  /** What a client above `client_connections` is told before the close. */
  readonly tooManyClients: Uint8Array
}
