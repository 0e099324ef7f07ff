// Resque's queues from Node: jobs now and later, a worker and the scheduler.
import assert from 'node:assert/strict'
import { Queue, Scheduler, Worker } from 'node-resque'

const namespace = process.env.PREFIX ?? 'resque'
const connection = { pkg: 'ioredis', host: '127.0.0.1', port: Number(process.env.PORT), database: 0, namespace }
const fail = error => {
  console.error(String(error))
  process.exit(1)
}
const sums = []
const jobs = { add: { perform: async (a, b) => sums.push(a + b) } }
const queue = new Queue({ connection }, jobs)
const worker = new Worker({ connection, queues: ['math'], timeout: 50 }, jobs)
const scheduler = new Scheduler({ connection, timeout: 50 })
for (const part of [queue, worker, scheduler]) part.on('error', fail)
worker.on('failure', (_queue, _job, error) => fail(error))
for (const part of [queue, worker, scheduler]) await part.connect()
worker.start()
scheduler.start()
for (let n = 0; n < 20; n++) await queue.enqueue('math', 'add', [n, n])
await queue.enqueueIn(100, 'math', 'add', [100, 100])
const deadline = Date.now() + 15_000
while (sums.length < 21) {
  assert.ok(Date.now() < deadline, `21 jobs; done: ${sums.length}`)
  await new Promise(resolve => setTimeout(resolve, 20))
}
assert.equal(
  sums.reduce((sum, n) => sum + n),
  580,
)
process.exit(0)
