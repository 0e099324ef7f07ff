/**
 * Base64 of binary keys (the meta flag `b`), so that a key reaches the same server, encoded or not.
 * Data plane; pure functions.
 */

import { EQUALS } from '../../bytes/ascii.ts'

const INVALID = 255
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

const VALUES = buildValues()

function buildValues(): Uint8Array {
  const values = new Uint8Array(256).fill(INVALID)
  for (let i = 0; i < ALPHABET.length; i++) values[ALPHABET.charCodeAt(i)] = i
  return values
}

/**
 * Decodes [start, end) of buf to out, which has room for 3 bytes of every 4.
 * @returns the number of bytes, at least 1; or -1 when it is empty or malformed. Well-formed:
 * groups of four, padding at the end only.
 */
export function decodeBase64(buf: Uint8Array, start: number, end: number, out: Uint8Array): number {
  const length = end - start
  if (length === 0 || (length & 3) !== 0) return -1
  let padding = 0
  if (buf[end - 1] === EQUALS) padding = buf[end - 2] === EQUALS ? 2 : 1
  let at = 0
  for (let p = start; p < end; p += 4) {
    const last = p + 4 === end ? padding : 0
    const a = VALUES[buf[p]]
    const b = VALUES[buf[p + 1]]
    const c = last === 2 ? 0 : VALUES[buf[p + 2]]
    const d = last > 0 ? 0 : VALUES[buf[p + 3]]
    if (a === INVALID || b === INVALID || c === INVALID || d === INVALID) return -1
    out[at] = (a << 2) | (b >> 4)
    out[at + 1] = ((b & 15) << 4) | (c >> 2)
    out[at + 2] = ((c & 3) << 6) | d
    at += 3
  }
  return at - padding
}
