// cache-manager with Keyv and @keyv/redis: many values in one call, a namespace that is cleared, iteration.
import assert from 'node:assert/strict'
import KeyvRedis from '@keyv/redis'
import { createCache } from 'cache-manager'
import { Keyv } from 'keyv'

const adapter = new KeyvRedis(`redis://127.0.0.1:${process.env.PORT}`)
const store = new Keyv({ store: adapter, namespace: 'pages' })
store.on('error', error => {
  console.error(String(error))
  process.exit(1)
})
const cache = createCache({ stores: [store], ttl: 60_000 })
const pairs = Array.from({ length: 50 }, (_, n) => ({ key: `k${n}`, value: { n } }))
await cache.mset(pairs)
assert.deepEqual(
  await cache.mget(pairs.map(({ key }) => key)),
  pairs.map(({ value }) => value),
)
assert.equal(await cache.wrap('made', async () => 'once'), 'once')
assert.equal(await cache.wrap('made', async () => 'twice'), 'once')
await cache.mdel(['k0', 'k1'])
assert.equal(await cache.get('k0'), undefined)
let count = 0
for await (const _ of store.iterator(undefined)) count++
assert.equal(count, 49)
await store.clear()
assert.equal(await cache.get('k2'), undefined)
process.exit(0)
