/**
 * Gives an accepted connection to the worker with the fewest clients, or writes an error line to it
 * and closes it. Primary thread; called by the pools' listeners, once a connection.
 *
 *     accept ─▶ descriptors left? ─▶ limit of the pool? ─▶ least loaded worker ─▶ clients += 1 ─▶ post the handle
 *                     └ no ───────────────┴ no ─▶ error line ─▶ counted, logged ─▶ close
 */

import { LimitedLog } from '../../log/limited-log.ts'
import type { Logger } from '../../log/log.ts'
import { type AcceptedClient, socketOf } from '../../net/listener.ts'
import { peerName } from '../../net/peer-name.ts'
import type { Config, PoolConfig } from '../../shared/config.ts'
import type { DescriptorBudget } from '../process/descriptors.ts'
import type { ClientCensus } from './client-census.ts'

/** What Redis and memcached answer; nutcracker closes without an answer. */
const REFUSAL_REDIS = '-ERR max number of clients reached\r\n'
const REFUSAL_MEMCACHE = 'SERVER_ERROR max number of clients reached\r\n'
/** Time for a rejected client to read its line and close, ms. Then the primary disconnects it. */
const LINGER_MS = 1_000
/** Limit on rejected clients that linger at once; each uses a descriptor of the reserve. */
const MAX_LINGERING = 4

/** What hand-over calls on the supervisor. */
export interface HandOverTarget {
  readonly workers: number
  /** false while the worker is being replaced. */
  isRunning(worker: number): boolean
  /**
   * Moves the handle to the worker.
   * @returns false when the worker is not there; the handle is still the caller's.
   */
  handClient(worker: number, pool: number, client: AcceptedClient): boolean
}

export interface HandOverOptions {
  readonly target: HandOverTarget
  readonly census: ClientCensus
  /** Counts a rejected client of the pool. */
  readonly countRefused: (pool: number) => void
  readonly log: Logger
}

export class HandOver {
  readonly #target: HandOverTarget
  readonly #census: ClientCensus
  readonly #countRefused: (pool: number) => void
  readonly #log: Logger
  #config: Config = { pools: [] }
  #budget: DescriptorBudget | null = null
  #next = 0
  #lingering = 0
  /** By name of the pool: log of rejected clients. */
  readonly #limitedLogs = new Map<string, LimitedLog>()

  constructor(options: HandOverOptions) {
    this.#target = options.target
    this.#census = options.census
    this.#countRefused = options.countRefused
    this.#log = options.log
  }

  /** Pool indexes and limits are this configuration's from now on. */
  useConfig(config: Config, budget: DescriptorBudget): void {
    this.#config = config
    this.#budget = budget
  }

  /** Takes an accepted client of a pool. */
  accept(pool: number, client: AcceptedClient): void {
    const poolConfig = this.#config.pools[pool]
    const budget = this.#budget!
    if (client.fd >= budget.limit - budget.reserve) {
      this.#refuse(pool, client, `descriptor ${client.fd} of ${budget.limit} is in use`, false)
      return
    }
    if (this.#census.totalClients() >= budget.maxClients) {
      this.#refuse(pool, client, `${budget.maxClients} clients are all that the descriptor limit allows`, true)
      return
    }
    const limit = poolConfig.clientConnections
    if (limit > 0 && this.#census.clientsOfPool(pool) >= limit) {
      this.#refuse(pool, client, `client_connections is ${limit}`, true)
      return
    }
    this.#hand(pool, client)
  }

  #hand(pool: number, client: AcceptedClient): void {
    const worker = this.#leastLoaded()
    this.#next = worker + 1
    this.#census.handedOver(worker, pool)
    if (this.#target.handClient(worker, pool, client)) return
    this.#census.notHandedOver(worker)
    client.close()
  }

  /** Prefers running workers; among equals, workers are chosen in turn. */
  #leastLoaded(): number {
    const { workers } = this.#target
    let best = -1
    let fewest = Infinity
    for (let step = 0; step < workers; step++) {
      const worker = (this.#next + step) % workers
      const clients = this.#census.clientsOf(worker)
      const load = this.#target.isRunning(worker) ? clients : clients + 2 ** 31
      if (load < fewest) {
        fewest = load
        best = worker
      }
    }
    return best
  }

  /**
   * @param mayLinger false: descriptors are nearly used up, so the client is disconnected right
   * after its line.
   */
  #refuse(pool: number, client: AcceptedClient, reason: string, mayLinger: boolean): void {
    const poolConfig = this.#config.pools[pool]
    this.#countRefused(pool)
    this.#logRefusal(poolConfig, client, reason)
    const socket = socketOf(client)
    // A client that has disconnected already needs no line in the log.
    socket.on('error', () => {})
    const line = poolConfig.redis ? REFUSAL_REDIS : REFUSAL_MEMCACHE
    if (!mayLinger || this.#lingering >= Math.min(MAX_LINGERING, Math.max(1, this.#budget!.reserve))) {
      socket.write(line, () => socket.destroy())
      return
    }
    // Closing with the client's first request unread would reset the connection, and the client
    // could lose the line.
    this.#lingering++
    const timer = setTimeout(() => socket.destroy(), LINGER_MS)
    socket.on('close', () => {
      clearTimeout(timer)
      this.#lingering--
    })
    socket.resume()
    socket.end(line)
  }

  #logRefusal(pool: PoolConfig, client: AcceptedClient, reason: string): void {
    let limitedLog = this.#limitedLogs.get(pool.name)
    if (limitedLog === undefined) {
      limitedLog = new LimitedLog(this.#log, `pool '${pool.name}'`)
      this.#limitedLogs.set(pool.name, limitedLog)
    }
    limitedLog.notice('refused client', () => {
      const address = peerName(client)
      const who = address === '' ? 'a client' : `c ${address}`
      return `refused ${who} of pool '${pool.name}': ${reason}`
    })
  }
}
