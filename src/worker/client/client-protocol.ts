/**
 * What a client connection needs of the wire protocol of its pool. Data plane. `redis/` and
 * `memcache/` implement it.
 */

import type { RequestParser } from '../../protocol/parser.ts'
import type { Client } from './client.ts'

/**
 * What a client has told the protocol about itself, and has open: a transaction, a blocking
 * command, subscriptions.
 */
export interface ClientSession {
  /** True while nothing in it changes what a request means. See `Client.updateFastPath`. */
  readonly allowsFastPath: boolean
  /**
   * True while the server may never answer a request of the client: a shutdown does not wait for
   * the reply.
   */
  readonly mayNeverReply: boolean
  /**
   * True while `client_idle_timeout` does not apply: the client waits for messages or for a
   * blocking command.
   */
  readonly mayBeSilent: boolean
  /** Keys or channels may belong to other servers from now on. */
  ringChanged(): void
  /** Ends what is open: the client has disconnected. */
  end(): void
}

export interface ClientProtocol {
  newRequestParser(): RequestParser
  /**
   * Handles the complete request that `parser` found in buf. Every request gets exactly one reply,
   * in order, or none where the protocol says so. The handler may postpone it instead
   * (`Client.postpone`).
   */
  request(client: Client, parser: RequestParser, buf: Uint8Array): void
  /**
   * The server that an incomplete large request can be sent to already.
   * @returns its index, or -1 when the request must be complete first (its key is not known yet, it
   * is split, it is rejected …).
   */
  streamTarget(client: Client, parser: RequestParser, buf: Uint8Array): number
  /** `Message.tag` of such a request. */
  uploadTag(parser: RequestParser): number
  /**
   * Answers a malformed request at [start, end).
   * @returns where the next request begins, or -1 when that is unknown: the client is closed after
   * the replies due.
   */
  malformed(client: Client, parser: RequestParser, buf: Uint8Array, start: number, end: number): number
  /** The pool has a new configuration, which may change what the client is allowed to do. */
  configured(client: Client): void
  /** Reply to a request above `max_message_bytes`, before the close. */
  readonly tooLarge: Uint8Array
  /** Reply to a client above `client_connections`, before the close. */
  readonly tooManyClients: Uint8Array
}
