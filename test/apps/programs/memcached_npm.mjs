// The npm package memcached: one value and many, counters, compare and swap.
import assert from 'node:assert/strict'
import { promisify } from 'node:util'
import Memcached from 'memcached'

const client = new Memcached(`127.0.0.1:${process.env.PORT}`)
const call = (name, ...args) => promisify(client[name].bind(client))(...args)
const keys = Array.from({ length: 50 }, (_, n) => `k${n}`)
assert.equal(await call('set', 'key', { a: [1] }, 100), true)
assert.deepEqual(await call('get', 'key'), { a: [1] })
await Promise.all(keys.map(key => call('set', key, key, 100)))
assert.deepEqual(await call('getMulti', keys), Object.fromEntries(keys.map(key => [key, key])))
await call('set', 'n', 1, 100)
assert.equal(await call('incr', 'n', 4), 5)
const { cas } = await call('gets', 'key')
assert.equal(await call('cas', 'key', 'new', cas, 100), true)
assert.equal(await call('del', 'key'), true)
assert.equal(await call('get', 'key'), undefined)
client.end()
