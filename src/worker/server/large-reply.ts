/**
 * A large reply on its way from a server connection to its client, in pieces. Data plane; exists while the reply arrives.
 *
 *     sized-reply.ts    its size is known: a bulk string                          passes once the client awaits nothing before it
 *     large-list.ts     its size is not known before its end: a list              passes if the client awaits nothing before it
 *     large-part.ts     the list that answers one fragment of a split request     its values go to the `JoinedStream`
 *
 * A client that takes the reply slowly makes the worker stop reading the server connection. Where no other client awaits a reply
 * there, it may take its time, and the connection is parked: new requests use another one. Otherwise the connection is not read for
 * `GRACE_MS` in all, then the reply gathers in memory up to the client's hard limit, then the connection is not read for
 * `SLOW_PATIENCE_MS` in all, and then the worker closes the client.
 */

import type { ReplyParser } from '../../protocol/parser.ts'
import type { PoolConfig } from '../../shared/config.ts'
import type { Socket } from '../io/socket.ts'
import type { FailureCode } from '../request/failure.ts'
import type { Message } from '../request/message.ts'
import type { ReplySource, ReplyTarget } from '../request/reply-target.ts'
import type { WorkerScope } from '../request/worker-scope.ts'
import { receiverOf } from './request-queue.ts'
import type { ServerHealth } from './server-health.ts'
import type { Tally } from './tally.ts'

/** The worker stops reading the server when this many bytes wait for a client that takes a large reply slowly. */
export const PAUSE_BYTES = 1_048_576
/** Other clients wait for one slow client no longer than this in all, for one reply, ms. @testOnly */
export const SLOW_PATIENCE_MS = 1_000
/**
 * Other clients wait this long in all, for one reply, before the rest of it is read into memory, ms. Most clients take
 * what they asked for at once (GET of 16 MiB, 20 clients, 4 servers: 189 MB resident at the peak and 12.5 ms of CPU
 * each without, 92 and 9.3 with).
 * @testOnly
 */
export const GRACE_MS = 100

/** The server (`Server`) as far as large replies need it. */
export interface LargeReplyServer {
  readonly pool: {
    readonly config: PoolConfig
    readonly context: WorkerScope
    readonly protocol: { newReplyParser(resp3: boolean): ReplyParser; readonly replyTooLarge: Uint8Array }
  }
  readonly health: ServerHealth
  /** New requests use other connections. @returns false when too many connections are parked. */
  park(connection: LargeReplyConnection): boolean
  /** Undoes `park`. */
  unpark(connection: LargeReplyConnection): void
  countTooLarge(bytes: number): void
}

/** The replies that arrive on the connection (`ReplyInput`). */
export interface LargeReplyInput {
  /** The large reply that is arriving; null = none. */
  large: LargeReply | null
  readonly parser: ReplyParser
  /** The parser in the middle of a reply. The input has a new one from then on. */
  detachParser(): ReplyParser
  /** The reply that the tail begins with may pass now. */
  passTail(): void
}

/** The connection (`ServerConnection`) that a large reply arrives on. The reply answers its `head`. */
export interface LargeReplyConnection {
  readonly server: LargeReplyServer
  readonly socket: Socket
  readonly input: LargeReplyInput
  readonly tally: Tally
  readonly head: Message | null
  readonly user: { readonly listens: boolean } | null
  readonly upload: object | null
  readonly resp3: boolean
  readonly isClosed: boolean
  progressMs: number
  unreadMs: number
  isAlone(client: ReplyTarget): boolean
  unlinkHead(message: Message): void
  /** To be called when the queue is empty. */
  idle(): void
  fail(failure: FailureCode): void
}

export abstract class LargeReply implements ReplySource {
  protected readonly connection: LargeReplyConnection
  /** The worker does not read the connection, because the client takes the reply slowly or awaits other replies first. */
  paused = false
  /** While paused: `Turn.nowMs` up to which `connection.unreadMs` counts the pause. */
  private countedMs = 0
  /** Time that requests behind this reply may still lose to its client, ms. */
  private patienceMs = SLOW_PATIENCE_MS
  /** While paused and other clients wait: `Turn.nowMs` when that time is over. 0 = otherwise. */
  private patienceEndsMs = 0
  /** What is left of `GRACE_MS`, and while it runs, `Turn.nowMs` when it is over. 0 = it does not run. */
  private graceMs = GRACE_MS
  private graceEndsMs = 0

