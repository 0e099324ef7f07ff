/**
 * What one worker has: its turn, its pools, its place in shared memory, its timer. Data plane.
 */

import { LimitedLog } from '../log/limited-log.ts'
import type { Logger } from '../log/log.ts'
import { SharedLayout, WorkerSlot } from '../shared/memory-layout.ts'
import type { FromWorker, Generation } from '../shared/messages.ts'
import { PoolStat, ProcessStat } from '../shared/stat-fields.ts'
import { type Client, CloseReason } from './client/client.ts'
import { Drain } from './client/drain.ts'
import type { ProxyGreeting } from './client/proxy-greeting.ts'
import { Turn } from './io/turn.ts'
import { MemoryGuard } from './memory-guard.ts'
import { Pool } from './server/pool.ts'
import type { Server } from './server/server.ts'
import type { Tally } from './server/tally.ts'

/** Coarse timer: deadlines are met within this, ms. */
const TICK_MS = 20
/** Idle clients are looked for this often, ms. */
const IDLE_CHECK_MS = 500

export interface ContextOptions {
  readonly workerIndex: number
  readonly workers: number
  readonly mbufBytes: number
  /** This worker's share of the memory for data, bytes; 0 = no limit. */
  readonly memoryLimitBytes: number
  readonly log: Logger
  /** Sends a message to the primary. */
  readonly post: (message: FromWorker) => void
}

export class Context {
  readonly turn: Turn = new Turn()
  readonly workerIndex: number
  readonly workers: number
  readonly mbufBytes: number
  readonly log: Logger
  /** For lines that clients can cause and that are no single pool's. */
  readonly limitedLog: LimitedLog
  readonly post: (message: FromWorker) => void
  readonly memory: MemoryGuard
  pools: Pool[] = []
  /** Pools that are no longer configured and still have clients or requests. */
  private retired: Pool[] = []
  /** This worker's statistics row of the current generation. */
  row: Float64Array = new Float64Array(2)
  /** This worker's block (`WorkerSlot`). */
  slot: Int32Array = new Int32Array(4)
  /** Every worker's block. */
  private slots: Int32Array[] = []
  /** The control block (`Control`). */
  control: Int32Array = new Int32Array(8)
  generation = -1
  draining = false
  private drainPolicy: Drain | null = null
  private drainReported = false
  private resuming: Client[] = []
  /** Server connections' counts that the statistics do not show yet. */
  private readonly tallies: (Tally | null)[] = []
  private tallyCount = 0
  private readonly lingering: Set<Client> = new Set()
  private readonly writeWaits: Set<Client> = new Set()
  private readonly uploadWaits: Set<Client> = new Set()
  private readonly requestWaits: Set<Client> = new Set()
  private readonly greetings: Set<ProxyGreeting> = new Set()
  private timer: NodeJS.Timeout | null = null
  private idleCheckedMs = 0
  /** Clients that were given a number. */
  private clientIds = 0

  constructor(options: ContextOptions) {
    this.workerIndex = options.workerIndex
    this.workers = options.workers
    this.mbufBytes = options.mbufBytes
    this.log = options.log
    this.limitedLog = new LimitedLog(options.log, 'this worker')
    this.post = options.post
    this.memory = new MemoryGuard(this, options.memoryLimitBytes)
    this.turn.hooks = this
  }

  /** First event of a turn: follows the routing tables. */
  begin(): void {
    for (const pool of this.pools) pool.router.refresh()
  }

  /** Before the turn's output is written: clients that waited for room go on. */
  beforeFlush(): void {
    while (this.resuming.length > 0) {
      const clients = this.resuming
      this.resuming = []
      for (const client of clients) client.resume()
    }
    // Before the replies go out: whoever has one finds it counted.
    this.publish()
  }

  end(): void {
    this.publish()
    this.slot[WorkerSlot.turns]++
    this.memory.check()
  }

