import { describe, expect, test } from 'vitest'
import type { DistributionName, HashName, PoolConfig } from '../../../src/shared/config.ts'
import { DISTRIBUTION_NAMES } from '../../../src/shared/config.ts'
import mapKeys from '../../vectors/map-keys.json' with { type: 'json' }
import mapVectors from '../../vectors/map-vectors.json' with { type: 'json' }
import { equalPool, PublishedPool, poolWith } from './published-pool.ts'

const KEYS = mapKeys.keys.map(key => Buffer.from(key, 'hex'))

function routeOf(published: PublishedPool, key: string): number {
  const bytes = Buffer.from(`<${key}>`, 'latin1')
  return published.router().route(bytes, 1, 1 + key.length)
}

function publishedPool(pool: PoolConfig): PublishedPool {
  const published = new PublishedPool(pool)
  published.publish()
  return published
}

describe('router', () => {
  test.each(mapVectors.configs.map(config => ({ id: config.id, config })))(
    '$id: every key goes to the server where nutcracker sends it',
    ({ config }) => {
      const tag = config.hash_tag === null ? null : Buffer.from(config.hash_tag as string, 'latin1')
      const pool = poolWith(config.servers, config.weights, {
        hash: config.hash as HashName,
        distribution: config.distribution as DistributionName,
        hashTag: tag === null ? null : [tag[0], tag[1]],
      })
      const ejected: readonly number[] = config.ejected
      const published = new PublishedPool(pool)
      published.publish(config.servers.map((_, server) => server).filter(server => !ejected.includes(server)))
      const router = published.router()
      expect(KEYS.map(key => router.route(key, 0, key.length))).toEqual(config.map)
    },
  )

  test('a pool of one server is not hashed', () => {
    const router = publishedPool(equalPool(1)).router()
    Object.defineProperty(router, 'hash', { value: () => expect.unreachable() })
    expect(router.route(Buffer.from('key'), 0, 3)).toBe(0)
  })

  test.each([...DISTRIBUTION_NAMES])('%s: -1 before the first table, and while no server is live', distribution => {
    for (const n of [1, 3]) {
      const published = new PublishedPool(equalPool(n, { distribution }))
      const router = published.router()
      const route = () => router.route(Buffer.from('key'), 0, 3)
      expect(route()).toBe(-1)
      published.publish()
      router.refresh()
      expect(route()).toBeGreaterThanOrEqual(0)
      published.publish([])
      router.refresh()
      expect(route()).toBe(-1)
      published.publish([n - 1])
      router.refresh()
      expect(route()).toBe(n - 1)
    }
  })

  test.each(['md5', 'jenkins', 'fnv1a_64', 'one_at_a_time'] as const)('%s: an empty key hashes to 0', hash => {
    const router = publishedPool(equalPool(5, { hash })).router()
    expect(router.hashOf(Buffer.from('abc'), 1, 1)).toBe(0)
    expect(router.route(Buffer.from('abc'), 1, 1)).toBe(router.serverOfPoint[0])
  })

  test('keys with the same tag share a server, which the tag alone has too', () => {
    const published = publishedPool(equalPool(40, { hashTag: [0x7b, 0x7d] }))
    const owner = routeOf(published, '{user:7}')
    expect(routeOf(published, 'a{user:7}')).toBe(owner)
    expect(routeOf(published, 'other{user:7}{user:8}')).toBe(owner)
    expect(routeOf(published, 'user:7')).toBe(owner)
    const whole = new Set(Array.from({ length: 20 }, (_, i) => routeOf(published, `${i}{}`)))
    expect(whole.size).toBeGreaterThan(1)
  })

  test('keeps its table through the turn, and follows the epoch when it is refreshed', () => {
    const published = publishedPool(equalPool(4))
    const router = published.router()
    const serverOfPoint = () => KEYS.map(key => router.route(key, 0, key.length))
    const before = serverOfPoint()
    published.publish([0, 1, 3])
    published.publish([0, 1])
    published.publish([1, 3])
    expect(serverOfPoint()).toEqual(before)
    router.refresh()
    expect(new Set(serverOfPoint())).toEqual(new Set([1, 3]))
    const counted = published.router()
    expect(counted.epoch).toBe(4)
  })

  test('follows the epoch over its largest value', () => {
    const published = new PublishedPool(equalPool(4))
    const epochs = { epoch: 0, building: 2 }
    Atomics.store(published.head, epochs.epoch, 2 ** 31 - 2)
    Atomics.store(published.head, epochs.building, 2 ** 31 - 2)
    const router = published.router()
    for (const live of [[0, 1, 2, 3], [0, 2], [3]]) {
      published.publish(live)
      router.refresh()
      expect(new Set(KEYS.map(key => router.route(key, 0, key.length)))).toEqual(new Set(live))
    }
    expect(router.epoch).toBe(-(2 ** 31) + 1)
  })
})
