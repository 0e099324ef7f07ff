// MemJS has the binary protocol only.
import assert from 'node:assert/strict'
import memjs from 'memjs'

const client = memjs.Client.create(`127.0.0.1:${process.env.PORT}`, { retries: 0, timeout: 2 })
await client.set('key', 'value', {})
assert.equal(String((await client.get('key')).value), 'value')
process.exit(0)
