/**
 * The running proxy as the primary thread sees it: which configuration is in force, and what a
 * start, a reload and a graceful shutdown do, step by step. Made by `index.ts`; each of its parts
 * has its own file.
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
  /** Limit on buffered requests and replies over all workers, bytes; 0 = none. */
  readonly memoryLimitBytes: number
  readonly statsAddress: string
  readonly statsPort: number
  /** HAProxy's agent check on the stats address; 0 = none. */
  readonly agentCheckPort: number
  /** The agent check reports a weight by load. */
  readonly agentCheckWeight: boolean
  readonly log: Logger
  /** The log that each worker opens for itself. */
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
  /** The graceful shutdown has begun: servers are still probed, reloads are no longer done. */
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
   * Makes the worker threads load their program while the configuration is read. `start` or `abort`
   * follows.
   */
  prepare(): void {
    if (this.#descriptors.canStart()) this.#supervisor.prepare()
  }

  /**
   * Resolves when all listeners are open. The stats port opens last, because scripts take it as the
   * sign that the proxy serves. Paths of unix sockets, which other processes see, appear only once
   * nothing can fail any more. Rejects with the line for the log; then the caller must `abort`.
   * @param onServing called once everything listens, before the log says that. If it throws, the
   * start fails.
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
    warmTables(first, this.#log)
  }

  #agentState(): AgentState {
    const { maxClients } = this.#budget!
    return { eventLoops: this.#supervisor.eventLoops(), clients: this.#census.totalClients(), maxClients }
  }

  /**
   * Replaces the configuration. Rejects with the reason when an address cannot be bound or a table
   * cannot be built; then nothing has changed.
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
   * The graceful shutdown: tells health checks, stops accepting, lets the workers finish, and ends
   * them. Resolves soon after the timeout at the latest; at once when it is 0.
   * @param delayMs time to go on accepting after health checks were told, ms; counts towards the
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
   * Closes addresses and removes files that other processes see. For an immediate end, and after a
   * start that failed.
   */
  abort(): void {
    this.#ending = true
    this.#health.close()
    this.#listeners.close()
    this.#listeners.removeFiles()
    this.#ports.close()
  }

  /** Switches the primary from the old memory to the new in one step: nothing is awaited here. */
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
    warmTables(next, this.#log)
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

  /** Puts the budget of the current configuration in force. */
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
   * Counts listeners as connections, as nutcracker does: one for each pool, whatever the number of
   * threads that listen.
   * @param opened number of new ones.
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

  /**
   * What a worker that begins now begins with. What its predecessor has counted in older memory is
   * final.
   */
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
    // A reload must not wait for this worker to adopt a generation: its successor begins with the
    // current one.
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

  /**
   * The indexes may be those of an older generation, and the server may have left the configuration
   * since.
   */
  #onEjected(worker: number, message: FromWorker & { readonly type: 'ejected' }): void {
    if (this.#ending) return
    const pool = this.#adoptions.of(worker).config.pools[message.pool]
    const { config } = this.#current!
    const at = findServer(config, pool, pool.servers[message.server])
    if (at !== null && config.pools[at.pool].autoEjectHosts) this.#health.ejected(at, message.reason)
  }
}

function warmTables({ tableThread }: LocalGeneration, log: Logger): void {
  tableThread.warmUp().catch((error: Error) => {
    log.error('the thread that builds routing tables did not start', error)
  })
}

/** The log's lines once everything listens. */
function listenerLines({ pools }: Config, ports: StatusPorts): string[] {
  const { stats, agentCheck } = ports.describe()
  const lines = pools.map((pool, index) => {
    const protocol = pool.redis ? 'redis' : 'memcache'
    const what = `${protocol} pool ${index} '${pool.name}' with ${pool.servers.length} servers`
    return `listening on '${pool.listen.text}' in ${what}`
  })
  lines.unshift(`listening on stats server '${stats}'`)
  if (agentCheck !== '') lines.push(`listening on agent-check port '${agentCheck}'`)
  return lines
}
