/**
 * A configuration with its shared memory and its routing tables: one at the start, and one for each
 * reload. Primary thread; called by `primary.ts`. No worker sees a generation before the primary
 * sends it.
 */

import { shapeOf } from '../../routing/ring-table.ts'
import type { Config, PoolConfig, ServerConfig } from '../../shared/config.ts'
import { isSameServer } from '../../shared/config-diff.ts'
import { isInRing } from '../../shared/ejection.ts'
import { Control, Health, HealthState, SharedLayout } from '../../shared/memory-layout.ts'
import type { Generation } from '../../shared/messages.ts'
import { TableBuilder, type TableRunner } from './table-builder.ts'

/** The thread that fills a generation's tables: `TableThread`, outside of tests. */
export interface GenerationTableThread extends TableRunner {
  warmUp(): Promise<void>
  close(): Promise<void>
}

/** A generation with what only the primary needs. */
export interface LocalGeneration extends Generation {
  readonly layout: SharedLayout
  readonly tables: TableBuilder
  /** Closed with the generation. */
  readonly tableThread: GenerationTableThread
}

/** The part of a generation that is sent to workers. */
export function forWorkers({ id, config, shapes, shared }: LocalGeneration): Generation {
  return { id, config, shapes, shared }
}

/** What all generations of a process have in common. */
export interface GenerationSettings {
  readonly workers: number
  /** @param staysWarm whether the thread stays once it has started. */
  readonly newTableThread: (staysWarm: boolean) => GenerationTableThread
}

/** The generation of the start, with all servers live. @param logLevel 0..11 */
export async function firstGeneration(
  config: Config,
  settings: GenerationSettings,
  logLevel: number,
): Promise<LocalGeneration> {
  const first = emptyGeneration(config, settings, 1)
  first.layout.control(first.shared)[Control.logLevel] = logLevel
  await first.tables.buildFirst()
  return first
}

/**
 * The generation of a reload. A server that is ejected stays ejected if it is the same server
 * (`isSameServer`) and the pool still ejects.
 */
export async function nextGeneration(
  config: Config,
  settings: GenerationSettings,
  previous: LocalGeneration,
): Promise<LocalGeneration> {
  const next = emptyGeneration(config, settings, previous.id + 1)
  carryHealth(previous, next)
  try {
    await Promise.all(config.pools.map((_, pool) => next.tables.build(pool, liveServers(next, pool))))
  } catch (error) {
    await next.tableThread.close()
    throw error
  }
  return next
}

/**
 * Copies the log level and the health of servers to the next generation. Called again at the moment
 * of the switch, because health may change while the tables are built.
 * @returns indexes of the pools in which the call changed a server's state: their tables are out of
 * date.
 */
export function carryHealth(previous: LocalGeneration, next: LocalGeneration): number[] {
  const from = previous.layout.control(previous.shared)
  const to = next.layout.control(next.shared)
  to[Control.logLevel] = Atomics.load(from, Control.logLevel)
  const changed = new Set<number>()
  for (const [pool, config] of next.config.pools.entries()) {
    const carried = config.autoEjectHosts ? HealthState.ejected : HealthState.lost
    for (const [server, serverConfig] of config.servers.entries()) {
      const old = findServer(previous.config, config, serverConfig)
      if (old !== null && copyHealth(previous, old, next, { pool, server }, carried)) changed.add(pool)
    }
  }
  return [...changed]
}

export interface ServerIndex {
  readonly pool: number
  readonly server: number
}

/**
 * Index of the same server, in the pool of the same name, in another configuration; null = not
 * there.
 */
export function findServer(config: Config, pool: PoolConfig, server: ServerConfig): ServerIndex | null {
  const poolIndex = config.pools.findIndex(candidate => candidate.name === pool.name)
  if (poolIndex === -1) return null
  const serverIndex = config.pools[poolIndex].servers.findIndex(candidate => isSameServer(candidate, server))
  return serverIndex === -1 ? null : { pool: poolIndex, server: serverIndex }
}

/**
 * Indexes of the servers in the pool's table: all but the ejected ones; with `eject_keep_ring`,
 * all.
 */
export function liveServers({ config, layout, shared }: LocalGeneration, pool: number): number[] {
  const poolConfig = config.pools[pool]
  return [...poolConfig.servers.keys()].filter(server =>
    isInRing(poolConfig.ejectKeepRing, layout.health(shared, pool, server)),
  )
}

function emptyGeneration(config: Config, settings: GenerationSettings, id: number): LocalGeneration {
  const shapes = config.pools.map(shapeOf)
  const layout = new SharedLayout(settings.workers, shapes)
  const shared = layout.allocate()
  // An ejection needs a new table at once.
  const tableThread = settings.newTableThread(config.pools.some(pool => pool.autoEjectHosts))
  const tables = new TableBuilder(config, layout, shared, tableThread)
  return { id, config, shapes, shared, layout, tables, tableThread }
}

/**
 * @param carried the state other than `up` that the pool's servers may have.
 * @returns true when the copy had another state and the pool ejects servers.
 */
function copyHealth(
  from: LocalGeneration,
  at: ServerIndex,
  to: LocalGeneration,
  target: ServerIndex,
  carried: number,
): boolean {
  const source = from.layout.health(from.shared, at.pool, at.server)
  const copy = to.layout.health(to.shared, target.pool, target.server)
  const sourceTimes = from.layout.healthTimes(from.shared, at.pool, at.server)
  const copyTimes = to.layout.healthTimes(to.shared, target.pool, target.server)
  copyTimes.set(sourceTimes)
  const state = Atomics.load(source, Health.state) === carried ? carried : HealthState.up
  const hasFailures = carried === HealthState.ejected || state === HealthState.lost
  Atomics.store(copy, Health.failures, hasFailures ? Atomics.load(source, Health.failures) : 0)
  return Atomics.exchange(copy, Health.state, state) !== state && carried === HealthState.ejected
}
