/**
 * Decimal numbers as nutcracker reads them in a configuration file (nc_util.c, nc_atoi). Primary
 * thread.
 */

const DIGITS = /^[0-9]+$/

/**
 * ASCII digits only, added up in a signed 32-bit integer that wraps around: 4294967297 is 1.
 * @returns the number, or -1 where nutcracker finds none: other characters, an empty text, a
 * negative sum.
 */
export function parseNumber(text: string): number {
  if (!DIGITS.test(text)) return -1
  let value = 0
  for (let at = 0; at < text.length; at++) value = (Math.imul(value, 10) + text.charCodeAt(at) - 0x30) | 0
  return value < 0 ? -1 : value
}

/** Like `parseNumber`, but a number that does not fit 32 bits is none. */
export function parseExactNumber(text: string): number {
  if (!DIGITS.test(text)) return -1
  const value = Number(text)
  return value > 0x7fffffff ? -1 : value
}

/** @returns the port (1 to 65535), or 0 when it is not valid. */
export function parsePort(text: string): number {
  const port = parseNumber(text)
  return port >= 1 && port <= 65535 ? port : 0
}
