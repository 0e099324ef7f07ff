/**
 * Where one value of a reply ends, for those that take a complete reply apart without reading it.
 * Data plane. RESP2 and RESP3.
 */

import { BANG, CR, DOLLAR, EQUALS, GREATER, MINUS, PERCENT, PIPE, STAR, TILDE, ZERO } from '../../bytes/ascii.ts'

/**
 * The end of the value that begins at `at`, its elements included.
 * @param end of the reply; the value may be cut short by it, and then ends there.
 */
export function valueEnd(buf: Uint8Array, at: number, end: number): number {
  let p = at
  for (let values = 1; values > 0 && p < end; values--) {
    const type = buf[p]
    const isNull = buf[p + 1] === MINUS
    let number = 0
    for (p++; p < end && buf[p] !== CR; p++) number = number * 10 + buf[p] - ZERO
    p += 2
    if (type === DOLLAR || type === EQUALS || type === BANG) {
      if (!isNull) p += number + 2
    } else if (type === STAR || type === TILDE || type === GREATER) {
      if (!isNull) values += number
    } else if (type === PERCENT) {
      values += number * 2
    } else if (type === PIPE) {
      // Attributes come before the value that they are about.
      values += number * 2 + 1
    }
  }
  return Math.min(p, end)
}
