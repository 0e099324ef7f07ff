/**
 * The Redis command table, and a lookup by the bytes of a name that makes no string. Data plane. The data: `commands-data.ts`.
 *
 * Each command has two treatments: `action`, and `strictAction` for pools with `strict: true`, which know nutcracker's commands only, with
 * nutcracker's argument counts (`test/vectors/redis-commands.json`).
 */

import { encodeText } from '../../bytes/ascii.ts'
import * as data from './commands-data.ts'

/** How the proxy treats a command. */
export const Action = {
  /** Not in the table: refused. */
  refuse: 0,
  /** Whole to the server of one key: argument `Command.key`. */
  forward: 1,
  /** Whole to the server of the key `placeholder`. */
  forwardKeyless: 2,
  /** EVAL and its like: argument 2 says how many keys there are. */
  forwardScript: 3,
  /** Split by server when it has more than one key; integers summed. */
  sumKeys: 4,
  /** Split by server when it has more than one key; values gathered in key order. */
  gatherKeys: 5,
  /** MSET: split by pairs; one status. */
  splitPairs: 6,
  ping: 7,
  quit: 8,
  auth: 9,
  /** Selects or names a database. */
  database: 10,
  /** Whole to the server of all its keys; they must be on one. */
  multiKey: 11,
  /** Whole to the server of all its keys, or put together from several servers where the pool allows it. */
  gatherSets: 12,
  hello: 13,
  /** Answered by the proxy. */
  local: 14,
  /** Asks all servers. */
  keyspace: 15,
  transaction: 16,
  blocking: 17,
  pubsub: 18,
  /** Known, and refused. */
  deny: 19,
  /** Learned from the server, or unknown: whole to the only server of the pool. */
  passOn: 20,
  /** Learned from the servers; which of them has its keys is not certain. */
  unroutable: 21,
} as const
export type ActionCode = (typeof Action)[keyof typeof Action]

/** Bits of `Command.flags`. */
export const Flag = {
  write: 1,
  read: 2,
  blocking: 4,
  pubsub: 8,
  admin: 16,
  noScript: 32,
  noMulti: 64,
} as const

const FLAG_LETTERS: Readonly<Record<string, number>> = {
  w: Flag.write,
  r: Flag.read,
  b: Flag.blocking,
  p: Flag.pubsub,
  a: Flag.admin,
  s: Flag.noScript,
  m: Flag.noMulti,
}

/** Where a command has its keys; `key-positions.ts` finds them. */
export const KeyForm = { none: 0, range: 1, numkeys: 2, streams: 3, store: 4 } as const

export interface KeySpec {
  readonly form: (typeof KeyForm)[keyof typeof KeyForm]
  /** Argument of the first key (1 = first after the name), of the last (negative: from the end, -1 = the last argument), and the distance. */
  readonly first: number
  readonly last: number
  readonly step: number
  /** Argument that holds the number of keys; they follow it, `step` apart. 0 = none. */
  readonly numkeys: number
}

export interface Command {
  /** Upper case. */
  readonly name: string
  readonly action: ActionCode
  /** Redis's arity: arguments with the name; negative = at least. */
  readonly arity: number
  /** Bits of `Flag`. */
  readonly flags: number
  /** Index of the routing key among the arguments (1 = first after the name) where `forward` takes it from; 0 = none. */
  readonly key: number
  readonly keys: KeySpec
  /** In a `strict` pool, where the argument counts (the name not counted; `strictMax` -1 = no limit) must be nutcracker's. */
  readonly strictAction: ActionCode
  readonly strictMin: number
  readonly strictMax: number
  /** Fragments carry the name as nutcracker writes it: lower case, as a bulk (`$3\r\ndel\r\n`). */
  readonly fragmentName: Uint8Array
  readonly bytes: Uint8Array
}

type Strict = readonly [action: ActionCode, min: number, max: number]

/** No argument count fits. */
export const NOT_STRICT: Strict = [Action.refuse, 1, 0]

