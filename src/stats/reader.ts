/**
 * Sums the statistics rows of all threads at the moment of reading. Control plane, primary thread;
 * read by the stats port and by other views of the figures.
 *
 * A reload gives every thread a new, empty row. The values of the old rows live on, by pool and
 * server name:
 *
 *     row of a thread, generation g    ─┐
 *                                       ├▶ sum
 *     base: by pool name, server name  ─┘
 *
 * A row is read in place while its thread may still write there. Once the thread has adopted the
 * next generation, the reader adds the row's counters to the base and forgets the row;
 * so counters never go backwards, also when a pool or a server leaves the file and comes back. A
 * crashed worker's row keeps its counters and loses its gauges.
 */

import { SharedLayout } from '../shared/memory-layout.ts'
import type { Generation } from '../shared/messages.ts'
import { POOL_FIELDS, PROCESS_FIELDS, SERVER_FIELDS, type StatField } from '../shared/stat-fields.ts'

export interface ServerStats {
  readonly name: string
  /** By `ServerStat` index. */
  readonly values: Float64Array
}

export interface PoolStats {
  readonly name: string
  /** By `PoolStat` index. */
  readonly values: Float64Array
  readonly servers: readonly ServerStats[]
}

/** Pools and servers of the newest generation, in its order. */
export interface StatsSnapshot {
  /** By `ProcessStat` index. */
  readonly process: Float64Array
  readonly pools: readonly PoolStats[]
}

/** Sums under names: of one pool, the pool's own fields and each server's. */
interface PoolSums {
  readonly values: Float64Array
  readonly servers: Map<string, Float64Array>
}

interface Sums {
  readonly process: Float64Array
  readonly pools: Map<string, PoolSums>
}

interface Source {
  readonly generation: Generation
  readonly layout: SharedLayout
  /** Rows that count; null once folded into the base. */
  readonly rows: (Float64Array | null)[]
}

export class StatsReader {
  readonly #base: Sums = emptySums()
  /** Oldest first; the last is the one whose pools are shown. */
  #sources: Source[] = []

  /**
   * Shows this generation from now on. The primary writes only to its row 0 from now on.
   * @param workers number of worker rows.
   */
  addGeneration(generation: Generation, workers: number): void {
    const layout = new SharedLayout(workers, generation.shapes)
    const rows: Float64Array[] = []
    for (let row = 0; row <= workers; row++) rows.push(layout.row(generation.shared, row))
    this.#sources.push({ generation, layout, rows })
    this.#fold(0, generation.id)
  }

  /** The worker writes only to this generation's row from now on, or began with it. */
  workerAdopted(worker: number, generationId: number): void {
    this.#fold(worker + 1, generationId)
  }

  /** A worker has died: its gauges are set to zero, its counters stay. */
  workerGone(worker: number): void {
    for (const source of this.#sources) {
      const row = source.rows[worker + 1]
      if (row) clearGauges(source, row)
    }
  }

  snapshot(): StatsSnapshot {
    const sums = emptySums()
    addSums(sums, this.#base)
    for (const source of this.#sources) {
      for (const row of source.rows) if (row !== null) addRow(sums, source, row)
    }
    const pools = this.#sources.at(-1)!.generation.config.pools.map(pool => {
      const poolSums = poolOf(sums, pool.name)
      const servers = pool.servers.map(server => ({ name: server.name, values: serverOf(poolSums, server.name) }))
      return { name: pool.name, values: poolSums.values, servers }
    })
    return { process: sums.process, pools }
  }

  #fold(row: number, before: number): void {
    for (const source of this.#sources) {
      const values = source.rows[row]
      if (source.generation.id >= before || !values) continue
      // The primary has no gauges to move but its listeners', which it counts again; a worker has
      // moved its own already.
      clearGauges(source, values)
      addRow(this.#base, source, values)
      source.rows[row] = null
    }
    this.#sources = this.#sources.filter(source => source.rows.some(values => values !== null))
  }
}

function emptySums(): Sums {
  return { process: new Float64Array(PROCESS_FIELDS.length), pools: new Map() }
}

function poolOf(sums: Sums, name: string): PoolSums {
  let pool = sums.pools.get(name)
  if (pool === undefined) {
    pool = { values: new Float64Array(POOL_FIELDS.length), servers: new Map() }
    sums.pools.set(name, pool)
  }
  return pool
}

function serverOf(pool: PoolSums, name: string): Float64Array {
  let values = pool.servers.get(name)
  if (values === undefined) {
    values = new Float64Array(SERVER_FIELDS.length)
    pool.servers.set(name, values)
  }
  return values
}

/**
 * Counters and gauges add up; of times the latest counts.
 * @param at first double of the fields in `from`.
 */
function addFields(fields: readonly StatField[], into: Float64Array, from: Float64Array, at: number): void {
  for (const [index, field] of fields.entries()) {
    const value = from[at + index]
    if (field.kind === 'timestamp') into[index] = Math.max(into[index], value)
    else into[index] += value
  }
}

function addRow(sums: Sums, { generation, layout }: Source, row: Float64Array): void {
  addFields(PROCESS_FIELDS, sums.process, row, 0)
  for (const [poolIndex, pool] of generation.config.pools.entries()) {
    const poolSums = poolOf(sums, pool.name)
    addFields(POOL_FIELDS, poolSums.values, row, layout.poolStat(poolIndex))
    for (const [serverIndex, server] of pool.servers.entries()) {
      addFields(SERVER_FIELDS, serverOf(poolSums, server.name), row, layout.serverStat(poolIndex, serverIndex))
    }
  }
}

function addSums(into: Sums, from: Sums): void {
  addFields(PROCESS_FIELDS, into.process, from.process, 0)
  for (const [poolName, pool] of from.pools) {
    const target = poolOf(into, poolName)
    addFields(POOL_FIELDS, target.values, pool.values, 0)
    for (const [serverName, values] of pool.servers) {
      addFields(SERVER_FIELDS, serverOf(target, serverName), values, 0)
    }
  }
}

function clearGauges({ generation, layout }: Source, row: Float64Array): void {
  zeroGauges(PROCESS_FIELDS, row, 0)
  for (const [poolIndex, pool] of generation.config.pools.entries()) {
    zeroGauges(POOL_FIELDS, row, layout.poolStat(poolIndex))
    for (const serverIndex of pool.servers.keys()) {
      zeroGauges(SERVER_FIELDS, row, layout.serverStat(poolIndex, serverIndex))
    }
  }
}

function zeroGauges(fields: readonly StatField[], row: Float64Array, at: number): void {
  for (const [index, field] of fields.entries()) if (field.kind === 'gauge') row[at + index] = 0
}