  constructor(connection: LargeReplyConnection) {
    this.connection = connection
  }

  /**
   * Takes the next bytes of the reply from [start, end) of buf, valid during the call.
   * @returns the place after those that belong to it; -1 when the connection is closed.
   */
  abstract consume(buf: Uint8Array, start: number, end: number): number

  /** The connection closes in the middle of the reply. */
  abstract abandon(): void

  /** @returns true when a paused reply may go on. @param client its receiver; null = closed. */
  protected isReady(client: ReplyTarget | null): boolean {
    if (client === null) return true
    return this.patienceEndsMs > 0 && client.socket.unwrittenBytes * 2 <= client.hardLimitBytes
  }

  /** Bytes that the worker keeps for a client that does not take the reply, for the log. */
  protected keptBytes(client: ReplyTarget): number {
    return client.socket.unwrittenBytes
  }

  /** The coarse timer's look at the client, while the reply is paused. */
  check(nowMs: number): void {
    if (!this.paused) return
    this.countUnread(nowMs)
    const client = receiverOf(this.connection.head!)
    if (this.graceEndsMs > 0) {
      if (nowMs < this.graceEndsMs) return
      this.graceMs = 0
      this.graceEndsMs = 0
      if (client?.source === this) client.source = null
      this.resume()
    } else if (this.isReady(client)) {
      if (client?.source === this) client.source = null
      this.resume()
    } else if (this.patienceEndsMs > 0 && nowMs >= this.patienceEndsMs) {
      client?.closeSlow(this.keptBytes(client))
      this.resume()
    }
  }

  /**
   * The client does not take the reply as fast as it comes. Where no other client waits on this connection, the
   * connection waits for it. Otherwise the connection waits for the rest of `GRACE_MS`, and is then read until the
   * client's hard limit is reached.
   */
  protected holdBack(client: ReplyTarget): void {
    const { connection } = this
    if (client.keepsLargeReplies && client.socket.pendingBytes < client.hardLimitBytes) return
    const alone = connection.isAlone(client) && connection.server.park(connection)
    if (alone || client.socket.pendingBytes >= client.hardLimitBytes) {
      client.source = this
      this.pause(client, alone)
    } else if (this.graceMs > 0) {
      client.source = this
      this.pauseForGrace()
    }
  }

  /**
   * Stops reading until the client is ready.
   * @param alone requests of other clients use other connections, and the client may take its time. Otherwise they wait
   * behind the reply, and the worker closes the client after `SLOW_PATIENCE_MS`.
   */
  protected pause(client: ReplyTarget, alone: boolean): void {
    const { head, server } = this.connection
    this.stopReading()
    // The client's next requests would use another connection too, and overtake those that wait here.
    if (alone && head!.serverNext !== null) client.waitForReplies()
    if (!alone) this.patienceEndsMs = server.pool.context.turn.nowMs + this.patienceMs
    client.watchWrites()
  }

  /** Stops reading for what is left of `GRACE_MS`, if anything is. */
  protected pauseForGrace(): void {
    if (this.graceMs === 0) return
    this.stopReading()
    this.graceEndsMs = this.connection.server.pool.context.turn.nowMs + this.graceMs
  }

  protected stopReading(): void {
    this.paused = true
    this.countedMs = this.connection.server.pool.context.turn.nowMs
    this.connection.socket.readStop()
  }

  private countUnread(nowMs: number): void {
    this.connection.unreadMs += nowMs - this.countedMs
    this.countedMs = nowMs
  }

  /** Called when the client has taken what waited or is closed, or when the reply's turn has come. */
  resume(): void {
    if (this.paused && !this.connection.isClosed) this.readOn()
  }

  /** Reads the connection again. The reply must be paused. */
  readOn(): void {
    const { connection } = this
    const { nowMs } = connection.server.pool.context.turn
    if (this.patienceEndsMs > 0) this.patienceMs = Math.max(0, this.patienceEndsMs - nowMs)
    this.patienceEndsMs = 0
    if (this.graceEndsMs > 0) this.graceMs = Math.max(0, this.graceEndsMs - nowMs)
    this.graceEndsMs = 0
    this.countUnread(nowMs)
    this.paused = false
    connection.progressMs = nowMs
    connection.socket.readStart()
  }
}
