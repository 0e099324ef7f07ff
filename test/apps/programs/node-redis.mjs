// node-redis as it is without options: its own pipelining, MULTI, scripts, subscriptions, databases, blocking reads.
import assert from 'node:assert/strict'
import { createClient } from 'redis'

async function open(options = {}) {
  const client = createClient({ url: `redis://127.0.0.1:${process.env.PORT}`, ...options })
  client.on('error', error => console.error(String(error)))
  return client.connect()
}
const client = await open()
const keys = Array.from({ length: 50 }, (_, n) => `k${n}`)
await Promise.all(keys.map(key => client.set(key, key)))
assert.deepEqual(await client.mGet(keys), keys)
assert.equal(await client.eval('return redis.call("INCR", KEYS[1])', { keys: ['n'], arguments: [] }), 1)
const found = []
for await (const part of client.scanIterator({ MATCH: 'k*', COUNT: 10 })) found.push(...part)
assert.deepEqual([...new Set(found)].sort(), [...keys].sort())
const subscriber = await open()
const heard = new Promise(resolve => subscriber.subscribe('news', resolve).then(() => client.publish('news', 'hello')))
assert.equal(await heard, 'hello')
const other = await open({ database: 3 })
assert.equal(await other.get('k0'), null)
const blocked = (await open({ database: 3 })).blPop('queue', 10)
await other.rPush('queue', 'job')
assert.equal((await blocked).element, 'job')
assert.deepEqual(await client.multi().set('{m}a', '1').incr('{m}a').exec(), ['OK', 2])
const several = client.multi()
for (const key of keys) several.get(key)
assert.deepEqual(await several.exec(), keys)
process.exit(0)
