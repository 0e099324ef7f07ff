import { describe, expect, test } from 'vitest'
import { KeySplit } from '../../../../src/worker/request/key-split.ts'
import { Random, runSeed } from '../../../support/random.ts'

function listOf(split: KeySplit, server: number): number[] {
  const keys: number[] = []
  for (let key = split.head[server]!; key >= 0; key = split.nextKey[key]!) keys.push(key)
  return keys
}

describe('KeySplit', () => {
  test('groups keys by server, in key order, any number of times', () => {
    const random = new Random(runSeed())
    const servers = 40
    const split = new KeySplit(servers)
    for (let round = 0; round < 300; round++) {
      const serverOfKey = Array.from({ length: random.between(1, 300) }, () => random.below(random.between(1, servers)))
      split.clear(serverOfKey.length)
      for (const server of serverOfKey) split.add(server)
      const used = [...new Set(serverOfKey)].sort((left, right) => left - right)
      expect(split.serverCount).toBe(used.length)
      expect([split.first, split.last]).toEqual([used[0], used.at(-1)])
      expect(split.keyCount).toBe(serverOfKey.length)
      for (let server = 0; server < servers; server++) {
        const keys = serverOfKey.flatMap((own, key) => (own === server ? [key] : []))
        expect(listOf(split, server)).toEqual(keys)
        expect(split.count[server]).toBe(keys.length)
      }
    }
  })

  test('is empty after a split that was given up half-way', () => {
    const split = new KeySplit(4)
    split.clear(10)
    split.add(3)
    split.add(1)
    split.clear(1)
    split.add(2)
    expect([split.serverCount, split.first, split.last]).toEqual([1, 2, 2])
    expect([0, 1, 2, 3].map(server => listOf(split, server))).toEqual([[], [], [0], []])
  })
})
