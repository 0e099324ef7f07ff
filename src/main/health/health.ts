/**
 * What the primary does when a worker ejects a server, and how the server returns. One for the
 * process.
 *
 *     worker: failures reach the limit, state := ejected ─▶ 'ejected' ─▶ count, log, table without it
 *                                                                          │ server_retry_timeout
 *                         up: state := up, table with it ◀── healthy ── probe ── not ──▶ wait again
 *
 * A server returns only after it has answered a probe, so no client's request tries it out. With
 * `eject_keep_ring` the tables do not change: the workers answer requests for ejected servers with
 * an error. Pools without `auto_eject_hosts` eject no servers.
 */

import type { Logger } from '../../log/log.ts'
import type { PoolConfig, ServerConfig } from '../../shared/config.ts'
import { Health, HealthState, HealthTime } from '../../shared/memory-layout.ts'
import { PoolStat, ServerStat } from '../../shared/stat-fields.ts'
import { type LocalGeneration, liveServers, type ServerIndex } from '../generation/generation.ts'

/**
 * Shortest time between probes, ms: `server_retry_timeout: 0` must not open connections without a
 * pause.
 */
const MIN_RETRY_MS = 50
/** Time after which the build of a table that failed is tried again, ms. */
const REBUILD_RETRY_MS = 1_000

export interface HealthOptions {
  readonly log: Logger
  /**
   * Asks a server whether it can serve (`prober.ts`). Resolves with '' when it is healthy, else
   * with the reason.
   */
  readonly probe: (pool: PoolConfig, server: ServerConfig) => Promise<string>
}

/** An ejected server. */
interface EjectedServer {
  readonly at: ServerIndex
  timer: NodeJS.Timeout
  /**
   * Why the last probe failed, '' before the first. Only a new reason is logged at the level of
   * notices.
   */
  lastProblem: string
}

export class HealthMonitor {
  readonly #options: HealthOptions
  #current: LocalGeneration | null = null
  /** By `pool/server`. */
  #ejectedServers = new Map<string, EjectedServer>()
  #rebuilds = new Set<NodeJS.Timeout>()

  constructor(options: HealthOptions) {
    this.#options = options
  }

  /** Probes this generation's ejected servers from now on, each at its retry time. */
  useGeneration(current: LocalGeneration): void {
    this.close()
    this.#current = current
    for (const [pool, config] of current.config.pools.entries()) {
      if (!config.autoEjectHosts) continue
      for (const server of config.servers.keys()) {
        const health = current.layout.health(current.shared, pool, server)
        if (Atomics.load(health, Health.state) === HealthState.ejected) this.#await({ pool, server })
      }
    }
  }

  /**
   * A worker has ejected a server of the current generation; indexes are this generation's.
   * @param reason text of the last failure.
   */
  ejected(at: ServerIndex, reason: string): void {
    const current = this.#current!
    const pool = current.config.pools[at.pool]
    // A worker that had not adopted this generation wrote to the memory of the one before.
    this.#markEjected(current, at, pool)
    const server = pool.servers[at.server]
    const row = current.layout.row(current.shared, 0)
    const ejectedAtMs = current.layout.healthTimes(current.shared, at.pool, at.server)[HealthTime.ejectedAtMs]
    row[current.layout.poolStat(at.pool) + PoolStat.serverEjects]++
    row[current.layout.serverStat(at.pool, at.server) + ServerStat.ejectedAt] = ejectedAtMs * 1_000
    const failures = `${pool.serverFailureLimit} ${pool.serverFailureLimit === 1 ? 'failure' : 'failures'}`
    this.#options.log.notice(
      `server '${server.pname}' of pool '${pool.name}' ejected for ${pool.serverRetryTimeoutMs} ms ` +
        `after ${failures}: ${reason}`,
    )
    this.#await(at)
    this.rebuild(at.pool)
  }

  /** Builds the pool's table again, from the servers that are live now. */
  rebuild(pool: number): void {
    const current = this.#current!
    const config = current.config.pools[pool]
    current.tables.build(pool, liveServers(current, pool)).catch((error: Error) => {
      // The generation has ended, and this build with it.
      if (current !== this.#current) return
      this.#options.log.error(`the routing table of pool '${config.name}' could not be built; trying again`, error)
      const timer = setTimeout(() => {
        this.#rebuilds.delete(timer)
        this.rebuild(pool)
      }, REBUILD_RETRY_MS)
      this.#rebuilds.add(timer)
    })
  }

  /** Stops probing and building. */
  close(): void {
    this.#current = null
    for (const { timer } of this.#ejectedServers.values()) clearTimeout(timer)
    for (const timer of this.#rebuilds) clearTimeout(timer)
    this.#ejectedServers.clear()
    this.#rebuilds.clear()
  }

  #markEjected(current: LocalGeneration, { pool, server }: ServerIndex, config: PoolConfig): void {
    const health = current.layout.health(current.shared, pool, server)
    if (Atomics.exchange(health, Health.state, HealthState.ejected) === HealthState.ejected) return
    const nowMs = Date.now()
    const times = current.layout.healthTimes(current.shared, pool, server)
    times[HealthTime.ejectedAtMs] = nowMs
    times[HealthTime.retryAtMs] = nowMs + config.serverRetryTimeoutMs
  }

  /** Schedules the server's probe for its retry time. */
  #await(at: ServerIndex): void {
    const current = this.#current!
    const key = `${at.pool}/${at.server}`
    const known = this.#ejectedServers.get(key)
    if (known !== undefined) clearTimeout(known.timer)
    const retryAtMs = current.layout.healthTimes(current.shared, at.pool, at.server)[HealthTime.retryAtMs]
    const ejected: EjectedServer = {
      at,
      timer: setTimeout(() => this.#probe(ejected), Math.max(MIN_RETRY_MS, retryAtMs - Date.now())),
      lastProblem: known?.lastProblem ?? '',
    }
    this.#ejectedServers.set(key, ejected)
  }

  async #probe(ejected: EjectedServer): Promise<void> {
    const current = this.#current!
    const { at } = ejected
    const pool = current.config.pools[at.pool]
    const server = pool.servers[at.server]
    const problem = await this.#options.probe(pool, server)
    // A reload came meanwhile: the new generation probes the server, if it still has it.
    if (this.#ejectedServers.get(`${at.pool}/${at.server}`) !== ejected) return
    if (problem === '') this.#return(ejected, pool, server)
    else this.#stayAway(ejected, problem, pool, server)
  }

  #return({ at }: EjectedServer, pool: PoolConfig, server: ServerConfig): void {
    const current = this.#current!
    this.#ejectedServers.delete(`${at.pool}/${at.server}`)
    const health = current.layout.health(current.shared, at.pool, at.server)
    Atomics.store(health, Health.failures, 0)
    Atomics.store(health, Health.state, HealthState.up)
    this.#options.log.notice(`server '${server.pname}' of pool '${pool.name}' answers again and returns`)
    this.rebuild(at.pool)
  }

  #stayAway(ejected: EjectedServer, problem: string, pool: PoolConfig, server: ServerConfig): void {
    const current = this.#current!
    const { at } = ejected
    const which = `server '${server.pname}' of pool '${pool.name}'`
    const message = `${which} stays ejected for ${pool.serverRetryTimeoutMs} ms more: ${problem}`
    if (problem === ejected.lastProblem) this.#options.log.info(message)
    else this.#options.log.notice(message)
    ejected.lastProblem = problem
    const times = current.layout.healthTimes(current.shared, at.pool, at.server)
    times[HealthTime.retryAtMs] = Date.now() + pool.serverRetryTimeoutMs
    this.#await(at)
  }
}
