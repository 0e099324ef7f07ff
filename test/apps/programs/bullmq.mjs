// Jobs: at once, delayed, repeated after a failure, with priority, and a parent that waits for its children.
import assert from 'node:assert/strict'
import { FlowProducer, Queue, QueueEvents, Worker } from 'bullmq'

const connection = { host: '127.0.0.1', port: Number(process.env.PORT), maxRetriesPerRequest: null }
const options = { connection, ...(process.env.PREFIX === undefined ? {} : { prefix: process.env.PREFIX }) }
const fail = error => {
  console.error(String(error))
  process.exit(1)
}

const queue = new Queue('mail', options).on('error', fail)
const events = new QueueEvents('mail', options).on('error', fail)
await events.waitUntilReady()
const worker = new Worker(
  'mail',
  async job => {
    if (job.name === 'flaky' && job.attemptsMade === 0) throw new Error('the first time')
    return job.data.n * 2
  },
  { ...options, concurrency: 4 },
).on('error', fail)

const jobs = await queue.addBulk(Array.from({ length: 20 }, (_, n) => ({ name: 'plain', data: { n } })))
jobs.push(await queue.add('late', { n: 20 }, { delay: 200 }))
jobs.push(await queue.add('flaky', { n: 21 }, { attempts: 2, backoff: 50 }))
jobs.push(await queue.add('urgent', { n: 22 }, { priority: 1 }))
const results = await Promise.all(jobs.map(job => job.waitUntilFinished(events, 20_000)))
assert.deepEqual(
  results,
  jobs.map((_, n) => n * 2),
)

const flow = new FlowProducer(options).on('error', fail)
const children = [1, 2].map(n => ({ name: 'child', queueName: 'mail', data: { n } }))
const { job } = await flow.add({ name: 'parent', queueName: 'mail', data: { n: 7 }, children })
assert.equal(await job.waitUntilFinished(events, 20_000), 14)
assert.equal(await queue.getCompletedCount(), 26)
await Promise.all([worker.close(), events.close(), flow.close(), queue.close()])
process.exit(0)
