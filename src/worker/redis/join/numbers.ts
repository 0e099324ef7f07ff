/** Numbers of RESP replies, read and written in place. Data plane. */

import { CR, MINUS, NINE, ZERO } from '../../../bytes/ascii.ts'

/** Most bytes that `writeNumber` writes: `*` or `:`, a sign, ten digits, CR LF. */
export const HEAD_BYTES = 14

/**
 * Writes `<type><value>\r\n` at index `at`.
 * @param type `:`, `*` and the like. @param value an integer; its digits are at most ten, see
 * `HEAD_BYTES`.
 * @returns the index behind it.
 */
export function writeNumber(to: Uint8Array, at: number, type: number, value: number): number {
  let p = at
  to[p++] = type
  let rest = value
  if (rest < 0) {
    to[p++] = MINUS
    rest = -rest
  }
  let divisor = 1
  while (rest / divisor >= 10) divisor *= 10
  for (; divisor >= 1; divisor = Math.trunc(divisor / 10)) to[p++] = ZERO + (Math.trunc(rest / divisor) % 10)
  to[p++] = CR
  to[p++] = 10
  return p
}

/** Digits of a number from 0 on. */
export function decimalBytes(value: number): number {
  let bytes = 1
  for (let rest = value; rest >= 10; rest = Math.trunc(rest / 10)) bytes++
  return bytes
}

/** @returns the integer whose sign or first digit stands at index `from`. It ends at its CR. */
export function integerAt(buf: Uint8Array, from: number): number {
  let p = from
  const negative = buf[p] === MINUS
  if (negative) p++
  let value = 0
  for (; buf[p] >= ZERO && buf[p] <= NINE; p++) value = value * 10 + buf[p] - ZERO
  return negative ? -value : value
}