const strictRules: ReadonlyMap<string, Strict> = new Map([
  ...strictForward(data.NUTCRACKER_ARG0, 1, 1),
  ...strictForward(data.NUTCRACKER_ARG1, 2, 2),
  ...strictForward(data.NUTCRACKER_ARG2, 3, 3),
  ...strictForward(data.NUTCRACKER_ARG3, 4, 4),
  ...strictForward(data.NUTCRACKER_ARGN, 1, -1),
  ['DEL', [Action.sumKeys, 1, -1]],
  ['UNLINK', [Action.sumKeys, 1, -1]],
  ['TOUCH', [Action.sumKeys, 1, -1]],
  ['MGET', [Action.gatherKeys, 1, -1]],
  ['MSET', [Action.splitPairs, 2, -1]],
  ['EVAL', [Action.forwardScript, 3, -1]],
  ['EVALSHA', [Action.forwardScript, 3, -1]],
  ['COMMAND', [Action.forwardKeyless, 0, 0]],
  ['LOLWUT', [Action.forwardKeyless, 0, -1]],
  ['PING', [Action.ping, 0, 0]],
  ['QUIT', [Action.quit, 0, 0]],
  ['AUTH', [Action.auth, 1, 1]],
])

function strictForward(names: string, min: number, max: number): [string, Strict][] {
  return names.split(/\s+/).map(name => [name, [Action.forward, min, max]])
}

export const NO_KEYS: KeySpec = { form: KeyForm.none, first: 0, last: 0, step: 0, numkeys: 0 }

/** Reads a `keys` column; see `commands-data.ts`. */
function keySpec(text: string): KeySpec {
  if (text === '-') return NO_KEYS
  if (text === 'streams') return { ...NO_KEYS, form: KeyForm.streams }
  if (text === '1+store') return { form: KeyForm.store, first: 1, last: 1, step: 1, numkeys: 0 }
  const counted = /^(?:(\d)\+)?n(\d)(?::(\d))?$/.exec(text)
  if (counted !== null) {
    const [, first, numkeys, step] = counted
    const fixed = first === undefined ? 0 : Number(first)
    return { form: KeyForm.numkeys, first: fixed, last: fixed, step: Number(step ?? 1), numkeys: Number(numkeys) }
  }
  const [first, last, step] = text.split(':').map(Number)
  return { form: KeyForm.range, first, last: last ?? first, step: step ?? 1, numkeys: 0 }
}

function command(name: string, action: ActionCode, arity: number, flags: string, keys: string): Command {
  const spec = keySpec(keys)
  const [strictAction, strictMin, strictMax] = strictRules.get(name) ?? NOT_STRICT
  return {
    name,
    action,
    arity,
    flags: [...flags].reduce((bits, letter) => bits | (FLAG_LETTERS[letter] ?? 0), 0),
    key: strictAction === Action.forwardScript ? 3 : strictAction === Action.forward ? 1 : spec.first,
    keys: spec,
    strictAction,
    strictMin,
    strictMax,
    fragmentName: encodeText(`$${name.length}\r\n${name.toLowerCase()}\r\n`),
    bytes: encodeText(name),
  }
}

function commands(action: ActionCode, lines: string): Command[] {
  return lines
    .trim()
    .split('\n')
    .map(line => {
      const [name, arity, flags, keys] = line.split(' ')
      return command(name, action, Number(arity), flags, keys)
    })
}

/** What `lookupCommand` returns for a name that is not in the table. */
export const UNKNOWN_COMMAND: Command = command('', Action.refuse, -1, '-', '-')

/** Every command that the proxy knows by name, in no order that matters. @testOnly */
export const COMMANDS: readonly Command[] = [
  ...commands(Action.forward, data.FORWARD),
  ...data.FORWARD_MODULES.trim()
    .split(/\s+/)
    .map(name => command(name, Action.forward, -2, '-', '1')),
  command('JSON.DEBUG', Action.forward, -2, '-', '2'),
  ...commands(Action.multiKey, data.MULTI_KEY),
  ...commands(Action.gatherSets, data.GATHER),
  ...commands(Action.forwardScript, data.SCRIPT),
  ...commands(Action.forwardKeyless, data.KEYLESS),
  ...commands(Action.local, data.LOCAL),
  ...commands(Action.keyspace, data.KEYSPACE),
  ...commands(Action.transaction, data.TRANSACTION),
  ...commands(Action.blocking, data.BLOCKING),
  ...commands(Action.pubsub, data.PUBSUB),
  ...commands(Action.database, data.DATABASE),
  ...commands(Action.deny, data.DENIED),
  command('DEL', Action.sumKeys, -2, 'w', '1:-1:1'),
  command('UNLINK', Action.sumKeys, -2, 'w', '1:-1:1'),
  command('TOUCH', Action.sumKeys, -2, 'r', '1:-1:1'),
  // nutcracker counts on the first key's server only.
  command('EXISTS', Action.sumKeys, -2, 'r', '1:-1:1'),
  command('MGET', Action.gatherKeys, -2, 'r', '1:-1:1'),
  command('MSET', Action.splitPairs, -3, 'w', '1:-1:2'),
  command('PING', Action.ping, -1, '-', '-'),
  command('QUIT', Action.quit, -1, 's', '-'),
  command('AUTH', Action.auth, -2, 's', '-'),
  command('HELLO', Action.hello, -1, 's', '-'),
]

