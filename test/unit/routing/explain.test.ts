import { describe, expect, test } from 'vitest'
import { explainKey, KeyExplainer } from '../../../src/routing/explain.ts'
import { equalPool, PublishedPool } from './published-pool.ts'

describe('explaining keys', () => {
  test('names the server to which a worker would send the key', () => {
    const published = new PublishedPool(equalPool(7, { hashTag: [0x7b, 0x7d] }))
    published.publish([0, 1, 2, 4, 6])
    const router = published.router()
    const explainer = new KeyExplainer(published.pool, [0, 1, 2, 4, 6])
    for (let i = 0; i < 200; i++) {
      const key = Buffer.from(i % 2 === 0 ? `key:${i}` : `a{${i}}b`)
      const index = router.route(key, 0, key.length)
      const owner = explainer.explain(key)
      expect(owner).toMatchObject({ index, by: 'hash', server: published.pool.servers[index] })
      expect(owner.hash).toBe(router.hashOf(key, 0, key.length) >>> 0)
    }
  })

  test('says when there is nothing to decide, or nobody to decide for', () => {
    const key = Buffer.from('abc')
    expect(explainKey(equalPool(1), key)).toMatchObject({ index: 0, by: 'only-server', hash: 88168267 })
    expect(explainKey(equalPool(3, { distribution: 'random' }), key)).toMatchObject({
      index: -1,
      server: null,
      by: 'draw',
    })
    expect(explainKey(equalPool(3), key, [])).toMatchObject({ index: -1, server: null, by: 'no-live-server' })
  })
})
