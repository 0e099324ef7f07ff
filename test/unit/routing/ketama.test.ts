import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ketamaPointCount } from '../../../src/routing/ketama.ts'
import { type TableHalf, TableHead } from '../../../src/shared/memory-layout.ts'
import continuum from '../../vectors/ketama-continuum.json' with { type: 'json' }
import { equalPool, PublishedPool, poolWith } from './published-pool.ts'

function ringOf(half: TableHalf): number[][] {
  const count = half.head[TableHead.pointCount]
  return Array.from({ length: count }, (_, at) => [half.points[at], half.serverOfPoint[at]])
}

describe('ketama', () => {
  test.each(continuum.pools.map(pool => ({ id: pool.id, pool })))(
    '$id: the ring is nutcracker’s, point for point',
    ({ pool }) => {
      const names = pool.servers.map(server => server.name)
      const weights = pool.servers.map(server => server.weight)
      const ejected: readonly number[] = pool.ejected
      const live = pool.servers.map(server => server.index).filter(server => !ejected.includes(server))
      const half = new PublishedPool(poolWith(names, weights, {})).publish(live)
      expect(ringOf(half)).toEqual(pool.continuum)
    },
  )

  test('loses a digest of each of n equal servers to rounding for exactly the known n', () => {
    const short = []
    for (let n = 1; n <= 200; n++) {
      const points = ketamaPointCount(1, n, n)
      expect([156, 160]).toContain(points)
      if (points === 156) short.push(n)
    }
    expect(short).toEqual([25, 47, 50, 55, 61, 71, 94, 100, 107, 109, 110, 115, 122, 142, 159, 163, 188, 193, 200])
  })

  test('gives a server with a very small share no point', () => {
    expect([ketamaPointCount(100_000, 100_001, 2), ketamaPointCount(1, 100_001, 2)]).toEqual([316, 0])
  })

  test('never has more points than 160 for each live server', () => {
    const weights = fc.array(fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 2 ** 31 - 1 })), {
      minLength: 1,
      maxLength: 300,
    })
    fc.assert(
      fc.property(weights, some => {
        const total = some.reduce((sum, weight) => sum + weight, 0)
        const points = some.reduce((sum, weight) => sum + ketamaPointCount(weight, total, some.length), 0)
        expect(points).toBeLessThanOrEqual(160 * some.length)
      }),
    )
  })

  test('is sorted by value, and equal servers keep their points when another is ejected', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 24 }), fc.nat(), (n, which) => {
        const published = new PublishedPool(equalPool(n))
        const all = ringOf(published.publish())
        for (let at = 1; at < all.length; at++) expect(all[at][0]).toBeGreaterThanOrEqual(all[at - 1][0])
        const ejected = which % n
        const left = published.pool.servers.map((_, server) => server).filter(server => server !== ejected)
        expect(ringOf(published.publish(left))).toEqual(all.filter(([, owner]) => owner !== ejected))
      }),
      { numRuns: 20 },
    )
  })
})
