/**
 * Decimal numbers as nutcracker reads them in a configuration file (nc_util.c, nc_atoi). Primary
 * thread.
 */

const DIGITS = /^[0-9]+$/

/**
 * ASCII digits only, added up in a signed 32-bit integer without looking for overflow: 4294967297
 * is 1.
 * @returns the number, or -1 where nutcracker sees none (other characters, nothing at all, a sum
 * that ends negative).
 */
export function parseNumber(text: string): number {
  if (!DIGITS.test(text)) return -1
  let value = 0
  for (let at = 0; at < text.length; at++) value = (Math.imul(value, 10) + text.charCodeAt(at) - 0x30) | 0
  return value < 0 ? -1 : value
}

/** As `parseNumber`, but a number that does not fit is no number. */
export function parseExactNumber(text: string): number {
  if (!DIGITS.test(text)) return -1
  const value = Number(text)
  return value > 0x7fffffff ? -1 : value
}

/** @returns the port, or 0 where there is no valid one (1 to 65535). */
export function parsePort(text: string): number {
  const port = parseNumber(text)
  return port >= 1 && port <= 65535 ? port : 0
}
