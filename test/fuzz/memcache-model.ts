/**
 * A memcached for the fuzz (1.6.18's ASCII protocol): strict about what it is sent, and its replies
 * name the client that they are for, as those of `redis-model.ts`.
 */

import type { Random } from '../support/random.ts'
import { printable } from '../support/wire/resp.ts'
import { Fault } from './fault.ts'
import type { Model, ModelReply } from './model-server.ts'
import { isWitnessKey, type Marks, witnessValue } from './tokens.ts'

const CRLF = '\r\n'
const MOST_KEY_BYTES = 250
const STORAGE = ['set', 'add', 'replace', 'append', 'prepend', 'cas']
const NOREPLY = [...STORAGE, 'incr', 'decr', 'touch', 'delete', 'flush_all', 'verbosity']
const KEYLESS = ['stats', 'version', 'verbosity', 'flush_all']
/** Share of the fuzzed requests that may get an error. */
const ODD_SHARE = 0.02
const ODD_REPLIES = ['SERVER_ERROR odd\r\n', 'ERROR\r\n', 'CLIENT_ERROR odd\r\n']

/** The values of these keys, in the form of `get` or `gets`. */
export function valueReply(values: readonly (readonly [key: string, value: string])[], withCas: boolean): string {
  const blocks = values.map(
    ([key, value]) => `VALUE ${key} 7 ${value.length}${withCas ? ' 1' : ''}${CRLF}${value}${CRLF}`,
  )
  return `${blocks.join('')}END${CRLF}`
}

export class MemcacheModel implements Model {
  private readonly random: Random
  private readonly marks: Marks
  private readonly oddShare: number

  /** @param isOdd now and then it says what no healthy server does. */
  constructor(random: Random, marks: Marks, isOdd: boolean) {
    this.oddShare = isOdd ? ODD_SHARE : 0
    this.random = random
    this.marks = marks
  }

  requestEnd(bytes: Buffer, at: number): number {
    const line = bytes.indexOf(10, at)
    if (line < 0) return -1
    const words = wordsOf(bytes, at, line)
    const size = dataSize(words)
    if (size < 0) return line + 1
    const end = line + 1 + size + 2
    if (end > bytes.length) return -1
    if (bytes.toString('latin1', end - 2, end) !== CRLF) refuse(bytes, at, 'no CRLF after the data')
    return end
  }

  answer(request: Buffer): ModelReply {
    const words = wordsOf(request, 0, request.indexOf(10))
    this.check(request, words)
    const keys = keysOf(words)
    for (const key of keys) if (key.length > MOST_KEY_BYTES) refuse(request, 0, 'a key that is too long')
    // A `get` may serve several clients: an error for one of them would be for all.
    const owned = keys.some(isWitnessKey)
    const odd = !owned && this.random.chance(this.oddShare)
    const text = odd ? this.random.pick(ODD_REPLIES) : this.reply(request, words, keys)
    return { bytes: Buffer.from(text, 'latin1'), waitMs: 0, odd, witnessKeys: keys.filter(isWitnessKey) }
  }

  /** Every request must be answered once, whatever becomes of it. */
  private check(request: Buffer, words: readonly string[]): void {
    const [name, ...args] = words
    if (name === undefined) refuse(request, 0, 'an empty line')
    const isKey = name !== 'flush_all' && name !== 'verbosity' && args.length === 1
    if (NOREPLY.includes(name!) && args.at(-1) === 'noreply' && !isKey) refuse(request, 0, 'noreply')
    if (/^m[gsda]$/.test(name!) && args.slice(name === 'ms' ? 2 : 1).some(flag => flag.startsWith('q'))) {
      refuse(request, 0, 'a quiet request')
    }
    if (name === 'quit' || name === 'shutdown' || name === 'watch') refuse(request, 0, `${name} reached a server`)
  }

