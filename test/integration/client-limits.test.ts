/** Limits on clients in the running proxy: those beyond are told so, those within notice nothing. */

import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { stopAll } from '../support/child.ts'
import { poolYml, type RunningProxy, serverEntry, startProxy } from '../support/proxy.ts'
import { encode } from '../support/resp.ts'
import { startRedis, type TestServer } from '../support/servers.ts'
import { waitUntil } from '../support/wait.ts'
import { Wire } from '../support/wire.ts'

const REFUSAL = '-ERR max number of clients reached\r\n'

let redis: TestServer

beforeAll(async () => {
  redis = await startRedis()
})
afterAll(stopAll)

// biome-ignore lint/suspicious/noExplicitAny: a document of any shape
async function stats(proxy: RunningProxy): Promise<any> {
  return JSON.parse((await (await Wire.open({ port: proxy.statsPort })).untilClosed()).toString())
}

/** What becomes of many clients that come at once and send a request: the connections served, and how many were refused. */
async function rush(port: number, count: number): Promise<{ served: Wire[]; refused: number }> {
  const wires = await Promise.all(Array.from({ length: count }, () => Wire.open({ port })))
  const served: Wire[] = []
  let refused = 0
  await Promise.all(
    wires.map(async wire => {
      wire.send(encode('PING'))
      const reply = (await wire.redisReplies(1)).join('')
      expect(['+PONG\r\n', REFUSAL]).toContain(reply)
      if (reply === REFUSAL) refused++
      else served.push(wire)
    }),
  )
  return { served, refused }
}

test('client_connections holds over all workers, for a crowd that comes at once', async () => {
  const yml = poolYml({ keys: { redis: true, client_connections: 10 }, servers: [serverEntry(redis, 'a')] })
  const proxy = await startProxy({ kind: 'pistachio', yml, workers: 2 })
  await waitUntil(async () => {
    const { total_connections, pool } = await stats(proxy)
    return total_connections === 2 && pool.client_connections === 0
  }, 'the client that found out whether it listens to be gone')
  const { served, refused } = await rush(proxy.ports[0], 60)
  expect([served.length, refused]).toEqual([10, 50])
  expect(proxy.log()).toMatch(/refused c 127\.0\.0\.1:\d+ of pool 'pool': client_connections is 10/)
  expect((await stats(proxy)).pool.client_connections).toBe(10)
  for (const wire of served.splice(0, 4)) wire.destroy()
  await waitUntil(async () => (await stats(proxy)).pool.client_connections === 6, 'room for others')
  const again = await rush(proxy.ports[0], 10)
  expect([again.served.length, again.refused]).toEqual([4, 6])
  for (const wire of [...served, ...again.served]) wire.destroy()
  await proxy.stop()
})

test('with descriptors nearly exhausted clients are told so, and those who are served go on', async () => {
  const servers = [serverEntry(redis, 'a')]
  const proxy = await startProxy({ kind: 'pistachio', yml: poolYml({ keys: { redis: true }, servers }), workers: 2 })
  execFileSync('prlimit', ['--pid', `${proxy.pid}`, '--nofile=100:100'])
  // A reload looks at the limit anew.
  const yml = proxy.child.file('proxy.yml').replace('redis: true', 'redis: true\n  backlog: 100')
  writeFileSync(join(proxy.child.folder, 'proxy.yml'), yml)
  proxy.child.signal('SIGUSR1')
  await waitUntil(() => proxy.log().includes('changed backlog'), 'the reload')
  expect(proxy.log()).toMatch(/max fds 100 max client conns \d+ max server conns 2/)
  const { served, refused } = await rush(proxy.ports[0], 120)
  expect(served.length).toBeGreaterThan(20)
  expect(served.length + refused).toBe(120)
  expect(proxy.log()).toMatch(/refused c \S+ of pool 'pool': /)
  for (const wire of served) wire.send(encode('SET', 'key', 'value'))
  for (const wire of served) expect((await wire.redisReplies(1)).join('')).toBe('+OK\r\n')
  expect((await stats(proxy)).pool.client_connections).toBe(served.length)
  for (const wire of served) wire.destroy()
  await waitUntil(async () => (await rush(proxy.ports[0], 1)).refused === 0, 'room again')
  await proxy.stop()
})
