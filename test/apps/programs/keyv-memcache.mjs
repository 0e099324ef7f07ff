// @keyv/memcache is built on MemJS: the binary protocol.
import assert from 'node:assert/strict'
import { KeyvMemcache } from '@keyv/memcache'
import { Keyv } from 'keyv'

const store = new Keyv({ store: new KeyvMemcache(`127.0.0.1:${process.env.PORT}`, { retries: 0, timeout: 2 }) })
store.on('error', error => {
  console.error(String(error))
  process.exit(1)
})
await store.set('key', 'value')
assert.equal(await store.get('key'), 'value')
process.exit(0)
