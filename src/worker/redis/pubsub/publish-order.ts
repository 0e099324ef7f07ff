/**
 * PUBLISH after SUBSCRIBE: a message that comes to the proxy after a subscription must reach it, although the two go to the server by two
 * connections, and perhaps by two workers. Data plane, shared memory.
 *
 *     SUBSCRIBE ─▶ begun[own worker]++ … confirmed by its servers ─▶ settled[own worker]: all up to here are
 *     PUBLISH   ─▶ end of the turn: other workers read what has come (`PollBarrier`) ─▶ begun > settled somewhere? waits until that is settled
 *
 * A publish waits `HOLD_MS` at most. The counters have one writer each. Clients that do neither pay nothing.
 */

import { Subscribes } from '../../../shared/memory-layout.ts'
import { PoolStat } from '../../../shared/stat-fields.ts'
import type { Client } from '../../client/client.ts'
import type { Resumable } from '../../request/worker-scope.ts'
import type { Pool } from '../../server/pool.ts'

/** A publish waits no longer than this, and a subscription that takes longer is not waited for, ms. */
const HOLD_MS = 50
/** How often other workers' counters are looked at while a publish waits, ms. */
const POLL_MS = 1
/** How often subscriptions are looked at that no publish of this worker waits for, ms. */
const EXPIRY_MS = 20

/** A client whose publish waits. */
class Hold implements Resumable {
  readonly client: Client
  readonly endsMs: number
  /** Questions to the other workers; null = there are none, or they are answered. */
  asked: readonly number[] | null = null
  /** By worker: the subscriptions that had begun when all had been read; null = not known yet. */
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
  /** This worker's subscriptions: how many have begun, and when those began that are not settled, in their order. */
  private begun = 0
  private readonly open: Map<number, number> = new Map()
  /** Publishes of this turn, and those before. */
  private arrivals: Hold[] = []
  private holds: Hold[] = []
  /** Goes on with its input, which was here when its publish began to wait. */
  private passing: Client | null = null
  private timer: NodeJS.Timeout | null = null

  constructor(pool: Pool) {
    this.pool = pool
  }

  /** A subscription has come. @returns its number, for `settle`. */
  begin(): number {
    this.attach()
    this.begun++
    this.open.set(this.begun, this.pool.context.turn.nowMs)
    this.publishCounts()
    this.arm()
    return this.begun
  }

  /** The servers have confirmed it, or it failed. Idempotent. */
  settle(subscription: number): void {
    if (!this.open.delete(subscription)) return
    this.attach()
    this.publishCounts()
    if (this.holds.length > 0) this.check()
  }

  private publishCounts(): void {
    const own = this.records[this.pool.context.workerIndex]
    const first = this.open.keys().next()
    Atomics.store(own, Subscribes.begun, this.begun | 0)
    Atomics.store(own, Subscribes.settled, (first.done ? this.begun : first.value - 1) | 0)
  }

  /** A reload brings new memory. */
  private attach(): void {
    const { shared, layout, index, context } = this.pool
    if (this.shared === shared) return
    this.shared = shared
    this.records = Array.from({ length: context.workers }, (_, worker) => layout.subscribes(shared, index, worker))
    this.publishCounts()
  }

  /** Whether the client's current request, a publish, has to wait. It is then postponed, and comes again. */
  holdsBack(client: Client): boolean {
    if (client === this.passing) return false
    this.attach()
    const { barrier, turn } = this.pool.context
    if (!barrier.isNeeded && !this.records.some(isUnsettled)) return false
    client.postpone(false)
    if (this.arrivals.length === 0) setImmediate(this.onTurnRead)
    this.arrivals.push(new Hold(this, client, turn.nowMs + HOLD_MS))
    return true
  }

  /** All that this turn's poll brought is handled. */
  private readonly onTurnRead = (): void => {
    const { barrier, turn } = this.pool.context
    turn.begin()
    const asked = barrier.isNeeded && this.hasOthers ? barrier.ask() : null
    for (const hold of this.arrivals) {
      hold.asked = asked
      this.holds.push(hold)
    }
    this.arrivals = []
    if (asked !== null) barrier.onAnswer(this.onAnswer)
    this.check()
    if (this.holds.length > 0) this.arm()
  }

  /** Other workers have clients of the pool. Those that are on their way to them have not been accepted long enough to count. */
  private get hasOthers(): boolean {
    const { layout, shared, statBase, context } = this.pool
    for (let worker = 0; worker < context.workers; worker++) {
      if (worker === context.workerIndex) continue
      if (layout.row(shared, worker + 1)[statBase + PoolStat.clientConnections] > 0) return true
    }
    return false
  }

  /** Lets a client go on. What it has sent behind its publish was here as well. */
  pass(client: Client): void {
    this.passing = client
    client.resume()
    this.passing = null
  }

  private arm(): void {
    this.timer ??= setTimeout(this.onTimeout, this.holds.length > 0 ? POLL_MS : EXPIRY_MS)
  }

  private readonly onTimeout = (): void => {
    this.timer = null
    const { turn } = this.pool.context
    turn.begin()
    for (const [subscription, beganMs] of this.open) {
      if (turn.nowMs - beganMs < HOLD_MS) break
      this.settle(subscription)
    }
    if (this.holds.length > 0) this.check()
    if (this.holds.length > 0 || this.open.size > 0) this.arm()
  }

  private readonly onAnswer = (): void => this.check()

  private check(): void {
    const { context } = this.pool
    context.turn.begin()
    const { holds } = this
    this.holds = []
    for (const hold of holds) {
      if (this.waits(hold)) this.holds.push(hold)
      else context.resumeLater(hold)
    }
    if (this.holds.length === 0) context.barrier.stopListening(this.onAnswer)
  }

  private waits(hold: Hold): boolean {
    const { barrier, turn } = this.pool.context
    const isOver = turn.nowMs >= hold.endsMs
    if (hold.asked !== null) {
      if (isOver) barrier.giveUp(hold.asked)
      else if (!barrier.isPassed(hold.asked)) return true
      hold.asked = null
    }
    hold.marks ??= this.records.map(record => Atomics.load(record, Subscribes.begun))
    return !isOver && hold.marks.some((mark, worker) => !isSettled(this.records[worker], mark))
  }
}

function isUnsettled(record: Int32Array): boolean {
  return Atomics.load(record, Subscribes.begun) !== Atomics.load(record, Subscribes.settled)
}

/** @param mark a count that wraps at 32 bits. */
function isSettled(record: Int32Array | undefined, mark: number): boolean {
  return record === undefined || ((Atomics.load(record, Subscribes.settled) - mark) | 0) >= 0
}