const TABLE_SIZE = 2048
const LONGEST_NAME = COMMANDS.reduce((longest, { name }) => Math.max(longest, name.length), 0)

/** Open addressing; a fifth full, so a miss ends at once. */
const table: readonly Command[] = buildTable()

function bucketOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = end - start
  // 0xdf folds ASCII letters to upper case.
  for (let i = start; i < end; i++) hash = (Math.imul(hash, 31) + (bytes[i] & 0xdf)) | 0
  return (hash ^ (hash >>> 11)) & (TABLE_SIZE - 1)
}

function buildTable(): Command[] {
  const buckets: Command[] = new Array(TABLE_SIZE).fill(UNKNOWN_COMMAND)
  for (const entry of COMMANDS) {
    let bucket = bucketOf(entry.bytes, 0, entry.bytes.length)
    while (buckets[bucket] !== UNKNOWN_COMMAND) bucket = (bucket + 1) & (TABLE_SIZE - 1)
    buckets[bucket] = entry
  }
  return buckets
}

/** Names of this many letters, GET and SET among them, are looked up by one number: 8 ns in place of 25. */
const SHORT_LENGTH = 3
const SHORT_TABLE_SIZE = 256
/** Mixes best for these names: few share a bucket. */
const SHORT_MULTIPLIER = 0x9e3779b1 | 0

/** Open addressing over `shortName`; 0 = free. */
const shortNames: Int32Array = new Int32Array(SHORT_TABLE_SIZE)
const shortCommands: Command[] = new Array(SHORT_TABLE_SIZE).fill(UNKNOWN_COMMAND)
for (const entry of COMMANDS) if (/^[A-Z]{3}$/.test(entry.name)) addShort(entry)

/** Three letters as one number, in upper case. A letter is folded to itself only from its other case, so no other bytes give the same number. */
function shortName(bytes: Uint8Array, start: number): number {
  return ((bytes[start] & 0xdf) << 16) | ((bytes[start + 1] & 0xdf) << 8) | (bytes[start + 2] & 0xdf)
}

function shortBucket(name: number): number {
  return Math.imul(name, SHORT_MULTIPLIER) >>> 24
}

function addShort(entry: Command): void {
  const name = shortName(entry.bytes, 0)
  let bucket = shortBucket(name)
  while (shortNames[bucket] !== 0) bucket = (bucket + 1) & (SHORT_TABLE_SIZE - 1)
  shortNames[bucket] = name
  shortCommands[bucket] = entry
}

function lookupShort(buf: Uint8Array, start: number): Command {
  const name = shortName(buf, start)
  let bucket = shortBucket(name)
  while (shortNames[bucket] !== name) {
    if (shortNames[bucket] === 0) return UNKNOWN_COMMAND
    bucket = (bucket + 1) & (SHORT_TABLE_SIZE - 1)
  }
  return shortCommands[bucket]
}

/** The command named by bytes [start, end), ASCII letters in any case; `UNKNOWN_COMMAND` when there is none. */
export function lookupCommand(buf: Uint8Array, start: number, end: number): Command {
  const length = end - start
  if (length === SHORT_LENGTH) return lookupShort(buf, start)
  if (length === 0 || length > LONGEST_NAME) return UNKNOWN_COMMAND
  let bucket = bucketOf(buf, start, end)
  for (;;) {
    const entry = table[bucket]
    if (entry === UNKNOWN_COMMAND) return entry
    const name = entry.bytes
    if (name.length === length) {
      let i = 0
      while (i < length && isLetterOf(buf[start + i], name[i])) i++
      if (i === length) return entry
    }
    bucket = (bucket + 1) & (TABLE_SIZE - 1)
  }
}

function isLetterOf(byte: number, upper: number): boolean {
  return byte === upper || (byte >= 97 && byte <= 122 && byte - 32 === upper)
}

/** Whether Redis takes this number of arguments, the name counted. */
export function fitsArity(command: Command, argCount: number): boolean {
  return command.arity >= 0 ? argCount === command.arity : argCount >= -command.arity
}
