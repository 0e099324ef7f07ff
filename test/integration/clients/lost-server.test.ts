/** What client libraries make of a server that is killed and comes back, with the settings that `docs/applications.md` advises. */

import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest'
import { stopAll } from '../../support/processes/child.ts'
import { poolYml, type RunningProxy, startProxy } from '../../support/processes/proxy.ts'
import { RestartableServer } from '../../support/processes/restartable-server.ts'
import { waitUntil } from '../../support/wait.ts'

let server: RestartableServer
let proxy: RunningProxy
const closers: (() => void)[] = []

beforeEach(async () => {
  server = await RestartableServer.start()
  const keys = { redis: true, server_loss: 'close', server_loss_wait: 20_000, timeout: 1_000 }
  const yml = poolYml({ keys, servers: [`127.0.0.1:${server.port}:1 server`] })
  proxy = await startProxy({ kind: 'pistachio', workers: 2, yml })
})

afterEach(async () => {
  for (const close of closers.splice(0)) close()
  await proxy.stop()
  await server.kill()
})
afterAll(stopAll)

/** A closed loop of requests, as applications have it. */
class Loop {
  done = 0
  readonly errors: string[] = []
  #ended = false

  constructor(request: () => Promise<unknown>) {
    void this.#run(request)
    closers.push(() => {
      this.#ended = true
    })
  }

  async #run(request: () => Promise<unknown>): Promise<void> {
    while (!this.#ended) {
      await request().then(
        () => this.done++,
        (error: Error) => this.#ended || this.errors.push(error.message),
      )
    }
  }

  async goesOn(): Promise<void> {
    const before = this.done
    await waitUntil(() => this.done > before + 10, 'the loop to go on')
  }
}

async function ioredis(): Promise<Redis> {
  const client = new Redis(proxy.ports[0]!, '127.0.0.1')
  client.on('error', () => {})
  closers.push(() => client.disconnect())
  await client.ping()
  return client
}

async function restart(): Promise<void> {
  await server.kill()
  const killedMs = Date.now()
  await waitUntil(() => Date.now() - killedMs > 400, 'requests to come meanwhile')
  await server.start()
}

test('ioredis: a loop of requests sees no error', async () => {
  const client = await ioredis()
  const loop = new Loop(() => client.set('k', '1'))
  await loop.goesOn()
  await restart()
  await loop.goesOn()
  expect(loop.errors).toEqual([])
})

test('node-redis: a loop of requests fails once at most, with its connection', async () => {
  const client = createClient({ url: `redis://127.0.0.1:${proxy.ports[0]}` })
  client.on('error', () => {})
  await client.connect()
  closers.push(() => client.destroy())
  const loop = new Loop(() => client.set('k', '1'))
  await loop.goesOn()
  await restart()
  await loop.goesOn()
  expect(loop.errors.length).toBeLessThanOrEqual(1)
  expect(loop.errors.filter(error => error.startsWith('ERR'))).toEqual([])
})

test('ioredis: a worker that blocks takes what is pushed after the restart', async () => {
  const [worker, producer] = [await ioredis(), await ioredis()]
  const taken: string[] = []
  const loop = new Loop(async () => {
    const item = await worker.blpop('queue', 0)
    if (item !== null) taken.push(item[1])
  })
  await producer.rpush('queue', 'before')
  await waitUntil(() => taken.length === 1, 'the first job')
  await server.shows('clients', 'blocked_clients', 1)
  await restart()
  await producer.rpush('queue', 'after')
  await waitUntil(() => taken.length === 2, 'the job after the restart')
  expect(taken).toEqual(['before', 'after'])
  expect(loop.errors).toEqual([])
})
