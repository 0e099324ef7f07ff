/** Walks the blocks `VALUE key flags bytes [cas]`, data, of a reply that the reply parser found whole. Data plane; pure functions. */

import { LF, SPACE } from '../bytes.ts'
import { valueBytes } from './reply-parser.ts'

/** `VALUE ` */
const WORD_BYTES = 6
/** `V`: no other line within a list begins with it. */
const FIRST_BYTE = 86

/** @param p the beginning of a line. @returns the end of the block there with its line end, or p when it is the list's last line. */
export function valueEnd(buf: Uint8Array, p: number): number {
  if (buf[p] !== FIRST_BYTE) return p
  let lineFeed = p
  while (buf[lineFeed] !== LF) lineFeed++
  return lineFeed + 1 + valueBytes(buf, p, lineFeed - 1) + 2
}

/** true when the block at p is of the key [keyStart, keyEnd) of keyBuf. */
export function isValueOf(buf: Uint8Array, p: number, keyBuf: Uint8Array, keyStart: number, keyEnd: number): boolean {
  const at = p + WORD_BYTES
  const length = keyEnd - keyStart
  if (buf[at + length] !== SPACE) return false
  for (let i = 0; i < length; i++) if (buf[at + i] !== keyBuf[keyStart + i]) return false
  return true
}
