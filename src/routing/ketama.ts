/**
 * The ketama continuum, point for point as twemproxy's `nc_ketama.c` makes it. Runs where tables
 * are built: the table task, or the primary at start; not per request.
 */

import { md5Words } from '../hashkit/md5.ts'
import type { LiveServer } from './live-server.ts'

/** Points of a server with an average share. */
export const KETAMA_POINTS_PER_SERVER = 160
/** Points that one MD5 digest makes. */
const POINTS_PER_DIGEST = 4
/** nc_ketama.c KETAMA_MAX_HOSTLEN: the text that is hashed is cut at this length. */
const MAX_HASHED_BYTES = 272
/**
 * More than any 16-bit server index: value and server index together fit the 53 bits of an integer
 * in a double.
 */
const SERVER_STEP = 65_536

/**
 * Number of points of a server, a multiple of 4; can be 0 for a very small share. Every step is
 * rounded to single precision, as in the original, so that 25 equal servers get 156 points each
 * instead of 160.
 * @param liveServers number of servers that share the ring. @param totalWeight sum of their
 * weights.
 * @testOnly
 */
export function ketamaPointCount(weight: number, totalWeight: number, liveServers: number): number {
  const share = Math.fround(Math.fround(weight) / Math.fround(totalWeight))
  const quarter = Math.fround(Math.fround(share * KETAMA_POINTS_PER_SERVER) / POINTS_PER_DIGEST)
  const digests = Math.fround(Math.fround(quarter * Math.fround(liveServers)) + 0.0000000001)
  return Math.floor(digests) * POINTS_PER_DIGEST
}

/**
 * Fills the ring, sorted by value and then by server index.
 * @param servers the live ones. @returns number of points written to `points` and `serverOfPoint`.
 */
export function fillKetama(servers: readonly LiveServer[], points: Uint32Array, serverOfPoint: Uint16Array): number {
  let totalWeight = 0
  for (const server of servers) totalWeight += server.weight
  const counts = servers.map(server => ketamaPointCount(server.weight, totalWeight, servers.length))
  const total = counts.reduce((sum, count) => sum + count, 0)
  // A numeric sort of doubles is far faster than one with a comparator, and orders equal values by
  // server index.
  const ring = new Float64Array(total)
  let at = 0
  servers.forEach((server, i) => {
    addPoints(server, counts[i], ring, at)
    at += counts[i]
  })
  ring.sort()
  for (let i = 0; i < total; i++) {
    const value = Math.floor(ring[i] / SERVER_STEP)
    points[i] = value
    serverOfPoint[i] = ring[i] - value * SERVER_STEP
  }
  return total
}

function addPoints(server: LiveServer, count: number, ring: Float64Array, at: number): void {
  const words = new Uint32Array(POINTS_PER_DIGEST)
  for (let point = 0; point < count; point += POINTS_PER_DIGEST) {
    const text = Buffer.from(`${server.name}-${point / POINTS_PER_DIGEST}`, 'latin1')
    md5Words(text, 0, Math.min(text.length, MAX_HASHED_BYTES), words, 0)
    for (let word = 0; word < POINTS_PER_DIGEST; word++)
      ring[at + point + word] = words[word] * SERVER_STEP + server.index
  }
}
