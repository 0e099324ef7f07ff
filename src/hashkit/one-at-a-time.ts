/**
 * Bob Jenkins's one-at-a-time hash, over signed bytes as twemproxy's `nc_one_at_a_time.c` reads
 * them. Data plane.
 */

/** @returns int32 hash of `[start, end)`. */
export function oneAtATime(bytes: Uint8Array, start: number, end: number): number {
  let value = 0
  for (let i = start; i < end; i++) {
    value = (value + ((bytes[i] << 24) >> 24)) | 0
    value = (value + (value << 10)) | 0
    value ^= value >>> 6
  }
  value = (value + (value << 3)) | 0
  value ^= value >>> 11
  return (value + (value << 15)) | 0
}
