/**
 * PUBLISH after SUBSCRIBE: a message that the proxy receives after a subscription must reach the
 * subscriber, although the two go to the server by two connections, and perhaps by two workers.
 * Data plane, shared memory.
 *
 *     SUBSCRIBE ─▶ begun[own worker]++ … confirmed by its servers ─▶ settled[own worker]: all up to here are
 *     PUBLISH   ─▶ end of the turn: other workers read what has come (`PollBarrier`) ─▶ begun > settled somewhere? waits until that is settled
 *
 * A publish waits `WAIT_MS` at most. Each counter has one writer. Clients that neither publish nor
 * subscribe pay nothing.
 */

import { Subscribes } from '../../../shared/memory-layout.ts'
import { PoolStat } from '../../../shared/stat-fields.ts'
import type { Client } from '../../client/client.ts'
import type { Resumable } from '../../request/worker-scope.ts'
import type { Pool } from '../../server/pool.ts'

/** Longest wait of a publish, ms. A subscription that takes longer is treated as confirmed. */
const WAIT_MS = 50
/** Interval of looking at other workers' counters while a publish waits, ms. */
const POLL_MS = 1
/** Interval of looking for overdue subscriptions while no publish of this worker waits, ms. */
const EXPIRY_MS = 20

/** A publish that waits, with its client. */
class WaitingPublish implements Resumable {
  readonly client: Client
  readonly endsMs: number
  /** Ids of the questions to other workers; null = none was asked, or all are answered. */
  asked: readonly number[] | null = null
  /**
   * By worker: how many subscriptions had begun when the other workers had read their input; null =
   * not known yet.
   */
  marks: readonly number[] | null = null
  private readonly order: PublishOrder

  constructor(order: PublishOrder, client: Client, endsMs: number) {
    this.order = order
    this.client = client
    this.endsMs = endsMs
  }

  resume(): void {
    this.order.pass(this.client)
  }
}

export class PublishOrder {
  private readonly pool: Pool
  private shared: SharedArrayBuffer | null = null
  /** By worker. */
  private records: Int32Array[] = []
  /**
   * Subscriptions that have begun in this worker, and (`open`) when each unconfirmed one began,
   * oldest first.
   */
  private begun = 0
  private readonly open: Map<number, number> = new Map()
  /** Publishes of this turn (`arrivals`), and earlier ones that wait. */
  private arrivals: WaitingPublish[] = []
  private waiting: WaitingPublish[] = []
  /**
   * The client whose input is being resumed: its publishes do not wait again. Null outside `pass`.
   */
  private passing: Client | null = null
  private timer: NodeJS.Timeout | null = null

  constructor(pool: Pool) {
    this.pool = pool
  }

  /** Notes a new subscription. @returns its number, for `settle`. */
  begin(): number {
    this.attach()
    this.begun++
    this.open.set(this.begun, this.pool.context.turn.nowMs)
    this.publishCounts()
    this.arm()
    return this.begun
  }

  /** Notes that the servers have confirmed a subscription, or that it failed. Idempotent. */
  settle(subscription: number): void {
    if (!this.open.delete(subscription)) return
    this.attach()
    this.publishCounts()
    if (this.waiting.length > 0) this.check()
  }

  private publishCounts(): void {
    const own = this.records[this.pool.context.workerIndex]
    const first = this.open.keys().next()
    Atomics.store(own, Subscribes.begun, this.begun | 0)
    Atomics.store(own, Subscribes.settled, (first.done ? this.begun : first.value - 1) | 0)
  }

  /** Finds the counters in shared memory again: a reload replaces it. */
  private attach(): void {
    const { shared, layout, index, context } = this.pool
    if (this.shared === shared) return
    this.shared = shared
    this.records = Array.from({ length: context.workers }, (_, worker) => layout.subscribes(shared, index, worker))
    this.publishCounts()
  }

  /**
   * @returns true when the client's current request, a publish, has to wait: it is parsed again
   * later.
   */
  delays(client: Client): boolean {
    if (client === this.passing) return false
    this.attach()
    const { barrier, turn } = this.pool.context
    if (!barrier.isNeeded && !this.records.some(isUnsettled)) return false
    client.postpone(false)
    if (this.arrivals.length === 0) setImmediate(this.onTurnRead)
    this.arrivals.push(new WaitingPublish(this, client, turn.nowMs + WAIT_MS))
    return true
  }

  /** Runs when all input that this turn's poll has brought is handled. */
  private readonly onTurnRead = (): void => {
    const { barrier, turn } = this.pool.context
    turn.begin()
    const asked = barrier.isNeeded && this.hasOthers ? barrier.ask() : null
    for (const publish of this.arrivals) {
      publish.asked = asked
      this.waiting.push(publish)
    }
    this.arrivals = []
    if (asked !== null) barrier.onAnswer(this.onAnswer)
    this.check()
    if (this.waiting.length > 0) this.arm()
  }

  /**
   * True when other workers have clients of the pool. Clients that are being handed over to them
   * have sent no request yet.
   */
  private get hasOthers(): boolean {
    const { layout, shared, statBase, context } = this.pool
    for (let worker = 0; worker < context.workers; worker++) {
      if (worker === context.workerIndex) continue
      if (layout.row(shared, worker + 1)[statBase + PoolStat.clientConnections] > 0) return true
    }
    return false
  }

  /** Resumes a client. The requests behind its publish do not wait: they arrived with it. */
  pass(client: Client): void {
    this.passing = client
    client.resume()
    this.passing = null
  }

  private arm(): void {
    this.timer ??= setTimeout(this.onTimeout, this.waiting.length > 0 ? POLL_MS : EXPIRY_MS)
  }

  private readonly onTimeout = (): void => {
    this.timer = null
    const { turn } = this.pool.context
    turn.begin()
    for (const [subscription, beganMs] of this.open) {
      if (turn.nowMs - beganMs < WAIT_MS) break
      this.settle(subscription)
    }
    if (this.waiting.length > 0) this.check()
    if (this.waiting.length > 0 || this.open.size > 0) this.arm()
  }

  private readonly onAnswer = (): void => this.check()

  private check(): void {
    const { context } = this.pool
    context.turn.begin()
    const { waiting } = this
    this.waiting = []
    for (const publish of waiting) {
      if (this.waits(publish)) this.waiting.push(publish)
      else context.resumeLater(publish)
    }
    if (this.waiting.length === 0) context.barrier.stopListening(this.onAnswer)
  }

  private waits(publish: WaitingPublish): boolean {
    const { barrier, turn } = this.pool.context
    const isOver = turn.nowMs >= publish.endsMs
    if (publish.asked !== null) {
      if (isOver) barrier.giveUp(publish.asked)
      else if (!barrier.isPassed(publish.asked)) return true
      publish.asked = null
    }
    publish.marks ??= this.records.map(record => Atomics.load(record, Subscribes.begun))
    return !isOver && publish.marks.some((mark, worker) => !isSettled(this.records[worker], mark))
  }
}

function isUnsettled(record: Int32Array): boolean {
  return Atomics.load(record, Subscribes.begun) !== Atomics.load(record, Subscribes.settled)
}

/** @param mark a count that wraps at 32 bits. */
function isSettled(record: Int32Array | undefined, mark: number): boolean {
  return record === undefined || ((Atomics.load(record, Subscribes.settled) - mark) | 0) >= 0
}
