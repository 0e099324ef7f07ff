/**
 * Every key hash over keys of 17 bytes (a session key) and of 64; MD5 also through node:crypto,
 * which is why we have our own.
 */

import { hash as cryptoHash } from 'node:crypto'
import { HASH_FUNCTIONS } from '../../../src/hashkit/by-name.ts'
import type { HashFunction } from '../../../src/hashkit/hash-function.ts'
import { HASH_NAMES } from '../../../src/shared/config.ts'

const BATCH = 1024
const SHORT_KEYS = Array.from({ length: BATCH }, (_, i) => Buffer.from(`user:session:${1000 + i}`))
const LONG_KEYS = SHORT_KEYS.map(key => Buffer.from(key.toString().padEnd(64, '.')))

/** Keeps the results in use, so that no call is optimised away. */
export const sink = { value: 0 }

function hashAll(hash: HashFunction, keys: readonly Buffer[]): void {
  let mixed = 0
  for (const key of keys) mixed ^= hash(key, 0, key.length)
  sink.value ^= mixed
}

const cryptoMd5: HashFunction = (bytes, start, end) =>
  cryptoHash('md5', bytes.subarray(start, end), 'buffer').readInt32LE(0)

const functions: [string, HashFunction][] = HASH_NAMES.map(name => [name, HASH_FUNCTIONS[name]])

export const suite = {
  name: 'hashkit',
  tasks: [...functions, ['md5 by node:crypto', cryptoMd5] as const].flatMap(([name, hash]) => [
    { name: `${name}, 17 bytes`, batch: BATCH, fn: () => hashAll(hash, SHORT_KEYS) },
    { name: `${name}, 64 bytes`, batch: BATCH, fn: () => hashAll(hash, LONG_KEYS) },
  ]),
}
