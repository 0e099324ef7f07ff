/**
 * The routing table of a pool: how much room it needs, and how it is filled for a set of live
 * servers. All distributions share one form, so that the data plane has one search:
 *
 *     hash ─▶ [mod modulus] ─▶ v ─▶ buckets[v >>> shift] ─▶ right while points[i] < v ─▶ serverOfPoint[i]
 *
 *     points          10   25   40   77   2^32-1
 *     serverOfPoint    2    0    2    1        2     the sentinel's is the first point's: the ring wraps
 *
 * The points are the ring's values for ketama, and the last list index of each server for modula.
 * There are 2 to 4 buckets for each point (up to 2^16 buckets), so on average less than one step is
 * taken. `shapeOf` runs on the primary at start and reload, `fillTable` in the table task or, for
 * small tables at start, on the primary.
 */

import { assert } from '../bytes/assert.ts'
import { crc32c } from '../hashkit/crc32c.ts'
import { type DistributionName, MAX_SERVERS, type PoolConfig } from '../shared/config.ts'
import { type PoolShape, type TableHalf, TableHead } from '../shared/memory-layout.ts'
import { fillKetama, KETAMA_POINTS_PER_SERVER } from './ketama.ts'
import type { LiveServer } from './live-server.ts'
import { fillModula } from './modula.ts'

const MAX_BUCKET_BITS = 16
const MAX_LIST_BUCKETS = 1024
const UINT32_MAX = 0xffff_ffff
const UINT32_RANGE = 2 ** 32

/** What a table is made from; plain data, so that it can go to another thread. */
export interface TableInput {
  readonly distribution: DistributionName
  /** The live servers by ascending index; may be empty. */
  readonly servers: readonly LiveServer[]
}

/**
 * Sizes of a table that has room for any live subset of the pool. Ketama's rounding only loses
 * points: n servers have at most 160 n together (the relative error of its six steps, 3.6e-7, is
 * less than one digest of the 40 n for any n up to `MAX_SERVERS`).
 */
export function shapeOf(pool: PoolConfig): PoolShape {
  const servers = pool.servers.length
  assert(servers > 0 && servers <= MAX_SERVERS, `pool has 1 to ${MAX_SERVERS} servers`)
  if (pool.distribution === 'ketama') {
    const points = servers * KETAMA_POINTS_PER_SERVER
    return { servers, points: points + 1, bucketBits: bucketBits(points) }
  }
  // One bucket for each entry of modula's list, while that is cheap, avoids the steps and their
  // mispredicted branches.
  const weights =
    pool.distribution === 'modula' ? pool.servers.reduce((sum, server) => sum + server.weight, 0) : servers
  return {
    servers,
    points: servers + 1,
    bucketBits: bucketBits(Math.max(servers, Math.min(weights, MAX_LIST_BUCKETS))),
  }
}

/** log2 of 2 to 4 buckets a point. */
function bucketBits(points: number): number {
  return Math.min(32 - Math.clz32(points) + 1, MAX_BUCKET_BITS)
}

/** @param live indexes of the live servers, ascending. */
export function tableInput(pool: PoolConfig, live: readonly number[]): TableInput {
  const servers = live.map(index => ({ index, name: pool.servers[index].name, weight: pool.servers[index].weight }))
  return { distribution: pool.distribution, servers }
}

/** Writes the whole table into `half`, which no thread may be reading. */
export function fillTable(input: TableInput, half: TableHalf): void {
  const { servers } = input
  const { head, points, serverOfPoint } = half
  let count = servers.length
  let modulus = 0
  if (input.distribution === 'ketama') count = fillKetama(servers, points, serverOfPoint)
  else if (input.distribution === 'modula') modulus = fillModula(servers, points, serverOfPoint)
  else
    modulus = fillModula(
      servers.map(server => ({ ...server, weight: 1 })),
      points,
      serverOfPoint,
    )
  assert(count < points.length, 'table fits its half')
  points[count] = UINT32_MAX
  serverOfPoint[count] = count > 0 ? serverOfPoint[0] : 0

  // A modulus above 32 bits changes no hash.
  head[TableHead.modulus] = modulus < UINT32_RANGE ? modulus : 0
  const largest = head[TableHead.modulus] === 0 ? UINT32_MAX : modulus - 1
  const shift = Math.max(0, 32 - Math.clz32(largest) - Math.log2(half.buckets.length))
  head[TableHead.shift] = shift
  head[TableHead.pointCount] = count
  fillBuckets(half, shift)
  head[TableHead.checksum] = tableChecksum(half)
}

/** CRC-32C of everything in the half but the checksum itself. @returns int32. @testOnly */
export function tableChecksum(half: TableHalf): number {
  return crc32c(half.bytes, (TableHead.checksum + 1) * 4, half.bytes.length)
}

/** The sentinel ends the inner loop: no bucket starts past 2^32 - 1. */
function fillBuckets(half: TableHalf, shift: number): void {
  const { points, buckets } = half
  const step = 2 ** shift
  let at = 0
  for (let bucket = 0; bucket < buckets.length; bucket++) {
    while (points[at] < bucket * step) at++
    buckets[bucket] = at
  }
}
