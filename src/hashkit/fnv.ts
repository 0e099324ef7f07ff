/**
 * The four FNV hashes of twemproxy's `nc_fnv.c`. Keys are read as signed bytes, and what is called
 * 64 keeps only the low 32 bits, so 32-bit arithmetic gives the same results. `fnv1a_64` is the
 * default of a pool. Data plane.
 */

const BASIS_32 = 0x811c9dc5 | 0
const PRIME_32 = 0x01000193
/** Low halves of the 64-bit basis 0xcbf29ce484222325 and of the prime 0x100000001b3. */
const BASIS_64_LOW = 0x84222325 | 0
const PRIME_64_LOW = 0x1b3

/** @returns int32 hash of `[start, end)`. */
export function fnv164(bytes: Uint8Array, start: number, end: number): number {
  let hash = BASIS_64_LOW
  for (let i = start; i < end; i++) hash = Math.imul(hash, PRIME_64_LOW) ^ ((bytes[i] << 24) >> 24)
  return hash
}

/** @returns int32 hash of `[start, end)`. */
export function fnv1a64(bytes: Uint8Array, start: number, end: number): number {
  let hash = BASIS_64_LOW
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ ((bytes[i] << 24) >> 24), PRIME_64_LOW)
  return hash
}

/** @returns int32 hash of `[start, end)`. */
export function fnv132(bytes: Uint8Array, start: number, end: number): number {
  let hash = BASIS_32
  for (let i = start; i < end; i++) hash = Math.imul(hash, PRIME_32) ^ ((bytes[i] << 24) >> 24)
  return hash
}

/** @returns int32 hash of `[start, end)`. */
export function fnv1a32(bytes: Uint8Array, start: number, end: number): number {
  let hash = BASIS_32
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ ((bytes[i] << 24) >> 24), PRIME_32)
  return hash
}
