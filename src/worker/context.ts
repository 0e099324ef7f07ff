/**
 * What one worker has: its turn, its pools, its place in shared memory, its timer. Data plane.
 */

import { LimitedLog } from '../log/limited-log.ts'
import type { Logger } from '../log/log.ts'
import type { PoolChange } from '../shared/config-diff.ts'
import { SharedLayout, WorkerBlock } from '../shared/memory-layout.ts'
import type { FromWorker, Generation } from '../shared/messages.ts'
import { ProcessStat } from '../shared/stat-fields.ts'
import { ClientWatches, IDLE_CHECK_MS } from './client/client-watches.ts'
import { Drain } from './client/drain.ts'
import type { PoolClients } from './client/pool-clients.ts'
import { PollBarrier } from './io/poll-barrier.ts'
import { Questions } from './io/questions.ts'
import { Timer } from './io/timer.ts'
import { Turn } from './io/turn.ts'
import { WorkerMemory } from './memory/worker-memory.ts'
import { MemoryGuard } from './memory-guard.ts'
import { newPoolClients } from './protocols.ts'
import { MessagePool } from './request/message.ts'
import type { Publishable, Resumable, WorkerScope } from './request/worker-scope.ts'

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

export class Context implements WorkerScope {
  readonly turn: Turn = new Turn(new WorkerMemory())
  readonly messages: MessagePool = new MessagePool(this.turn.memory)
  readonly timer: Timer = new Timer(this.turn)
  readonly workerIndex: number
  readonly workers: number
  readonly mbufBytes: number
  readonly log: Logger
  /** For lines that clients can cause and that are no single pool's. */
  readonly limitedLog: LimitedLog
  readonly post: (message: FromWorker) => void
  readonly memory: MemoryGuard
  private readonly watches: ClientWatches = new ClientWatches(this.timer)
  /** To the other workers. */
  readonly questions: Questions
  pools: PoolClients[] = []
  /** Pools that are no longer configured and still have clients or requests. */
  private retired: PoolClients[] = []
  /** This worker's statistics row of the current generation. */
  row: Float64Array = new Float64Array(2)
  readonly barrier: PollBarrier
  /** This worker's block (`WorkerBlock`). */
  block: Int32Array = new Int32Array(4)
  /** Every worker's block. */
  private blocks: Int32Array[] = []
  /** The control block (`Control`). */
  control: Int32Array = new Int32Array(8)
  generationId = -1
  draining = false
  private drainPolicy: Drain | null = null
  private drainReported = false
  private resuming: Resumable[] = []
  /** Server connections' counts that the statistics do not show yet. */
  private readonly tallies: (Publishable | null)[] = []
  private tallyCount = 0
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
    this.barrier = new PollBarrier(options.workerIndex)
    this.memory = new MemoryGuard(this, options.memoryLimitBytes)
    this.questions = new Questions({ workers: this.workers, post: this.post, beginTurn: () => this.turn.begin() })
    this.turn.hooks = this
    this.timer.add(this)
  }

  /** First event of a turn: follows the routing tables. */
  begin(): void {
    for (const { pool } of this.pools) pool.router.refresh()
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
    this.block[WorkerBlock.turns]++
    this.memory.check()
  }

  /** The counts are published at the end of the turn. */
  publishLater(tally: Publishable): void {
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
  resumeLater(client: Resumable): void {
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
    for (const block of this.blocks) clients += Atomics.load(block, WorkerBlock.clients)
    return clients
  }

  clientGone(): void {
    Atomics.sub(this.block, WorkerBlock.clients, 1)
    if (this.draining) this.checkDrained()
  }

  /** The coarse timer: memory, the end of the process, and the pools. */
  tick(nowMs: number): boolean {
    let busy = false
    if (this.memory.tick(nowMs)) busy = true
    if (this.drainPolicy !== null) {
      busy = true
      setImmediate(this.onDrainCheck)
    }
    const checkIdle = nowMs - this.idleCheckedMs >= IDLE_CHECK_MS
    if (checkIdle) this.idleCheckedMs = nowMs
    for (const clients of this.pools) if (checkPool(clients, nowMs, checkIdle)) busy = true
    for (const { members, pool } of this.retired) if (members.size === 0) pool.retireServers()
    this.retired = this.retired.filter(clients => checkPool(clients, nowMs, checkIdle) || clients.members.size > 0)
    return busy || this.retired.length > 0
  }

  /** The configured pools, and those that are on their way out. */
  allPools(): PoolClients[] {
    return [...this.pools, ...this.retired]
  }

  /** @returns the clients of the configured pool of a name. */
  findPool(name: string): PoolClients | undefined {
    return this.pools.find(({ pool }) => pool.config.name === name)
  }

  /**
   * Takes a generation: the first, or a reloaded one. Pools that go lose their clients.
   * @param changes pools of the generation before that are in this one too; none with the first.
   */
  adopt(next: Generation, changes: readonly PoolChange[]): void {
    const layout = new SharedLayout(this.workers, next.shapes)
    const before = this.pools
    const gone = new Set(before)
    const changeOf = new Map(changes.map(change => [change.after, change]))
    const oldRow = this.row
    const oldBlock = this.block
    this.row = layout.row(next.shared, this.workerIndex + 1)
    this.blocks = Array.from({ length: this.workers }, (_, worker) => layout.worker(next.shared, worker))
    this.block = this.blocks[this.workerIndex]
    this.barrier.attach(this.blocks)
    this.control = layout.control(next.shared)
    if (this.generationId >= 0) {
      this.row[ProcessStat.currConnections] += oldRow[ProcessStat.currConnections]
      oldRow[ProcessStat.currConnections] = 0
      Atomics.add(this.block, WorkerBlock.clients, Atomics.exchange(oldBlock, WorkerBlock.clients, 0))
    }
    this.generationId = next.id
    const pools: PoolClients[] = []
    for (const [index, config] of next.config.pools.entries()) {
      const change = changeOf.get(index)
      if (change === undefined || change.protocolChanged) {
        pools.push(newPoolClients(this, this.watches, config, index, layout, next.shared))
        continue
      }
      const known = before[change.before]
      gone.delete(known)
      known.adopt(config, index, layout, next.shared, change)
      pools.push(known)
    }
    this.pools = pools
    for (const pool of gone) this.retire(pool)
    for (const { pool } of pools) if (pool.config.preconnect) pool.preconnect()
  }

  private retire(clients: PoolClients): void {
    this.retired.push(clients)
    clients.retire()
    this.timer.arm()
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
    this.timer.arm()
    this.checkDrained()
  }

  private readonly onDrainCheck = (): void => {
    this.turn.begin()
    this.drainPolicy!.check(this.allPools(), this.turn.nowMs)
  }

  /** Tells the primary once. A client that was on its way meanwhile is drained where it arrives. */
  private checkDrained(): void {
    if (this.drainReported) return
    for (const { members } of this.pools) if (members.size > 0) return
    for (const { members } of this.retired) if (members.size > 0) return
    this.drainReported = true
    // The process may end before the counts' time has come.
    this.limitedLog.flush()
    for (const { pool } of this.allPools()) pool.limitedLog.flush()
    this.post({ type: 'drained' })
  }
}

/** @returns true when the pool may have more deadlines. */
function checkPool(clients: PoolClients, nowMs: number, checkIdle: boolean): boolean {
  const { members, pool } = clients
  clients.checkRing()
  pool.checkDeadlines(nowMs)
  if (pool.config.clientIdleTimeoutMs === 0 || members.size === 0) return pool.busy
  if (checkIdle) clients.closeIdle(nowMs)
  return true
}
