/**
 * Decimal arguments of memcached requests, compared in place as text: they may exceed 2^53. Data
 * plane; pure functions.
 */

import { encodeText, MINUS, NINE, ZERO } from '../../bytes/ascii.ts'

/** Longest expiry time: sign and digits of a 64-bit integer. So a fragment of `gat` fits a line. */
export const MAX_EXPTIME_BYTES = 20
const INT64_MAX = encodeText('9223372036854775807')

/** Whether [start, end) of buf is an optional minus and digits that fit 64 bits. */
export function isInteger(buf: Uint8Array, start: number, end: number): boolean {
  return (
    end - start <= MAX_EXPTIME_BYTES && isDecimalUpTo(buf, buf[start] === MINUS ? start + 1 : start, end, INT64_MAX)
  )
}

/**
 * Whether [start, end) of buf is digits only, and no more than `max`.
 * @param max ASCII digits without a leading zero.
 */
export function isDecimalUpTo(buf: Uint8Array, start: number, end: number, max: Uint8Array): boolean {
  let p = start
  while (p < end - 1 && buf[p] === ZERO) p++
  const digits = end - p
  if (digits < 1 || digits > max.length) return false
  let order = digits < max.length ? -1 : 0
  for (let i = 0; i < digits; i++) {
    const byte = buf[p + i]
    if (byte < ZERO || byte > NINE) return false
    if (order === 0) order = byte - max[i]
  }
  return order <= 0
}
