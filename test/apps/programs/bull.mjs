// Jobs: at once, delayed, and repeated after a failure.
import assert from 'node:assert/strict'
import Queue from 'bull'

const redis = { host: '127.0.0.1', port: Number(process.env.PORT) }
const queue = new Queue('mail', { redis, ...(process.env.PREFIX === undefined ? {} : { prefix: process.env.PREFIX }) })
queue.on('error', error => {
  console.error(String(error))
  process.exit(1)
})
queue.process('*', 4, async job => {
  if (job.name === 'flaky' && job.attemptsMade === 0) throw new Error('the first time')
  return job.data.n * 2
})
const jobs = []
for (let n = 0; n < 20; n++) jobs.push(await queue.add('plain', { n }))
jobs.push(await queue.add('late', { n: 20 }, { delay: 200 }))
jobs.push(await queue.add('flaky', { n: 21 }, { attempts: 2, backoff: 50 }))
const results = await Promise.all(jobs.map(job => job.finished()))
assert.deepEqual(
  results,
  jobs.map((_, n) => n * 2),
)
await queue.close()
process.exit(0)
