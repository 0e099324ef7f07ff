/**
 * A configuration with its shared memory and its routing tables: the one the process starts with,
 * and those that reloads make. Primary thread; called by `primary.ts`. Nothing here is seen by a
 * worker until it is sent there.
 */

import { shapeOf } from '../../routing/ring-table.ts'
import type { Config, PoolConfig, ServerConfig } from '../../shared/config.ts'
import { isSameServer } from '../../shared/config-diff.ts'
import { Control, Health, HealthState, SharedLayout } from '../../shared/memory-layout.ts'
import type { Generation } from '../../shared/messages.ts'
import { TableBuilder, type TableRunner } from './table-builder.ts'

/** The thread that fills a generation's tables: `TableThread`, outside of tests. */
export interface GenerationTableThread extends TableRunner {
  warmUp(): Promise<void>
  close(): Promise<void>
}

/** A generation as the primary holds it. */
export interface LocalGeneration extends Generation {
  readonly layout: SharedLayout
  readonly tables: TableBuilder
  /** Closed with the generation. */
  readonly tableThread: GenerationTableThread
}

/** What of it goes to workers. */
export function forWorkers({ id, config, shapes, shared }: LocalGeneration): Generation {
  return { id, config, shapes, shared }
}

/** What all generations of a process have in common. */
export interface GenerationSettings {
  readonly workers: number
  /** @param staysWarm whether it is kept ready once it has started. */
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
 * The generation of a reload. Servers that were ejected stay so, as far as it is the same server
 * and the pool still ejects.
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
 * Carries the control words and the health of servers over. Called again at the moment of the
 * switch, because tables take their time.
 * @returns indexes of the pools in which a server's state is another than before the call: their
 * tables are out of date.
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

/** Where the same server of the pool of the same name stands in another configuration. */
export function findServer(config: Config, pool: PoolConfig, server: ServerConfig): ServerIndex | null {
  const poolIndex = config.pools.findIndex(candidate => candidate.name === pool.name)
  if (poolIndex === -1) return null
  const serverIndex = config.pools[poolIndex].servers.findIndex(candidate => isSameServer(candidate, server))
  return serverIndex === -1 ? null : { pool: poolIndex, server: serverIndex }
}

/**
 * Indexes of the servers that the pool's table must have: all, but for those that are ejected and
 * leave the ring.
 */
export function liveServers({ config, layout, shared }: LocalGeneration, pool: number): number[] {
  const { servers, ejectKeepRing } = config.pools[pool]
  const all = [...servers.keys()]
  if (ejectKeepRing) return all
  return all.filter(server => Atomics.load(layout.health(shared, pool, server), Health.state) !== HealthState.ejected)
}

function emptyGeneration(config: Config, settings: GenerationSettings, id: number): LocalGeneration {
  const shapes = config.pools.map(shapeOf)
  const layout = new SharedLayout(settings.workers, shapes)
  const shared = layout.allocate()
  // Ejections want a table at once.
  const tableThread = settings.newTableThread(config.pools.some(pool => pool.autoEjectHosts))
  const tables = new TableBuilder(config, layout, shared, tableThread)
  return { id, config, shapes, shared, layout, tables, tableThread }
}

/**
 * @param carried the state beside `up` that the pool's servers may have.
 * @returns true when the server was or is ejected, and the copy said otherwise.
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
