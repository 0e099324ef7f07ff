/**
 * The running proxy as the primary thread sees it: which configuration is in force, and what a
 * start, a reload and a graceful shutdown do, step by step. Made by `index.ts`; everything it works
 * with has a file of its own.
 *
 *     listener-set ─ accepted client ─▶ hand-over ─▶ supervisor ─▶ worker threads
 *                                          │ census      │ 'ejected'
 *     stats-server ◀── reader ◀── shared memory ──▶ health ─▶ tables
 */

import { setTimeout as delay } from 'node:timers/promises'
import { describeDiff } from '../config/describe-diff.ts'
import { diffConfigs } from '../config/diff.ts'
import type { Logger } from '../log/log.ts'
import type { Config } from '../shared/config.ts'
import type { ConfigDiff } from '../shared/config-diff.ts'
import { Control } from '../shared/memory-layout.ts'
import type { FromWorker, LogOptions, WorkerData } from '../shared/messages.ts'
import { PoolStat, ProcessStat } from '../shared/stat-fields.ts'
import { StatsReader } from '../stats/reader.ts'
import { ClientCensus } from './clients/client-census.ts'
import { HandOver } from './clients/hand-over.ts'
import { ListenerSet, type PreparedListeners } from './clients/listener-set.ts'
import { Adoptions } from './generation/adoptions.ts'
import {
  carryHealth,
  findServer,
  firstGeneration,
  forWorkers,
  type GenerationSettings,
  type LocalGeneration,
  nextGeneration,
} from './generation/generation.ts'
import { TableThread } from './generation/table-thread.ts'
import { HealthMonitor } from './health/health.ts'
import { probe } from './health/prober.ts'
import type { AgentState } from './ports/agent-check.ts'
import { StatusPorts } from './ports/status-ports.ts'
import { type DescriptorBudget, DescriptorLimit } from './process/descriptors.ts'
import { QuestionRelay } from './workers/question-relay.ts'
import { Supervisor } from './workers/supervisor.ts'

export interface PrimaryOptions {
  readonly workers: number
  readonly mbufBytes: number
  /** Most memory for data that waits, over all workers; 0 = no limit. */
  readonly memoryLimitBytes: number
  readonly statsAddress: string
  readonly statsPort: number
  /** HAProxy's agent check on the stats address; 0 = none. */
  readonly agentCheckPort: number
  /** The agent check says a weight by load. */
  readonly agentCheckWeight: boolean
  readonly log: Logger
  /** What the workers open for themselves. */
  readonly workerLog: LogOptions
  /** File that the worker threads run. */
  readonly workerEntry: URL
  /** File that the thread which fills routing tables runs. */
  readonly tableTaskEntry: URL
  /** The proxy cannot go on. Called at most once, and never before `start` has resolved. */
  readonly onFatal: (reason: Error) => void
}

export class Primary {
  readonly #options: PrimaryOptions
  readonly #log: Logger
  readonly #settings: GenerationSettings
  readonly #supervisor: Supervisor
  readonly #questions: QuestionRelay
  readonly #listeners: ListenerSet
  readonly #handOver: HandOver
  readonly #health: HealthMonitor
  readonly #census: ClientCensus
  readonly #stats = new StatsReader()
  readonly #ports: StatusPorts
  readonly #descriptors: DescriptorLimit
  #budget: DescriptorBudget | null = null
  #current: LocalGeneration | null = null
  readonly #adoptions: Adoptions
  /** The graceful shutdown has begun: servers are still looked after, reloads are not. */
  #draining = false
  #ending = false

