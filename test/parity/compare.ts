/** How two replies are held against each other. `exact` is the rule; the others are for what a server answers differently each time. */

import { valueBlocks } from '../support/wire/memcache-wire.ts'
import { replyEnd } from '../support/wire/resp.ts'

/**
 * `exact`: every byte. `unordered`: the same elements in any order. `pairs`: the same field and value pairs in any order. `scan`: the
 * same cursor, and elements in any order. `type`: the same type of reply. `shape`: also the same number of elements. `time`: integers a few seconds
 * apart. `dump`: every byte, but for hash table encodings, which keep the server's order: there the length. `sum`: the subject's
 * integer is the sum of the reference's replies. `cas`: every byte of memcached's VALUE blocks but the cas uniques, which count the
 * writes of all connections.
 */
export type Compare = 'exact' | 'unordered' | 'pairs' | 'scan' | 'type' | 'shape' | 'time' | 'dump' | 'sum' | 'cas'

const CLOCK_TOLERANCE = 5_000

/** @param reference one reply, but for `sum`. */
export function sameReply(compare: Compare, reference: readonly Buffer[], subject: Buffer): boolean {
  const expected = reference[0]!
  if (compare === 'sum') return sum(reference) === subject.toString('latin1')
  if (expected.equals(subject)) return true
  switch (compare) {
    case 'exact':
      return false
    case 'unordered':
      return sameElements(elements(expected), elements(subject), 1)
    case 'pairs':
      return sameElements(elements(expected), elements(subject), 2)
    case 'scan':
      return sameScan(elements(expected), elements(subject))
    case 'type':
      return expected[0] === subject[0]
    case 'shape':
      return sameShape(expected, subject)
    case 'time':
      return sameTime(expected.toString('latin1'), subject.toString('latin1'))
    case 'dump':
      return sameDump(expected, subject)
    case 'cas':
      return withoutCas(expected) === withoutCas(subject)
  }
}

function sum(replies: readonly Buffer[]): string {
  const total = replies.reduce(
    (before, reply) => before + Number(/^:(\d+)\r\n$/.exec(reply.toString('latin1'))?.[1]),
    0,
  )
  return `:${total}\r\n`
}

/** The elements of an array reply as raw replies, one char a byte; null for anything else. */
function elements(reply: Buffer): string[] | null {
  const head = /^\*(\d+)\r\n/.exec(reply.toString('latin1', 0, 16))
  if (head === null) return null
  const found: string[] = []
  for (let at = head[0].length; at < reply.length; ) {
    const end = replyEnd(reply, at, reply.length)
    found.push(reply.toString('latin1', at, end))
    at = end
  }
  return found
}

function sameElements(expected: string[] | null, subject: string[] | null, group: number): boolean {
  if (expected === null || subject === null || expected.length !== subject.length) return false
  return sorted(expected, group) === sorted(subject, group)
}

/** Groups of `group` elements, sorted; separated by a character that no byte is. */
function sorted(all: string[], group: number): string {
  const groups: string[] = []
  for (let at = 0; at < all.length; at += group) groups.push(all.slice(at, at + group).join('\u0100'))
  return groups.sort().join('\u0101')
}

function sameScan(expected: string[] | null, subject: string[] | null): boolean {
  if (expected?.length !== 2 || subject?.length !== 2 || expected[0] !== subject[0]) return false
  const [left, right] = [expected[1]!, subject[1]!].map(list => elements(Buffer.from(list, 'latin1')))
  return sameElements(left!, right!, 1)
}

function sameShape(expected: Buffer, subject: Buffer): boolean {
  if (expected[0] !== subject[0]) return false
  return elements(expected)?.length === elements(subject)?.length
}

function sameTime(expected: string, subject: string): boolean {
  const [left, right] = [expected, subject].map(text => /^:(\d+)\r\n$/.exec(text)?.[1])
  if (left === undefined || right === undefined) return false
  return Math.abs(Number(left) - Number(right)) <= CLOCK_TOLERANCE
}

/** RDB's object types for a set and a hash kept in a hash table. */
const HASH_TABLE_TYPES = [2, 4]

function sameDump(expected: Buffer, subject: Buffer): boolean {
  if (expected.length !== subject.length) return false
  const type = expected[expected.indexOf('\r\n') + 2]!
  return HASH_TABLE_TYPES.includes(type)
}

/** A reply to `gets` in one text, each cas unique replaced by whether it is there. */
function withoutCas(reply: Buffer): string {
  const blocks = valueBlocks(reply).map(({ key, flags, cas, data }) => [key, flags, cas !== '', data])
  return JSON.stringify([blocks, reply.toString('latin1', Math.max(0, reply.length - 5))])
}
