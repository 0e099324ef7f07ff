// Jobs, delayed jobs, and their results by publish and subscribe.
import assert from 'node:assert/strict'
import Queue from 'bee-queue'

const redis = { host: '127.0.0.1', port: Number(process.env.PORT) }
const prefix = process.env.PREFIX === undefined ? {} : { prefix: process.env.PREFIX }
const queue = new Queue('mail', { redis, activateDelayedJobs: true, ...prefix })
queue.on('error', error => {
  console.error(String(error))
  process.exit(1)
})
await queue.ready()
queue.process(4, async job => job.data.n * 2)
const results = []
const finish = async job => {
  const result = new Promise((resolve, reject) => job.on('succeeded', resolve).on('failed', reject))
  await job.save()
  results.push(result)
}
for (let n = 0; n < 20; n++) await finish(queue.createJob({ n }))
await finish(queue.createJob({ n: 20 }).delayUntil(Date.now() + 200))
assert.deepEqual(
  await Promise.all(results),
  results.map((_, n) => n * 2),
)
await queue.close()
process.exit(0)
