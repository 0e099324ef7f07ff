// Points that are used up, a penalty, and a block, in rate-limiter-flexible over ioredis.
import assert from 'node:assert/strict'
import { Redis } from 'ioredis'
import { RateLimiterRedis } from 'rate-limiter-flexible'

const storeClient = new Redis(Number(process.env.PORT), '127.0.0.1')
const limiter = new RateLimiterRedis({ storeClient, points: 5, duration: 60 })
for (let user = 0; user < 20; user++) {
  for (let n = 4; n >= 0; n--) assert.equal((await limiter.consume(`user${user}`)).remainingPoints, n)
  await assert.rejects(limiter.consume(`user${user}`), { remainingPoints: 0 })
}
await limiter.penalty('other', 2)
assert.equal((await limiter.get('other')).consumedPoints, 2)
await limiter.block('other', 60)
await assert.rejects(limiter.consume('other'), { remainingPoints: 0 })
assert.equal(await limiter.delete('other'), true)
assert.equal((await limiter.consume('other')).remainingPoints, 4)
process.exit(0)
