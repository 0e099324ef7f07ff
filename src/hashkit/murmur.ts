/**
 * MurmurHash2 with a seed that depends on the length, as in twemproxy's `nc_murmur.c`. Data plane.
 */

const SEED_FACTOR = 0xdeadbeef | 0
const MULTIPLIER = 0x5bd1e995

/** @returns int32 hash of `[start, end)`. */
export function murmur(bytes: Uint8Array, start: number, end: number): number {
  const length = end - start
  let hash = Math.imul(SEED_FACTOR, length) ^ length
  let at = start
  for (; end - at >= 4; at += 4) {
    let word = bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)
    word = Math.imul(word, MULTIPLIER)
    word = Math.imul(word ^ (word >>> 24), MULTIPLIER)
    hash = Math.imul(hash, MULTIPLIER) ^ word
  }
  const left = end - at
  if (left > 0) {
    if (left === 3) hash ^= bytes[at + 2] << 16
    if (left >= 2) hash ^= bytes[at + 1] << 8
    hash = Math.imul(hash ^ bytes[at], MULTIPLIER)
  }
  hash = Math.imul(hash ^ (hash >>> 13), MULTIPLIER)
  return hash ^ (hash >>> 15)
}