  constructor(options: PrimaryOptions) {
    const { workers, log, tableTaskEntry } = options
    this.#options = options
    this.#log = log
    this.#adoptions = new Adoptions(workers)
    const onTableError = (error: Error): void => log.error('the thread that builds routing tables died', error)
    this.#settings = { workers, newTableThread: staysWarm => new TableThread(tableTaskEntry, staysWarm, onTableError) }
    this.#census = new ClientCensus(workers)
    this.#health = new HealthMonitor({ log: log.child('health'), probe })
    this.#supervisor = new Supervisor({
      entry: options.workerEntry,
      workers,
      dataFor: worker => this.#dataFor(worker),
      onReady: worker => this.#workerReady(worker),
      onGone: worker => this.#workerGone(worker),
      onMessage: (worker, message) => this.#onMessage(worker, message),
      onFatal: options.onFatal,
      log: log.child('supervisor'),
    })
    this.#questions = new QuestionRelay({
      workers,
      isRunning: worker => this.#supervisor.isRunning(worker),
      post: (worker, message) => this.#supervisor.post(worker, message),
    })
    this.#handOver = new HandOver({
      target: this.#supervisor,
      census: this.#census,
      countRefused: pool => this.#countRefused(pool),
      log: log.child('listener'),
    })
    this.#descriptors = new DescriptorLimit(workers)
    this.#ports = new StatusPorts({
      address: options.statsAddress,
      statsPort: options.statsPort,
      agentCheckPort: options.agentCheckPort,
      agentCheckWeight: options.agentCheckWeight,
      snapshot: () => this.#stats.snapshot(),
      agentState: () => this.#agentState(),
      log,
    })
    this.#listeners = new ListenerSet({
      workers,
      post: (worker, message) => this.#supervisor.post(worker, message),
      onClient: (pool, client) => this.#handOver.accept(pool, client),
      log: log.child('listener'),
    })
  }

  /**
   * Lets the worker threads load their program while the configuration is read. Anything may come
   * of it: `start`, or the end.
   */
  prepare(): void {
    if (this.#descriptors.canStart()) this.#supervisor.prepare()
  }

  /**
   * Resolves when all listeners are open; the stats port, which scripts take for a sign of that, is
   * the last one. What another process can see of this one before (paths of unix sockets) changes
   * only once nothing can fail any more. Rejects with the line for the log when something cannot be
   * had; `abort` cleans up then.
   * @param onServing called once everything listens, before the log says so. What it throws fails
   * the start.
   */
  async start(config: Config, onServing: () => void): Promise<void> {
    if (!this.#descriptors.canStart()) throw this.#descriptors.tooFew()
    const first = await firstGeneration(config, this.#settings, this.#log.level)
    this.#use(first)
    await this.#ports.reserve(config)
    await this.#supervisor.start()
    this.#descriptors.count()
    this.#useBudget(this.#descriptors.budgetFor(config))
    await this.#listeners.openAll(config)
    this.#countListeners(config.pools.length)
    await this.#ports.open(config)
    this.#listeners.publish()
    onServing()
    for (const line of listenerLines(config, this.#ports)) this.#log.notice(line)
    this.#health.useGeneration(first)
    this.#warmTables(first)
  }

  #agentState(): AgentState {
    const { maxClients } = this.#budget!
    return { eventLoops: this.#supervisor.eventLoops(), clients: this.#census.totalClients(), maxClients }
  }

  /**
   * Replaces the configuration. Rejects with the reason when an address or a table cannot be had:
   * nothing has changed then.
   */
  async reload(config: Config): Promise<void> {
    const previous = this.#current!
    const diff = diffConfigs(previous.config, config)
    if (diff.unchanged) {
      this.#log.notice('reload: the configuration has not changed')
      return
    }
    const budget = this.#descriptors.budgetFor(config)
    const prepared = await this.#listeners.prepare(diff.listeners, config)
    let next: LocalGeneration
    try {
      next = await nextGeneration(config, this.#settings, previous)
    } catch (error) {
      this.#listeners.discard(prepared)
      throw error
    }
    if (this.#draining || this.#ending) {
      this.#listeners.discard(prepared)
      return
    }
    this.#switch(previous, next, diff, prepared, budget)
    await this.#adoptions.all()
    await this.#ports.useConfig(config)
    for (const line of describeDiff(diff, previous.config, config)) this.#log.notice(`reload: ${line}`)
  }

  /** Tells the workers to open their logs again. */
  reopenLogs(): void {
    this.#supervisor.broadcast({ type: 'reopen-log' })
  }

  /**
   * Tells health checks, stops accepting, lets the workers finish, ends. Resolves within the
   * timeout and a little; at once when it is 0.
   * @param delayMs time to serve as before once health checks were told, ms; counts towards the
   * timeout.
   */
  async drain(timeoutMs: number, delayMs: number): Promise<void> {
    this.#draining = true
    const end = performance.now() + timeoutMs
    await this.#ports.drain()
    if (timeoutMs > 0 && delayMs > 0) await delay(Math.min(delayMs, timeoutMs))
    await this.#listeners.closeWhenQuiet()
    const leftMs = Math.trunc(end - performance.now())
    if (timeoutMs > 0 && !(await this.#supervisor.drain(Math.max(1, leftMs)))) {
      this.#log.warn(
        `${this.#census.totalClients()} clients were still connected after ${timeoutMs} ms and are disconnected`,
      )
    }
    this.abort()
    await this.#supervisor.terminate()
  }

  /**
   * Gives up what other processes see: addresses and files. For an end at once, and after a start
   * that failed.
   */
  abort(): void {
    this.#ending = true
    this.#health.close()
    this.#listeners.close()
    this.#listeners.removeFiles()
    this.#ports.close()
  }

  /**
   * From the old memory to the new in one step, as far as the primary is concerned: nothing is
   * awaited here.
   */
  #switch(
    previous: LocalGeneration,
    next: LocalGeneration,
    diff: ConfigDiff,
    prepared: PreparedListeners,
    budget: DescriptorBudget,
  ): void {
    const stale = carryHealth(previous, next)
    this.#listeners.release(diff.listeners, next.config)
    this.#use(next)
    this.#useBudget(budget)
    this.#countListeners(diff.listeners.filter(change => change.action === 'open').length)
    this.#supervisor.broadcast({ type: 'generation', next: forWorkers(next), changes: diff.common })
    this.#listeners.commit(diff.listeners, next.config, prepared)
    this.#health.useGeneration(next)
    for (const pool of stale) this.#health.rebuild(pool)
    this.#warmTables(next)
    void previous.tableThread.close()
  }

  #use(generation: LocalGeneration): void {
    const { workers } = this.#options
    const { layout, shared } = generation
    this.#current = generation
    this.#adoptions.add(generation)
    this.#stats.addGeneration(generation, workers)
    this.#census.addGeneration(generation)
    this.#log.follow(layout.control(shared))
  }

  /** The current configuration's, from now on. */
  #useBudget(budget: DescriptorBudget): void {
    const { config, layout, shared } = this.#current!
    this.#budget = budget
    this.#handOver.useConfig(config, budget)
    const { limit, reserve, maxClients, maxServerConnections } = budget
    if (limit === Infinity) return
    const control = layout.control(shared)
    control[Control.descriptorLimit] = limit
    control[Control.descriptorReserve] = reserve
    control[Control.maxClients] = maxClients
    this.#log.notice(`max fds ${limit} max client conns ${maxClients} max server conns ${maxServerConnections}`)
    if (!budget.fits) {
      this.#log.warn(
        `${limit} descriptors are too few for ${maxServerConnections} server connections: raise the limit (ulimit -n)`,
      )
    }
  }

  /**
   * nutcracker counts a listener as a connection. One a pool, however many threads listen.
   * @param opened how many are new.
   */
  #countListeners(opened: number): void {
    const { config, layout, shared } = this.#current!
    const row = layout.row(shared, 0)
    row[ProcessStat.totalConnections] += opened
    row[ProcessStat.currConnections] = config.pools.length
  }

  #countRefused(pool: number): void {
    const { layout, shared } = this.#current!
    layout.row(shared, 0)[layout.poolStat(pool) + PoolStat.clientRefused]++
  }

  #warmTables({ tableThread }: LocalGeneration): void {
    tableThread.warmUp().catch((error: Error) => {
      this.#log.error('the thread that builds routing tables did not start', error)
    })
  }

  /** A worker that begins now. What its predecessor left in older memory is final. */
  #dataFor(worker: number): WorkerData {
    const { workers, mbufBytes, workerLog } = this.#options
    const memoryLimitBytes = Math.trunc(this.#options.memoryLimitBytes / workers)
    const current = this.#current!
    this.#workerAdopted(worker, current.id)
    return { workerIndex: worker, workers, mbufBytes, memoryLimitBytes, log: workerLog, current: forWorkers(current) }
  }

  #workerReady(worker: number): void {
    this.#listeners.workerReady(worker)
    this.#questions.workerReady(worker)
  }

  #workerGone(worker: number): void {
    const { layout, shared } = this.#current!
    this.#stats.workerGone(worker)
    this.#census.workerGone(worker)
    this.#listeners.workerGone(worker)
    this.#questions.workerGone(worker)
    if (!this.#ending) layout.row(shared, 0)[ProcessStat.workerCrashes]++
    // A reload must not wait for this worker to adopt a generation: its successor starts with it.
    this.#workerAdopted(worker, this.#current!.id)
  }

  #workerAdopted(worker: number, generationId: number): void {
    this.#adoptions.workerAdopted(worker, generationId)
    this.#stats.workerAdopted(worker, generationId)
    this.#census.workerAdopted(worker, generationId)
  }

  #onMessage(worker: number, message: FromWorker): void {
    if (message.type === 'ejected') this.#onEjected(worker, message)
    else if (message.type === 'tell') this.#supervisor.broadcastFrom(worker, message)
    else if (message.type === 'adopted') this.#workerAdopted(worker, message.generationId)
    else if (message.type === 'listening' || message.type === 'listen-failed') this.#listeners.onAnswer(worker, message)
    else if (message.type === 'ask') this.#questions.ask(worker, message)
    else if (message.type === 'answer') this.#questions.answer(worker, message.relayId, message.answer)
  }

  /** The worker may speak of an older generation; the server may have left since. */
  #onEjected(worker: number, message: FromWorker & { readonly type: 'ejected' }): void {
    if (this.#ending) return
    const pool = this.#adoptions.of(worker).config.pools[message.pool]
    const { config } = this.#current!
    const at = findServer(config, pool, pool.servers[message.server])
    if (at !== null && config.pools[at.pool].autoEjectHosts) this.#health.ejected(at, message.reason)
  }
}

/** What the log says once everything listens. */
function listenerLines({ pools }: Config, ports: StatusPorts): string[] {
  const { stats, agentCheck } = ports.describe()
  const lines = pools.map((pool, index) => {
    const protocol = pool.redis ? 'redis' : 'memcache'
    return `listening on '${pool.listen.text}' in ${protocol} pool ${index} '${pool.name}' with ${pool.servers.length} servers`
  })
  lines.unshift(`listening on stats server '${stats}'`)
  if (agentCheck !== '') lines.push(`listening on agent-check port '${agentCheck}'`)
  return lines
}
