// The npm package memcache-client: one value and many, counters, compare and swap.
import assert from 'node:assert/strict'
import { MemcacheClient } from 'memcache-client'

const client = new MemcacheClient({ server: { server: `127.0.0.1:${process.env.PORT}`, maxConnections: 4 } })
const keys = Array.from({ length: 50 }, (_, n) => `k${n}`)
await client.set('key', { a: [1] })
assert.deepEqual((await client.get('key')).value, { a: [1] })
await Promise.all(keys.map(key => client.set(key, key)))
const found = await client.get(keys)
assert.deepEqual(
  keys.map(key => found[key].value),
  keys,
)
await client.set('n', '1')
assert.equal(await client.incr('n', 4), '5')
const { casUniq } = await client.gets('n')
await client.cas('n', '9', { casUniq })
await assert.rejects(client.cas('n', '10', { casUniq }), /EXISTS/)
await client.delete('key')
assert.equal(await client.get('key'), undefined)
client.shutdown()
