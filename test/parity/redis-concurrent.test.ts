/** 50 connections at once, each of which checks that it gets exactly its own replies. */

import { afterAll, beforeAll, expect, test } from 'vitest'
import { startRelay } from '../support/fakes/relay.ts'
import { WrongReplyError } from '../support/owner/owner.ts'
import { RedisOwner } from '../support/owner/redis-owner.ts'
import { stopAll } from '../support/processes/child.ts'
import { poolYml, type RunningProxy, SUBJECT, serverEntry, startProxy } from '../support/processes/proxy.ts'
import { startRedis, type TestServer } from '../support/processes/servers.ts'
import { Random, runSeed } from '../support/random.ts'
import { encode } from '../support/wire/resp.ts'
import { Wire } from '../support/wire/wire.ts'

const CONNECTIONS = 50
const PIPELINES = 150

const seed = runSeed()
let servers: TestServer[]

beforeAll(async () => {
  servers = await Promise.all([startRedis(), startRedis(), startRedis()])
})

afterAll(stopAll)

function start(workers: number): Promise<RunningProxy> {
  const entries = servers.map((server, index) => serverEntry(server, `server-${index}`))
  return startProxy({ workers, yml: poolYml({ keys: { redis: true, timeout: 20_000 }, servers: entries }) })
}

/** @param label tells the keys of this run from those of others. @returns the number of replies that were checked. */
async function runOwners(label: string, port: number, connections: number): Promise<number> {
  const owners = Array.from({ length: connections }, (_, index) => {
    return new RedisOwner(`${label}-client-${index}`, new Random(seed).fork(index), { port })
  })
  const settled = await Promise.allSettled(owners.map(owner => owner.run(PIPELINES)))
  for (const result of settled) if (result.status === 'rejected') throw result.reason
  return owners.reduce((sum, owner) => sum + owner.checked, 0)
}

test.each(SUBJECT === 'nutcracker' ? [1] : [1, 2])(
  'with %i workers every client gets its own replies',
  async workers => {
    const proxy = await start(workers)
    try {
      expect(await runOwners(`${workers}-workers`, proxy.ports[0]!, CONNECTIONS)).toBeGreaterThan(
        CONNECTIONS * PIPELINES * 5,
      )
      const wire = await Wire.open({ port: proxy.ports[0]! })
      wire.send(encode('PING'))
      expect(String(await wire.redisReplies(1))).toBe('+PONG\r\n')
      wire.destroy()
      expect(proxy.child.alive).toBe(true)
    } finally {
      await proxy.stop()
    }
  },
)

test("the check catches a reply that is another client's", async () => {
  const proxy = await start(1)
  let before = Buffer.alloc(0)
  const relay = await startRelay(proxy.ports[0]!, (chunk, offset) => {
    const now = Buffer.from(chunk)
    if (offset > 5_000 && before.length === chunk.length) before.copy(chunk)
    before = now
  })
  try {
    await expect(runOwners('tampered', relay.port, 8)).rejects.toThrow(WrongReplyError)
  } finally {
    await relay.stop()
    await proxy.stop()
  }
})