  /** The counts are published at the end of the turn. */
  publishLater(tally: Tally): void {
    this.tallies[this.tallyCount] = tally
    this.tallyCount++
    this.turn.begin()
  }

  private publish(): void {
    const { tallies, tallyCount } = this
    this.tallyCount = 0
    for (let i = 0; i < tallyCount; i++) {
      tallies[i]!.publish()
      tallies[i] = null
    }
  }

  /** The client goes on with its input once this turn's replies are all in. */
  resumeLater(client: Client): void {
    this.resuming.push(client)
    this.turn.begin()
  }

  /** A number that no other client of the process has. */
  takeClientId(): number {
    this.clientIds++
    return (this.clientIds - 1) * this.workers + this.workerIndex + 1
  }

  countConnection(sign: number): void {
    this.row[ProcessStat.currConnections] += sign
    if (sign > 0) this.row[ProcessStat.totalConnections] += sign
  }

  /** Clients of the process, those on their way to a worker included. */
  clientsOverall(): number {
    let clients = 0
    for (const slot of this.slots) clients += Atomics.load(slot, WorkerSlot.clients)
    return clients
  }

  clientGone(): void {
    Atomics.sub(this.slot, WorkerSlot.clients, 1)
    if (this.draining) this.checkDrained()
  }

  /** A client whose last replies are written and who still has to close; `LINGER_MS` at most. */
  linger(client: Client): void {
    this.lingering.add(client)
    this.armTimer()
  }

  /** A client whose large request waits for its earlier replies. */
  watchUpload(client: Client): void {
    this.uploadWaits.add(client)
    this.armTimer()
  }

  /** A client whose request is not whole. */
  watchRequest(client: Client): void {
    this.requestWaits.add(client)
    this.armTimer()
  }

  /** A connection whose PROXY header is still to come. */
  awaitGreeting(greeting: ProxyGreeting): void {
    this.greetings.add(greeting)
    this.armTimer()
  }

  /** A client with replies that the kernel does not take. */
  watchWrites(client: Client): void {
    if (this.writeWaits.has(client)) return
    this.writeWaits.add(client)
    this.armTimer()
  }

  /** The coarse timer runs while anything has a deadline. */
  armTimer(): void {
    if (this.timer === null) this.timer = setTimeout(this.onTick, TICK_MS)
  }

  private readonly onTick = (): void => {
    this.timer = null
    this.turn.begin()
    const nowMs = this.turn.nowMs
    for (const client of this.uploadWaits) if (!client.checkUploadWait(nowMs)) this.uploadWaits.delete(client)
    for (const client of this.writeWaits) if (!client.checkWrites(nowMs)) this.writeWaits.delete(client)
    for (const greeting of this.greetings) if (!greeting.checkTime(nowMs)) this.greetings.delete(greeting)
    const { lingering, uploadWaits, writeWaits, requestWaits, greetings } = this
    let busy = lingering.size + uploadWaits.size + writeWaits.size + requestWaits.size + greetings.size > 0
    if (this.memory.tick(nowMs)) busy = true
    if (this.drainPolicy !== null) {
      busy = true
      setImmediate(this.onDrainCheck)
    }
    for (const client of this.lingering) {
      if (client.closed || nowMs >= client.lingerUntilMs) {
        this.lingering.delete(client)
        client.close(CloseReason.none)
      }
    }
    const checkIdle = nowMs - this.idleCheckedMs >= IDLE_CHECK_MS
    if (checkIdle) {
      this.idleCheckedMs = nowMs
      for (const client of this.requestWaits) if (!client.checkRequest(nowMs)) this.requestWaits.delete(client)
    }
    for (const pool of this.pools) if (this.checkPool(pool, nowMs, checkIdle)) busy = true
    for (const pool of this.retired) if (pool.clients.size === 0) pool.leaveServers()
    this.retired = this.retired.filter(pool => this.checkPool(pool, nowMs, checkIdle) || pool.clients.size > 0)
    if (this.retired.length > 0) busy = true
    if (busy) this.armTimer()
  }

