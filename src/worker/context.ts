/**
 * The composition of one worker: its turn, pools, part of the shared memory, and timer. Data plane.
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
  /** For lines that clients can cause and that belong to no single pool. */
  readonly limitedLog: LimitedLog
  readonly post: (message: FromWorker) => void
  readonly memory: MemoryGuard
  private readonly watches: ClientWatches = new ClientWatches(this.timer)
  /** To the other workers. */
  readonly questions: Questions
  pools: PoolClients[] = []
  /** Pools that left the configuration and still have clients or requests. */
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
  /** Counts that the statistics do not show yet, [0, tallyCount). */
  private readonly tallies: (Publishable | null)[] = []
  private tallyCount = 0
  private idleCheckedMs = 0
  /** How many client numbers were given. */
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

  /** First event of a turn: copies the routing tables that have changed. */
  begin(): void {
    for (const { pool } of this.pools) pool.router.refresh()
  }

  /** Before the turn's output is written: clients whose input waited are resumed. */
  beforeFlush(): void {
    while (this.resuming.length > 0) {
      const clients = this.resuming
      this.resuming = []
      for (const client of clients) client.resume()
    }
    // Publish before replies are written: a client that reads the statistics after its reply must
    // find the request counted.
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

  /** Calls `client.resume` at the end of the turn, when all of its replies have come. */
  resumeLater(client: Resumable): void {
    this.resuming.push(client)
    this.turn.begin()
  }

  /** @returns a number that no other client of the process has. */
  newClientId(): number {
    this.clientIds++
    return (this.clientIds - 1) * this.workers + this.workerIndex + 1
  }

  countConnection(sign: number): void {
    this.row[ProcessStat.currConnections] += sign
    if (sign > 0) this.row[ProcessStat.totalConnections] += sign
  }

  /** Clients of the process, including those that the primary is handing over. */
  clientsOverall(): number {
    let clients = 0
    for (const block of this.blocks) clients += Atomics.load(block, WorkerBlock.clients)
    return clients
  }

  clientGone(): void {
    Atomics.sub(this.block, WorkerBlock.clients, 1)
    if (this.draining) this.checkDrained()
  }

  /** The coarse timer: memory, the graceful shutdown, and the pools. */
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

  /** The configured pools and the retired ones. */
  allPools(): PoolClients[] {
    return [...this.pools, ...this.retired]
  }

  /** @returns the clients of the configured pool of a name. */
  findPool(name: string): PoolClients | undefined {
    return this.pools.find(({ pool }) => pool.config.name === name)
  }

  /**
   * Switches to a generation: the first, or a reloaded one. Clients of pools that it does not have
   * are closed.
   * @param changes the pools that both this generation and the one before have; none with the
   * first.
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
   * Closes every client in a pause (`drain.ts`), and tells the primary when all are closed.
   * @param timeoutMs time until the primary ends this thread.
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

  /**
   * Tells the primary, once, when there are no clients. A client that arrives later is closed by
   * `drainPolicy`.
   */
  private checkDrained(): void {
    if (this.drainReported) return
    for (const { members } of this.pools) if (members.size > 0) return
    for (const { members } of this.retired) if (members.size > 0) return
    this.drainReported = true
    // The process may end before the limited log would write its counts.
    this.limitedLog.flush()
    for (const { pool } of this.allPools()) pool.limitedLog.flush()
    this.post({ type: 'drained' })
  }
}

/** Checks the deadlines of a pool. @returns true when there may be more. */
function checkPool(clients: PoolClients, nowMs: number, checkIdle: boolean): boolean {
  const { members, pool } = clients
  clients.checkRing()
  pool.checkDeadlines(nowMs)
  if (pool.config.clientIdleTimeoutMs === 0 || members.size === 0) return pool.busy
  if (checkIdle) clients.closeIdle(nowMs)
  return true
}
