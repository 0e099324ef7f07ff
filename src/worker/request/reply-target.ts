/**
 * What a reply on its way needs of its receiver, and of the receiver's pool. Data plane. `client/client.ts` is the one class that implements
 * it: the interface only keeps this room from importing the rooms above it, so it has what `delivery.ts` and the server connections call,
 * and nothing for a single command.
 */

import type { PoolConfig } from '../../shared/config.ts'
import type { Socket } from '../io/socket.ts'
import type { FailureCode } from './failure.ts'
import type { Message, MessagePool } from './message.ts'

/** How a closed client is counted: `client_eof`, `client_err`, or not at all. */
export const CloseReason = { eof: 0, error: 1, none: 2 } as const

/** What a wire protocol answers in place of a reply that does not come. */
export interface ReplyProtocol {
  /** Reply of the proxy for each `Failure`. */
  readonly failureReplies: readonly Uint8Array[]
}

/** Where a receiver's replies are counted, and what is answered where there is none. */
export interface ReplyPool {
  readonly config: PoolConfig
  /** This worker's statistics row, and the first of the pool's fields in it. */
  readonly row: Float64Array
  readonly statBase: number
  readonly protocol: ReplyProtocol
}

/** A server connection that is not read until a client takes a large reply. */
export interface ReplySource {
  resume(): void
}

export interface ReplyTarget {
  readonly pool: ReplyPool
  /** Records of the worker's requests. */
  readonly messages: MessagePool
  readonly socket: Socket
  /** Oldest message of the order queue: the next reply is its reply. */
  head: Message | null
  /** Newest one. */
  last: Message | null
  /** Bytes of replies that wait for their turn. */
  heldBytes: number
  /** The client speaks RESP3. */
  readonly resp3: boolean
  /** The server connections that serve it, see `server/connection-kind.ts`. */
  readonly connectionKind: number
  readonly closed: boolean
  /** The server connection that waits for this client to take a large reply. */
  source: ReplySource | null
  /** This many bytes of a large reply, and of what waits before it, may wait for the client. */
  readonly hardLimitBytes: number
  /** Large replies are not paused for the client's sake below that limit: it reads nothing until all it writes is read. */
  readonly keepsLargeReplies: boolean
  /** Appends a message to the order queue. */
  push(message: Message): void
  popHead(): void
  /** Learns the size of a reply. */
  noteReply(bytes: number): void
  /** Replies went out. */
  afterReplies(): void
  /** A reply of this size begins to pass through. */
  beginStream(bytes: number): void
  /** All of it has passed. */
  endStream(): void
  /** The next request waits until everything before it is answered. */
  waitForReplies(): void
  /** The coarse timer looks whether the client takes its replies. */
  watchWrites(): void
  /** The input that waited is looked at again. */
  resume(): void
  /** No reply can tell what became of a request: the replies up to `last`, if any, are the connection's last ones, and it is counted and logged. */
  loseServer(last: Message | null, failure: FailureCode): void
  /** @param bytes of a large reply that would have to be kept for the client, which does not take it. */
  closeSlow(bytes: number): void
  /** Closes at once. @param reason one of `CloseReason`. */
  close(reason: number): void
  /** Takes no more input, and closes once the replies due are written. @param reason one of `CloseReason`. */
  closeAfterReplies(reason: number): void
}