  /** The configured pools, and those that are on their way out. */
  allPools(): Pool[] {
    return [...this.pools, ...this.retired]
  }

  /** @returns true when the pool may have more deadlines. */
  private checkPool(pool: Pool, nowMs: number, checkIdle: boolean): boolean {
    pool.checkDeadlines(nowMs)
    if (pool.config.clientIdleTimeoutMs === 0 || pool.clients.size === 0) return pool.busy
    if (checkIdle) this.closeIdle(pool, nowMs)
    return true
  }

  private closeIdle(pool: Pool, nowMs: number): void {
    const { clientIdleTimeoutMs } = pool.config
    for (const client of pool.clients) {
      if (client.session?.listening || client.lingerUntilMs > 0) continue
      if (client.head === null && nowMs - client.activeMs >= clientIdleTimeoutMs) {
        pool.row[pool.statBase + PoolStat.clientIdle]++
        client.close(CloseReason.error)
      }
    }
  }

  reportEjected(server: Server, reason: string): void {
    this.post({ type: 'ejected', pool: server.pool.index, server: server.index, reason })
  }

  /** Takes a generation: the first, or a reloaded one. Pools are known by name; those that go lose their clients. */
  adopt(next: Generation): void {
    const layout = new SharedLayout(this.workers, next.shapes)
    const before = new Map(this.pools.map(pool => [pool.config.name, pool]))
    const oldRow = this.row
    const oldSlot = this.slot
    this.row = layout.row(next.shared, this.workerIndex + 1)
    this.slots = Array.from({ length: this.workers }, (_, worker) => layout.worker(next.shared, worker))
    this.slot = this.slots[this.workerIndex]
    this.control = layout.control(next.shared)
    if (this.generation >= 0) {
      this.row[ProcessStat.currConnections] += oldRow[ProcessStat.currConnections]
      oldRow[ProcessStat.currConnections] = 0
      Atomics.add(this.slot, WorkerSlot.clients, Atomics.exchange(oldSlot, WorkerSlot.clients, 0))
    }
    this.generation = next.generation
    const pools: Pool[] = []
    for (const [index, config] of next.config.pools.entries()) {
      const old = before.get(config.name)
      before.delete(config.name)
      if (old !== undefined && old.config.redis === config.redis) {
        old.adopt(config, index, layout, next.shared)
        pools.push(old)
      } else {
        if (old !== undefined) this.retire(old)
        pools.push(new Pool(this, config, index, layout, next.shared))
      }
    }
    this.pools = pools
    for (const pool of before.values()) this.retire(pool)
    for (const pool of pools) if (pool.config.preconnect) pool.preconnect()
  }

  private retire(pool: Pool): void {
    this.retired.push(pool)
    pool.retire()
    this.armTimer()
  }

  /**
   * Lets the clients go, each at its time (`drain.ts`), and tells the primary when all are gone.
   * @param timeoutMs after which this thread is ended, done or not.
   */
  drain(timeoutMs: number): void {
    if (this.draining) return
    this.draining = true
    this.turn.begin()
    this.drainPolicy = new Drain(this.turn.nowMs, timeoutMs)
    this.armTimer()
    this.checkDrained()
  }

  private readonly onDrainCheck = (): void => {
    this.turn.begin()
    this.drainPolicy!.check(this.allPools(), this.turn.nowMs)
  }

  /** Tells the primary once. A client that was on its way meanwhile is drained where it arrives. */
  private checkDrained(): void {
    if (this.drainReported) return
    for (const pool of this.pools) if (pool.clients.size > 0) return
    for (const pool of this.retired) if (pool.clients.size > 0) return
    this.drainReported = true
    // The process may end before the counts' time has come.
    this.limitedLog.flush()
    for (const pool of this.allPools()) pool.limitedLog.flush()
    this.post({ type: 'drained' })
  }
}
