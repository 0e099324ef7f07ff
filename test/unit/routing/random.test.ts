import { describe, expect, test } from 'vitest'
import { RandomDraw } from '../../../src/routing/random.ts'
import { PublishedPool, poolWith } from './published-pool.ts'

const KEY = Buffer.from('key')

/** How often each server was drawn; the draw starts from a fixed seed. */
function countsOf(published: PublishedPool, draws: number): number[] {
  const router = published.router()
  router.draw.state = 20_240_229
  const counts = published.pool.servers.map(() => 0)
  for (let i = 0; i < draws; i++) counts[router.route(KEY, 0, KEY.length)]++
  return counts
}

describe('random', () => {
  const pool = poolWith(['a', 'b', 'c', 'd'], [1, 3, 1, 90], { distribution: 'random' })

  test('draws every live server equally often, whatever its weight', () => {
    const published = new PublishedPool(pool)
    published.publish()
    for (const count of countsOf(published, 40_000)) expect(Math.abs(count - 10_000)).toBeLessThan(500)
  })

  test('never draws a server that is not live', () => {
    const published = new PublishedPool(pool)
    published.publish([0, 2])
    const [a, b, c, d] = countsOf(published, 10_000)
    expect([b, d]).toEqual([0, 0])
    expect(Math.abs(a - c)).toBeLessThan(500)
  })

  test('two workers draw different sequences', () => {
    const published = new PublishedPool(pool)
    published.publish()
    const sequences = [published.router(), published.router()].map(router =>
      Array.from({ length: 64 }, () => router.route(KEY, 0, KEY.length)).join(''),
    )
    expect(sequences[0]).not.toBe(sequences[1])
  })

  test('a draw is an int32 and never gets stuck', () => {
    const draw = new RandomDraw(1)
    const seen = new Set<number>()
    for (let i = 0; i < 10_000; i++) {
      const value = draw.next()
      expect(value).toBe(value | 0)
      seen.add(value)
    }
    expect(seen.size).toBe(10_000)
  })
})
