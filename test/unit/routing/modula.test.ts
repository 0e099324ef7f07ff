import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { shapeOf } from '../../../src/routing/ring-table.ts'
import { PublishedPool, poolWith } from './published-pool.ts'

/** A hash that is the key itself, so that the test chooses the value. */
function routeOfHash(published: PublishedPool, hash: number): number {
  const router = published.router()
  Object.defineProperty(router, 'hash', { value: () => hash | 0 })
  return router.route(Buffer.from('k'), 0, 1)
}

describe('modula', () => {
  test('takes the entry hash mod length of the list of servers repeated by weight', () => {
    const weights = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 2, maxLength: 12 })
    fc.assert(
      fc.property(weights, fc.nat(), fc.integer({ min: 0, max: 0xffffffff }), (some, ejected, hash) => {
        const names = some.map((_, server) => `s${String(server).padStart(2, '0')}`)
        const live = some.map((_, server) => server).filter(server => server !== ejected % (2 * some.length))
        const published = new PublishedPool(poolWith(names, some, { distribution: 'modula' }))
        published.publish(live)
        const list = live.flatMap(server => Array<number>(some[server]).fill(server))
        expect(routeOfHash(published, hash)).toBe(list[hash % list.length])
      }),
    )
  })

  test('a table is as small for huge weights as for small ones', () => {
    const huge = shapeOf(poolWith(['a', 'b', 'c'], [2 ** 31 - 1, 2 ** 31 - 1, 1], { distribution: 'modula' }))
    expect(huge.points).toBe(4)
    expect(huge.bucketBits).toBeLessThanOrEqual(12)
  })

  test.each([
    { weights: [1_000_000, 1], hash: 999_999, owner: 0 },
    { weights: [1_000_000, 1], hash: 1_000_000, owner: 1 },
    { weights: [1_000_000, 1], hash: 1_000_001, owner: 0 },
    { weights: [2 ** 31 - 1, 2 ** 31 - 1], hash: 2 ** 31 - 2, owner: 0 },
    { weights: [2 ** 31 - 1, 2 ** 31 - 1], hash: 2 ** 31 - 1, owner: 1 },
    { weights: [2 ** 31 - 1, 2 ** 31 - 1], hash: 0xffffffff, owner: 0 },
    { weights: [2 ** 31 - 1, 2 ** 31 - 1, 2], hash: 0xffffffff, owner: 2 },
    { weights: [2 ** 31 - 1, 2 ** 31 - 1, 2 ** 31 - 1], hash: 0xffffffff, owner: 2 },
  ])('weights $weights: hash $hash belongs to server $owner', ({ weights, hash, owner }) => {
    const published = new PublishedPool(
      poolWith(['a', 'b', 'c'].slice(0, weights.length), weights, { distribution: 'modula' }),
    )
    published.publish()
    expect(routeOfHash(published, hash)).toBe(owner)
  })
})
