/**
 * The modula distribution: the servers repeated by weight in one list, a key takes the entry `hash
 * mod length`. The list is kept as the last entry of each server, so its size does not depend on
 * the weights. Runs where tables are built.
 */

import type { LiveServer } from './live-server.ts'

const UINT32_MAX = 0xffff_ffff

/**
 * @param servers the live ones.
 * @returns sum of the weights; the points are the last list index of each server (at most 2^32 -
 * 1).
 */
export function fillModula(servers: readonly LiveServer[], points: Uint32Array, serverOfPoint: Uint16Array): number {
  let totalWeight = 0
  servers.forEach((server, i) => {
    totalWeight += server.weight
    points[i] = Math.min(totalWeight - 1, UINT32_MAX)
    serverOfPoint[i] = server.index
  })
  return totalWeight
}
