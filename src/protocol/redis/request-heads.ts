/**
 * The beginnings of requests that were seen lately, so that the next of the same kind is known by
 * three or four comparisons of words in place of reading its counts and looking its name up. Data
 * plane; one table a thread.
 *
 *     *3\r\n $3\r\n SET\r\n $1\r\n k\r\n …
 *     └ head: one digit, one digit, a name of two to six letters ┘
 *
 * Measured on the whole path (`bench/micro/worker/request-path.bench.ts`, pipeline 100): GET 547 ns
 * a request without and 505 with, SET 604 and 557.
 */

import { type Command, UNKNOWN_COMMAND } from './commands.ts'

/** `*1\r\n$3\r\n`: where the name begins in every head of the table. */
export const NAME_START = 8
const LEAST_NAME_BYTES = 2
const MOST_NAME_BYTES = 6
/**
 * A head is compared as four words, so this much of the request, or of what follows it, must be
 * here.
 */
export const HEAD_WORDS_BYTES = 16

const PLACES = 64

class Head {
  /** The head's bytes 0 to 3, 4 to 7, 8 to 11, and those of 12 to 15 that `mask` keeps. */
  first = 0
  second = 0
  third = 0
  fourth = 0
  mask = 0
  /** Its length, with the line end of the name. */
  bytes = 0
  argCount = 0
  command: Command = UNKNOWN_COMMAND
}

const heads: readonly Head[] = Array.from({ length: PLACES }, () => new Head())

/** Names differ in their first letters, which are the third word. */
function placeOf(third: number): number {
  return (third ^ (third >>> 9)) & (PLACES - 1)
}

/**
 * @param start where a request begins, `HEAD_WORDS_BYTES` before the end of what is here.
 * @returns its head, or null when it is not known.
 */
export function knownHead(words: DataView, start: number): Head | null {
  const third = words.getInt32(start + 8, true)
  const head = heads[placeOf(third)]
  if (head.third !== third || head.first !== words.getInt32(start, true)) return null
  if (head.second !== words.getInt32(start + 4, true)) return null
  return (words.getInt32(start + 12, true) & head.mask) === head.fourth ? head : null
}

/**
 * Remembers the head of a request whose name is [start + `NAME_START`, nameEnd), where it has the
 * right form. 16 bytes from `start` on are here.
 */
export function learnHead(words: DataView, start: number, nameEnd: number, argCount: number, command: Command): void {
  const nameBytes = nameEnd - start - NAME_START
  if (nameBytes < LEAST_NAME_BYTES || nameBytes > MOST_NAME_BYTES) return
  const third = words.getInt32(start + 8, true)
  const head = heads[placeOf(third)]
  head.bytes = nameEnd + 2 - start
  head.mask = head.bytes === HEAD_WORDS_BYTES ? -1 : (1 << ((head.bytes - 12) * 8)) - 1
  head.first = words.getInt32(start, true)
  head.second = words.getInt32(start + 4, true)
  head.third = third
  head.fourth = words.getInt32(start + 12, true) & head.mask
  head.argCount = argCount
  head.command = command
}
