/**
 * The requests of one server connection that await their replies. Data plane.
 *
 *     enqueue ─▶ [ head, message, message, last ]          first in, first answered: the next reply belongs to `head`
 *
 * A request that expired stays in the queue until its late reply has come and was dropped: so the later
 * replies still find their requests.
 *
 * `ServerConnection` extends this class, because the request path uses these fields for each request.
 */

import type { PoolConfig } from '../../shared/config.ts'
import type { Timer } from '../io/timer.ts'
import type { Turn } from '../io/turn.ts'
import { MESSAGE_BYTES } from '../memory/lent-memory.ts'
import type { deliverFailure } from '../request/delivery.ts'
import type { FailureCode } from '../request/failure.ts'
import { type Message, MessageKind } from '../request/message.ts'
import type { ReplyPool, ReplyTarget } from '../request/reply-target.ts'
import type { WorkerScope } from '../request/worker-scope.ts'
import type { RequestStream } from './request-stream.ts'
import { Tally, type TallySubject } from './tally.ts'

/**
 * Deadline of a request that has none. A small integer, so that V8 keeps the field unboxed; the loop's clock passes
 * it after 12.4 days, so compare with `===`.
 */
export const NEVER_MS = 0x3fff_ffff

/** The server (`Server`) as far as the queue needs it. */
export interface QueueServer extends TallySubject {
  readonly pool: ReplyPool & { readonly config: PoolConfig; readonly context: WorkerScope }
}

export class RequestQueue<ServerOfQueue extends QueueServer> {
  readonly server: ServerOfQueue
  /** Of the worker. Kept here because each request uses them. */
  private readonly turn: Turn
  private readonly timer: Timer
  /** Oldest request: the next reply answers it. null = the queue is empty. */
  head: Message | null = null
  /** Newest request. */
  private last: Message | null = null
  /** The request at the end of the queue, while it is being sent in pieces; null = none. */
  upload: RequestStream | null = null
  /** Counts the queue, and what was sent and answered, for the statistics. */
  readonly tally: Tally
  /** Requests in the queue that have expired. */
  expiredRequests = 0
  /** `Turn.nowMs` when the server last sent bytes, or when a request was queued while the queue was empty. */
  progressMs = 0
  /**
   * Time for which the worker did not read the connection because a client took a large reply slowly, ms in all.
   * Deadlines run on a clock that stands still meanwhile: `Turn.nowMs` less this.
   */
  unreadMs = 0

  constructor(server: ServerOfQueue) {
    const { timer, turn } = server.pool.context
    this.server = server
    this.turn = turn
    this.timer = timer
    this.tally = new Tally(server)
  }

  /**
   * Queues a message. The caller must append its bytes to the connection's socket right afterwards.
   * @param bytes size of the request on the wire.
   */
  enqueue(message: Message, bytes: number): void {
    message.requestBytes = bytes
    message.queued = true
    const { timeoutMs } = this.server.pool.config
    if (timeoutMs > 0) {
      message.deadlineMs = this.turn.nowMs - this.unreadMs + timeoutMs
      this.timer.arm()
    } else {
      // A reload may set a timeout: it applies to the requests that come after it.
      message.deadlineMs = NEVER_MS
    }
    if (this.last === null) {
      this.head = message
      this.progressMs = this.turn.nowMs
    } else {
      this.last.serverNext = message
    }
    this.last = message
    if (message.kind === MessageKind.internal) this.tally.addOwnRequest(bytes)
    else this.tally.addRequest(bytes)
  }

  /** Gives the request that was queued last more time. @param ms -1 = it never expires. */
  extendDeadline(ms: number): void {
    const message = this.last!
    // The clock itself passes NEVER_MS after 12 days.
    if (ms < 0 || ms > NEVER_MS || message.deadlineMs === NEVER_MS) message.deadlineMs = NEVER_MS
    else message.deadlineMs += ms
  }

  /** Queues a large request whose bytes are still arriving. It has no deadline until it is sent. */
  enqueueUpload(message: Message, bytes: number, upload: RequestStream): void {
    this.upload = upload
    this.enqueue(message, bytes)
    message.deadlineMs = NEVER_MS
  }

  /** The upload is sent whole: its deadline begins now. @param bytes its size. */
  uploaded(bytes: number): void {
    const { pool } = this.server
    this.upload = null
    const message = this.last!
    this.tally.growRequest(bytes - message.requestBytes)
    message.requestBytes = bytes
    this.progressMs = pool.context.turn.nowMs
    if (pool.config.timeoutMs > 0) message.deadlineMs = this.progressMs - this.unreadMs + pool.config.timeoutMs
  }

  /**
   * The connection has waited for a lost server, and is up: deadlines begin now.
   * @param waitedMs how long it has waited.
   * @param keepsTimes each request keeps the time that it had left: a blocking command has its own beside the pool's.
   */
  protected restartDeadlines(waitedMs: number, keepsTimes: boolean): void {
    const { config, context } = this.server.pool
    for (let message = this.head; message !== null; message = message.serverNext) {
      if (message.deadlineMs === NEVER_MS) continue
      if (keepsTimes) message.deadlineMs += waitedMs
      else message.deadlineMs = context.turn.nowMs - this.unreadMs + config.timeoutMs
    }
  }

  /** The oldest request is answered. @param message it. */
  unlinkHead(message: Message): void {
    const next = message.serverNext
    this.head = next
    if (next === null) this.last = null
    message.serverNext = null
    message.queued = false
    if (message.expired) {
      this.expiredRequests--
      return
    }
    this.tally.removeRequest(message.requestBytes)
  }

  /** A request has expired: it stays in the queue, and counts no longer. */
  markExpired(message: Message): void {
    this.tally.removeRequest(message.requestBytes)
    message.expired = true
    this.expiredRequests++
  }

  /** Empties the queue. @param tell answers a request that waits for its reply. */
  protected failAll(tell: typeof deliverFailure, failure: FailureCode): void {
    const { pool } = this.server
    let message = this.head
    this.head = null
    this.last = null
    while (message !== null) {
      const next: Message | null = message.serverNext
      message.serverNext = null
      message.queued = false
      if (message.client === null && message.split === null) message.release()
      else if (!message.expired) tell(message, pool, failure)
      message = next
    }
  }

  /** Requests in the queue, expired ones not counted. */
  get requests(): number {
    return this.tally.requests
  }

  /** What the records of the queue take, bytes. */
  protected get recordBytes(): number {
    return (this.requests + this.expiredRequests) * MESSAGE_BYTES
  }

  /** @returns true when no other client than this one awaits a reply on this connection. */
  isAlone(client: ReplyTarget): boolean {
    for (let message = this.head; message !== null; message = message.serverNext) {
      const other = receiverOf(message)
      if (other !== null && other !== client) return false
    }
    return true
  }

  /** Time since the server last said something, ms. */
  silentMs(nowMs: number): number {
    return nowMs - this.progressMs
  }
}

/** @returns the client that gets the reply to a forwarded request; null = none any more, the reply is dropped. */
export function receiverOf(message: Message): ReplyTarget | null {
  if (message.expired) return null
  return message.split === null ? message.client : message.split.parent.client
}
