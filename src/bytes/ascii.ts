/**
 * ASCII codes and decimals in place, shared by the parsers of both protocols. Data plane; pure
 * functions.
 */

export const LF = 10
export const CR = 13
export const SPACE = 32
export const BANG = 33
export const DOLLAR = 36
export const PERCENT = 37
export const STAR = 42
export const PLUS = 43
export const MINUS = 45
export const ZERO = 48
export const SEVEN = 55
export const EIGHT = 56
export const NINE = 57
export const COLON = 58
export const EQUALS = 61
export const GREATER = 62
export const UNDERSCORE = 95
export const PIPE = 124
export const TILDE = 126

/** Bytes that may have a second view, through which several are read at once. */
export interface ViewedBytes extends Uint8Array {
  readonly words?: DataView
}

/** Latin-1 text as bytes, for constants built at load. */
export function encodeText(text: string): Uint8Array {
  return Uint8Array.from(text, char => char.charCodeAt(0))
}

/** true when bytes [start, end) are `text`. */
export function equalsText(buf: Uint8Array, start: number, end: number, text: Uint8Array): boolean {
  if (end - start !== text.length) return false
  for (let i = 0; i < text.length; i++) if (buf[start + i] !== text[i]) return false
  return true
}

/**
 * Non-negative decimal in [start, end): digits only, leading zeros allowed.
 * @returns the value, or -1 when it is empty, has another byte, or is above `max` (at most 2^52).
 */
export function readDecimal(buf: Uint8Array, start: number, end: number, max: number): number {
  if (start >= end) return -1
  let value = 0
  for (let p = start; p < end; p++) {
    const digit = buf[p] - ZERO
    if (digit < 0 || digit > 9) return -1
    value = value * 10 + digit
    if (value > max) return -1
  }
  return value
}

/**
 * First `byte` in [start, end), or `end`. `indexOf` has no upper bound, hence the loop; long
 * stretches go through a view.
 */
export function findByte(buf: Uint8Array, start: number, end: number, byte: number): number {
  const loopEnd = end - start > 256 ? start + 64 : end
  let p = start
  while (p < loopEnd && buf[p] !== byte) p++
  if (p < loopEnd || p >= end) return p
  const found = new Uint8Array(buf.buffer, buf.byteOffset + p, end - p).indexOf(byte)
  return found < 0 ? end : p + found
}
