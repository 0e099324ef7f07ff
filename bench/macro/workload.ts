/**
 * Turns the description of a load into bytes: batches of requests with the exact replies that they must get. The driver
 * only writes the one and compares with the other, so building a request or parsing a reply never costs time while it
 * measures, and a wrong, crossed or missing reply can never count as a fast one. Called by the driver and, for the
 * data, by `servers.ts`.
 */

import { seededIntegers } from './statistics.ts'

export type Protocol = 'redis' | 'memcached'

/** `mix`: nine gets to one set. `mget` and `mset` carry `keysPerRequest` keys. */
export type Operation = 'get' | 'set' | 'mix' | 'mget' | 'mset'

export interface Workload {
  readonly protocol: Protocol
  readonly operation: Operation
  /** Keys in one request: 1 but for `mget` and `mset`. */
  readonly keysPerRequest: number
  readonly valueBytes: number
  /** Requests in one batch: written at once, and the next is written when the last reply is in. */
  readonly pipeline: number
  /** Keys are `key:000000000000` … up to this many, as redis-benchmark writes them. */
  readonly keyspace: number
}

/** One write and its whole reply. */
export interface Batch {
  readonly request: Buffer
  readonly reply: Buffer
}

const BATCHES_MAX = 64
const BATCHES_MIN = 4
/** The driver keeps all batches in memory; big values get fewer. */
const BATCHES_BYTES = 32 << 20
const READS_IN_MIX = 9

/** Key number `index` as it travels. */
export function keyText(index: number): string {
  return `key:${String(index).padStart(12, '0')}`
}

/** The value of a key: its own name over and over, so that another key's value is never taken for it. */
export function valueText(index: number, bytes: number): string {
  const unit = keyText(index)
  return unit.repeat(Math.ceil(bytes / unit.length)).slice(0, bytes)
}

/** Between 4 and 64 different batches with random keys. @param seed same seed, same batches. */
export function buildBatches(workload: Workload, seed: number): Batch[] {
  const random = seededIntegers(seed)
  const bytes = workload.pipeline * workload.keysPerRequest * (workload.valueBytes + 64)
  const count = Math.min(BATCHES_MAX, Math.max(BATCHES_MIN, Math.floor(BATCHES_BYTES / bytes)))
  return Array.from({ length: count }, () => buildBatch(workload, random))
}

function buildBatch(workload: Workload, random: (bound: number) => number): Batch {
  let request = ''
  let reply = ''
  const encode = workload.protocol === 'redis' ? encodeRedis : encodeMemcached
  for (let i = 0; i < workload.pipeline; i++) {
    const keys = distinctKeys(workload, random)
    const [question, answer] = encode(workload, keys, random)
    request += question
    reply += answer
  }
  return { request: Buffer.from(request, 'latin1'), reply: Buffer.from(reply, 'latin1') }
}

/**
 * A key twice in one multi-get would be answered once by some memcached proxies and twice by others: both are right.
 */
function distinctKeys(workload: Workload, random: (bound: number) => number): number[] {
  const keys = new Set<number>()
  while (keys.size < workload.keysPerRequest) keys.add(random(workload.keyspace))
  return [...keys]
}

type Exchange = readonly [request: string, reply: string]

function encodeRedis(workload: Workload, keys: readonly number[], random: (bound: number) => number): Exchange {
  const values = keys.map(key => valueText(key, workload.valueBytes))
  switch (plainOperation(workload.operation, random)) {
    case 'get':
      return [respArray(['GET', keyText(keys[0]!)]), respBulk(values[0]!)]
    case 'mget':
      return [respArray(['MGET', ...keys.map(keyText)]), `*${keys.length}\r\n${values.map(respBulk).join('')}`]
    case 'set':
      return [respArray(['SET', keyText(keys[0]!), values[0]!]), '+OK\r\n']
    case 'mset':
      return [respArray(['MSET', ...keys.flatMap((key, i) => [keyText(key), values[i]!])]), '+OK\r\n']
  }
}

/** Memcached has no multi-set: `mset` is that many single ones. */
function encodeMemcached(workload: Workload, keys: readonly number[], random: (bound: number) => number): Exchange {
  const values = keys.map(key => valueText(key, workload.valueBytes))
  switch (plainOperation(workload.operation, random)) {
    case 'get':
    case 'mget': {
      const found = keys.map((key, i) => `VALUE ${keyText(key)} 0 ${values[i]!.length}\r\n${values[i]}\r\n`)
      return [`get ${keys.map(keyText).join(' ')}\r\n`, `${found.join('')}END\r\n`]
    }
    case 'set':
    case 'mset': {
      const stores = keys.map((key, i) => `set ${keyText(key)} 0 0 ${values[i]!.length}\r\n${values[i]}\r\n`)
      return [stores.join(''), 'STORED\r\n'.repeat(keys.length)]
    }
  }
}

function plainOperation(operation: Operation, random: (bound: number) => number): Exclude<Operation, 'mix'> {
  if (operation !== 'mix') return operation
  return random(READS_IN_MIX + 1) < READS_IN_MIX ? 'get' : 'set'
}

function respArray(words: readonly string[]): string {
  return `*${words.length}\r\n${words.map(respBulk).join('')}`
}

function respBulk(word: string): string {
  return `$${word.length}\r\n${word}\r\n`
}
