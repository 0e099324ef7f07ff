// One lock over one key; a second holder waits for it; a lock over several keys.
import assert from 'node:assert/strict'
import { Redis } from 'ioredis'
import Redlock from 'redlock'

const redlock = new Redlock([new Redis(Number(process.env.PORT), '127.0.0.1')], { retryCount: 3, retryDelay: 50 })
for (let n = 0; n < 20; n++) {
  const lock = await redlock.lock(`lock:${n}`, 5_000)
  await assert.rejects(redlock.lock(`lock:${n}`, 5_000), { name: 'LockError' })
  await lock.extend(5_000)
  await lock.unlock()
  await (await redlock.lock(`lock:${n}`, 5_000)).unlock()
}
if (process.env.SEVERAL === '1')
  await (
    await redlock.lock(
      [1, 2, 3, 4, 5, 6, 7, 8].map(n => `${process.env.PREFIX ?? 'several'}:${n}`),
      5_000,
    )
  ).unlock()
process.exit(0)