  private reply(request: Buffer, words: readonly string[], keys: readonly string[]): string {
    const [name] = words
    if (dataSize(words) >= 0) return name === 'ms' ? this.metaStored(words) : `STORED${CRLF}`
    // What follows would be taken for requests, and be answered.
    if (name === 'ms' || STORAGE.includes(name!)) refuse(request, 0, 'data without a good length')
    switch (name) {
      case 'get':
      case 'gat':
      case 'gets':
      case 'gats':
        return valueReply(
          keys.map(key => [key, this.valueOf(key)]),
          name.endsWith('s'),
        )
      case 'incr':
      case 'decr':
        return `1${this.random.below(10)}${CRLF}`
      case 'touch':
        return `TOUCHED${CRLF}`
      case 'delete':
        return `DELETED${CRLF}`
      case 'version':
        return `VERSION 1.6.18${CRLF}`
      case 'verbosity':
      case 'flush_all':
        return `OK${CRLF}`
      case 'stats':
        return words[1] === 'reset' ? `RESET${CRLF}` : `STAT pid 1${CRLF}STAT curr_items 3${CRLF}END${CRLF}`
      default:
        return this.metaReply(words)
    }
  }

  private metaReply(words: readonly string[]): string {
    const [name, key, ...flags] = words
    if (key === undefined) return `ERROR${CRLF}`
    const echoed = echoOf(key, flags)
    if (name === 'me') return `ME ${key} exp=-1${CRLF}`
    if (name === 'md') return `HD${echoed}${CRLF}`
    if (name !== 'mg' && name !== 'ma') return `ERROR${CRLF}`
    if (!flags.some(flag => flag.startsWith('v'))) return `HD${echoed}${CRLF}`
    const value = this.valueOf(key)
    return `VA ${value.length}${echoed}${CRLF}${value}${CRLF}`
  }

  private metaStored(words: readonly string[]): string {
    return `HD${echoOf(words[1]!, words.slice(3))}${CRLF}`
  }

  private valueOf(key: string): string {
    return isWitnessKey(key) ? witnessValue(key) : this.marks.name([key])
  }
}

/** Flags whose values come back: opaque and key. */
function echoOf(key: string, flags: readonly string[]): string {
  const echoes = flags.flatMap(flag => (flag.startsWith('O') ? [flag] : flag.startsWith('k') ? [`k${key}`] : []))
  return echoes.length === 0 ? '' : ` ${echoes.join(' ')}`
}

function wordsOf(bytes: Buffer, at: number, line: number): string[] {
  const end = line > at && bytes[line - 1] === 13 ? line - 1 : line
  return bytes
    .toString('latin1', at, end)
    .split(' ')
    .filter(word => word !== '')
}

/** Size of the data block that follows the line, or -1 when none does: not a storage command, or not a good one. */
function dataSize(words: readonly string[]): number {
  const [name] = words
  if (name === 'ms') return decimal(words[2])
  if (name === undefined || !STORAGE.includes(name)) return -1
  const least = name === 'cas' ? 6 : 5
  if (words.length < least || words.length > least + 1) return -1
  if (!isInteger(words[2]!, 0n, 2n ** 64n) || !isInteger(words[3]!, -(2n ** 63n), 2n ** 63n)) return -1
  if (name === 'cas' && !isInteger(words[5]!, 0n, 2n ** 64n)) return -1
  return decimal(words[4])
}

/** @param below the first that is too large. */
function isInteger(text: string, least: bigint, below: bigint): boolean {
  return /^-?\d+$/.test(text) && BigInt(text) >= least && BigInt(text) < below
}

function decimal(text = ''): number {
  return isInteger(text, 0n, 2n ** 31n) ? Number(text) : -1
}

function keysOf(words: readonly string[]): readonly string[] {
  const [name, ...args] = words
  if (name === 'get' || name === 'gets') return args
  if (name === 'gat' || name === 'gats') return args.slice(1)
  if (KEYLESS.includes(name!)) return []
  return args.slice(0, 1)
}

function refuse(bytes: Buffer, at: number, why: string): never {
  throw new Fault('bad request', `a memcached was sent ${printable(bytes.subarray(at), 200)}: ${why}`)
}
