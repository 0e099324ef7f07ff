import { createHash, randomBytes } from 'node:crypto'
import { crc32 as zlibCrc32 } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { HASH_FUNCTIONS } from '../../../src/hashkit/by-name.ts'
import { HASH_NAMES, type HashName } from '../../../src/shared/config.ts'
import vectors from '../../vectors/hash-vectors.json' with { type: 'json' }

/** Other bytes around the key, so that a function that reads past either end is found out. */
function hashInside(name: HashName, key: Uint8Array, before = randomBytes(5), after = randomBytes(16)): number {
  const bytes = Buffer.concat([before, key, after])
  return HASH_FUNCTIONS[name](bytes, before.length, before.length + key.length)
}

describe('hash functions', () => {
  test('there is one for every name of the configuration', () => {
    expect(Object.keys(HASH_FUNCTIONS).sort()).toEqual([...HASH_NAMES].sort())
  })

  test.each(vectors.functions.map((name, column) => ({ name: name as HashName, column })))(
    '$name gives what nutcracker gives for every vector',
    ({ name, column }) => {
      expect(vectors.vectors.length).toBeGreaterThan(400)
      for (const vector of vectors.vectors) {
        const key = Buffer.from(vector.hex, 'hex')
        const hash = hashInside(name, key) >>> 0
        if (hash !== vector.h[column]) expect.fail(`key ${vector.hex}: ${hash}, nutcracker has ${vector.h[column]}`)
      }
    },
  )

  test.each([...HASH_NAMES])('%s returns an int32 that depends on nothing but the bytes of the key', name => {
    for (let length = 0; length < 140; length++) {
      const key = randomBytes(length)
      const hash = hashInside(name, key)
      expect(hash).toBe(hash | 0)
      expect(hashInside(name, key, randomBytes(8), randomBytes(3)), `key ${key.toString('hex')}`).toBe(hash)
      expect(HASH_FUNCTIONS[name](new Uint8Array(key), 0, length), `key ${key.toString('hex')}`).toBe(hash)
    }
  })

  test('md5 and crc32a agree with the libraries of Node at every length', () => {
    for (let length = 0; length < 300; length++) {
      const key = randomBytes(length)
      const digest = createHash('md5').update(key).digest()
      expect(hashInside('md5', key), `key ${key.toString('hex')}`).toBe(digest.readInt32LE(0))
      expect(hashInside('crc32a', key) >>> 0, `key ${key.toString('hex')}`).toBe(zlibCrc32(key))
    }
  })

  test('the 64-bit FNV hashes equal arithmetic in 64 bits, cut at the end', () => {
    for (let length = 0; length < 60; length++) {
      const key = randomBytes(length)
      let fnv1 = 0xcbf29ce484222325n
      for (const byte of new Int8Array(key)) fnv1 = ((fnv1 * 0x100000001b3n) ^ BigInt(byte)) & 0xffffffffffffffffn
      expect(hashInside('fnv1_64', key) >>> 0).toBe(Number(fnv1 & 0xffffffffn))
    }
  })
})
