// ioredis as it is without options: INFO on connect, pipelines, MULTI, scripts by hash, subscriptions, databases.
import assert from 'node:assert/strict'
import { Redis } from 'ioredis'

const port = Number(process.env.PORT)
const redis = new Redis(port, '127.0.0.1')
const keys = Array.from({ length: 50 }, (_, n) => `k${n}`)
const pipeline = redis.pipeline()
for (const key of keys) pipeline.set(key, key)
for (const [error] of await pipeline.exec()) assert.equal(error, null)
assert.deepEqual(await redis.mget(keys), keys)
redis.defineCommand('double', { numberOfKeys: 1, lua: 'return redis.call("INCRBY", KEYS[1], ARGV[1] * 2)' })
assert.equal(await redis.double('n', 2), 4)
assert.equal(await redis.double('n', 2), 8)
const found = []
for await (const part of redis.scanStream({ match: 'k*', count: 10 })) found.push(...part)
assert.deepEqual([...new Set(found)].sort(), [...keys].sort())
const subscriber = redis.duplicate()
await subscriber.subscribe('news')
const heard = new Promise(resolve => subscriber.once('message', (_channel, text) => resolve(text)))
assert.equal(await redis.publish('news', 'hello'), 1)
assert.equal(await heard, 'hello')
const other = new Redis(port, '127.0.0.1', { db: 3 })
assert.equal(await other.get('k0'), null)
const queue = await Promise.all([other.blpop('queue', 10), redis.duplicate({ db: 3 }).rpush('queue', 'job')])
assert.deepEqual(queue[0], ['queue', 'job'])
const replies = await redis.multi().set('{m}a', '1').incr('{m}a').exec()
assert.deepEqual(replies, [
  [null, 'OK'],
  [null, 2],
])
const several = await redis.multi(keys.map(key => ['get', key])).exec()
assert.deepEqual(
  several,
  keys.map(key => [null, key]),
)
process.exit(0)
