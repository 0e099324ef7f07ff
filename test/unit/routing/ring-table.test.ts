import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { shapeOf, tableChecksum } from '../../../src/routing/ring-table.ts'
import { MAX_SERVERS } from '../../../src/shared/config.ts'
import { type TableHalf, TableHead } from '../../../src/shared/memory-layout.ts'
import { equalPool, PublishedPool, poolWith } from './published-pool.ts'

/** Binary search for the first point with value >= v, past the end the first: the definition of the ring. */
function ownerBySearch(half: TableHalf, value: number): number {
  let low = 0
  let high = half.head[TableHead.pointCount]
  while (low < high) {
    const middle = (low + high) >> 1
    if (half.points[middle] < value) low = middle + 1
    else high = middle
  }
  return half.serverOfPoint[low === half.head[TableHead.pointCount] ? 0 : low]
}

function ownerByBucket(half: TableHalf, value: number): { owner: number; steps: number } {
  let at = half.buckets[value >>> half.head[TableHead.shift]]
  let steps = 0
  for (; half.points[at] < value; at++) steps++
  return { owner: half.serverOfPoint[at], steps }
}

describe('routing table', () => {
  test('the bucket index finds what a binary search of the ring finds', () => {
    const hash = fc.oneof(
      fc.integer({ min: 0, max: 0xffffffff }),
      fc.constantFrom(0, 1, 0x7fffffff, 0x80000000, 0xffffffff),
    )
    const weights = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 40 })
    fc.assert(
      fc.property(weights, fc.array(hash, { minLength: 50, maxLength: 50 }), (some, hashes) => {
        const names = some.map((_, server) => `server${100 + server}`)
        const half = new PublishedPool(poolWith(names, some, {})).publish()
        const points = [...half.points.subarray(0, half.head[TableHead.pointCount])]
        // Also on, before and behind points, where a search goes wrong first.
        const edges = hashes.map(value => points[value % points.length]).flatMap(v => [v, v - 1, v + 1])
        for (const value of [...hashes, ...edges.filter(v => v >= 0 && v <= 0xffffffff)]) {
          expect(ownerByBucket(half, value).owner, `value ${value}`).toBe(ownerBySearch(half, value))
        }
      }),
      { numRuns: 40 },
    )
  })

  test.each([1, 2, 4, 50, 200])('%i servers: a search takes less than one step on average', n => {
    const half = new PublishedPool(equalPool(n)).publish()
    let steps = 0
    for (let i = 0; i < 10_000; i++) steps += ownerByBucket(half, Math.imul(i, 0x9e3779b1) >>> 0).steps
    expect(steps / 10_000).toBeLessThan(0.5)
  })

  test('the last bucket and the wrap end at the sentinel, which belongs to the first point', () => {
    const half = new PublishedPool(equalPool(3)).publish()
    const count = half.head[TableHead.pointCount]
    expect(half.points[count]).toBe(0xffffffff)
    expect(ownerByBucket(half, 0xffffffff).owner).toBe(half.serverOfPoint[0])
  })

  test('has 2 to 4 buckets for each point, 65,536 at most', () => {
    for (const n of [1, 2, 3, 4, 7, 50, 100]) {
      const { points, bucketBits } = shapeOf(equalPool(n))
      const ratio = 2 ** bucketBits / (points - 1)
      expect(ratio).toBeGreaterThan(bucketBits === 16 ? 0 : 2)
      expect(ratio).toBeLessThanOrEqual(4)
    }
    expect(shapeOf(equalPool(1000)).bucketBits).toBe(16)
  })

  test('a pool without servers, or with more than serverOfPoint can number, is refused', () => {
    expect(() => shapeOf(equalPool(0))).toThrow('1 to 65536 servers')
    const many = { ...equalPool(1), servers: Array(MAX_SERVERS + 1).fill(equalPool(1).servers[0]) }
    expect(() => shapeOf(many)).toThrow('1 to 65536 servers')
  })

  test('the checksum notices any changed byte behind it', () => {
    const half = new PublishedPool(equalPool(4)).publish()
    expect(tableChecksum(half)).toBe(half.head[TableHead.checksum])
    for (const at of [4, 20, 3000, half.bytes.length - 1]) {
      half.bytes[at] ^= 1
      expect(tableChecksum(half)).not.toBe(half.head[TableHead.checksum])
      half.bytes[at] ^= 1
    }
  })
})
