/** Limits on clients in the running proxy: those beyond are told so, those within notice nothing. */

import { execFileSync, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Address, Child, scratchFolder, stopAll } from '../../support/processes/child.ts'
import { freePort } from '../../support/processes/ports.ts'
import { poolYml, type RunningProxy, serverEntry, startProxy } from '../../support/processes/proxy.ts'
import { startRedis, type TestServer } from '../../support/processes/servers.ts'
import { waitUntil } from '../../support/wait.ts'
import { encode } from '../../support/wire/resp.ts'
import { Wire } from '../../support/wire/wire.ts'

/** Longer than a client waits for the line that turns it away. */
const QUIET_MS = 300
const LAUNCHER = fileURLToPath(new URL('../../../bin/pistachio', import.meta.url))
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

/** What becomes of many clients that come at once and send a request unless they are turned away: who is served, and how many are not. */
async function rush(address: Address, count: number): Promise<{ served: Wire[]; refused: number }> {
  const wires: Wire[] = []
  // Where a TCP connection waits for a place in the kernel's queue, that to a path fails.
  const burst = 'path' in address ? 40 : count
  while (wires.length < count) {
    const size = Math.min(burst, count - wires.length)
    wires.push(...(await Promise.all(Array.from({ length: size }, () => Wire.open(address)))))
  }
  const served: Wire[] = []
  let refused = 0
  await Promise.all(
    wires.map(async wire => {
      const line = String(await wire.untilQuiet(QUIET_MS))
      if (line === '' && !wire.closed) {
        wire.send(encode('PING'))
        expect((await wire.redisReplies(1)).join('')).toBe('+PONG\r\n')
        served.push(wire)
        return
      }
      expect(line).toBe(REFUSAL)
      refused++
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
  const { served, refused } = await rush({ port: proxy.ports[0]! }, 60)
  expect([served.length, refused]).toEqual([10, 50])
  expect(proxy.log()).toMatch(/refused c 127\.0\.0\.1:\d+ of pool 'pool': client_connections is 10/)
  expect((await stats(proxy)).pool.client_connections).toBe(10)
  for (const wire of served.splice(0, 4)) wire.destroy()
  await waitUntil(async () => (await stats(proxy)).pool.client_connections === 6, 'room for others')
  const again = await rush({ port: proxy.ports[0]! }, 10)
  expect([again.served.length, again.refused]).toEqual([4, 6])
  for (const wire of [...served, ...again.served]) wire.destroy()
  await proxy.stop()
})

/** What a kind of listener is reached by. */
const LISTENERS: Readonly<Record<string, { listen: string; keys: Record<string, boolean> }>> = {
  handed: { listen: '127.0.0.1:@PORT0@', keys: {} },
  shared: { listen: '127.0.0.1:@PORT0@', keys: { reuseport: true } },
  path: { listen: '@FOLDER@/p.sock', keys: {} },
}

test.each(Object.keys(LISTENERS))('with descriptors nearly exhausted clients are told so (%s)', async kind => {
  const { listen, keys } = LISTENERS[kind]!
  const servers = [serverEntry(redis, 'a')]
  const yml = poolYml({ listen, keys: { redis: true, ...keys }, servers })
  const proxy = await startProxy({ kind: 'pistachio', yml, workers: 2 })
  const address = kind === 'path' ? { path: join(proxy.child.folder, 'p.sock') } : { port: proxy.ports[0]! }
  execFileSync('prlimit', ['--pid', `${proxy.pid}`, '--nofile=240:240'])
  // A reload looks at the limit anew.
  const changed = proxy.child.file('proxy.yml').replace('redis: true', 'redis: true\n  backlog: 400')
  writeFileSync(join(proxy.child.folder, 'proxy.yml'), changed)
  proxy.child.signal('SIGUSR1')
  await waitUntil(() => proxy.log().includes('changed backlog'), 'the reload')
  expect(proxy.log()).toMatch(/max fds 240 max client conns \d+ max server conns 2/)
  const { served, refused } = await rush(address, 260)
  expect(served.length).toBeGreaterThan(20)
  expect(served.length + refused).toBe(260)
  expect(proxy.log()).toMatch(/refused (?:c \S+|a client) of pool 'pool': /)
  // Those who are served go on, also where a server connection has to be opened for them.
  for (const wire of served) wire.send(encode('SET', 'key', 'value'))
  for (const wire of served) expect((await wire.redisReplies(1)).join('')).toBe('+OK\r\n')
  expect((await stats(proxy)).pool.client_connections).toBe(served.length)
  for (const wire of served) wire.destroy()
  await waitUntil(async () => (await rush(address, 1)).refused === 0, 'room again')
  await proxy.stop()
})

test.each([
  [40, {}],
  [60, {}],
  [60, { reuseport: true }],
])('with %i descriptors as many clients are served as the log says %j', async (limit, keys) => {
  const [port, statsPort, folder] = [await freePort(), await freePort(), scratchFolder()]
  const listen = `127.0.0.1:${port}`
  writeFileSync(
    join(folder, 'proxy.yml'),
    poolYml({ listen, keys: { redis: true, ...keys }, servers: [serverEntry(redis, 'a')] }),
  )
  const flags = ['-c', 'proxy.yml', '-a', '127.0.0.1', '-s', `${statsPort}`, '--workers', '1']
  const child = new Child('prlimit', [`--nofile=${limit}:${limit}`, LAUNCHER, ...flags], { folder })
  await waitUntil(() => !child.alive || child.output().includes(`listening on '${listen}'`), 'the start')
  const promised = Number(/max client conns (\d+) /.exec(child.output())?.[1])
  expect(promised).toBeGreaterThan(2)
  const { served, refused } = await rush({ port }, promised + 2)
  expect([served.length, refused]).toEqual([promised, 2])
  for (const wire of served) wire.destroy()
  await child.stop()
})

test('with fewer descriptors than it needs the process does not start, and says so', async () => {
  const folder = scratchFolder()
  writeFileSync(join(folder, 'proxy.yml'), poolYml({ listen: '127.0.0.1:1', servers: ['127.0.0.1:1:1'] }))
  const flags = ['-c', 'proxy.yml', '-a', '127.0.0.1', '-s', `${await freePort()}`, '--workers', '3']
  const child = new Child('prlimit', ['--nofile=40:40', LAUNCHER, ...flags], { folder })
  expect(await child.exited).toEqual({ code: 1, signal: null })
  expect(child.output()).toContain(
    '40 descriptors leave no room for a client with --workers 3: raise the limit (ulimit -n)',
  )
  await child.stop()
})

test.runIf(spawnSync('ss', ['-V']).status === 0)(
  'tcpkeepalive is on for both sides, after the time that was asked for',
  async () => {
    const keys = { redis: true, tcpkeepalive: true, tcpkeepalive_idle: 77, server_tcpkeepalive: true }
    const servers = [serverEntry(redis, 'a')]
    const yml =
      poolYml({ name: 'handed', keys, servers }) +
      poolYml({ name: 'shared', listen: '127.0.0.1:@PORT1@', keys: { ...keys, reuseport: true }, servers })
    const proxy = await startProxy({ kind: 'pistachio', yml, workers: 1 })
    const wires = await Promise.all([0, 1].map(pool => Wire.open({ port: proxy.ports[pool]! })))
    for (const wire of wires) wire.send(encode('SET', 'key', 'value'))
    for (const wire of wires) expect((await wire.redisReplies(1)).join('')).toBe('+OK\r\n')
    const connections = execFileSync('ss', ['-Htnpo', 'state', 'established'], { encoding: 'utf8' })
      .split('\n')
      .filter(line => line.includes(`pid=${proxy.pid},`))
    expect(connections.length).toBe(4)
    for (const line of connections) expect(line).toMatch(/timer:\(keepalive,1min1[0-7]sec/)
    for (const wire of wires) wire.destroy()
    await proxy.stop()
  },
)
