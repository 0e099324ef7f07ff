/** The orderly end: what is under way is answered, who is idle is let go, nobody new is taken, and it does not take for ever. */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { scratchFolder, stopAll } from '../../support/processes/child.ts'
import { freePort } from '../../support/processes/ports.ts'
import {
  type ProxyOptions,
  pistachio,
  poolYml,
  type RunningProxy,
  serverEntry,
  startProxy,
} from '../../support/processes/proxy.ts'
import { ask, startRedis, type TestServer } from '../../support/processes/servers.ts'
import { waitUntil } from '../../support/wait.ts'
import { encode } from '../../support/wire/resp.ts'
import { Wire } from '../../support/wire/wire.ts'

let redis: TestServer

beforeAll(async () => {
  redis = await startRedis()
})
afterAll(stopAll)
beforeEach(async () => {
  await ask(redis, ['CLIENT', 'UNPAUSE'])
})

function start(options: Partial<ProxyOptions> = {}): Promise<RunningProxy> {
  const servers = [serverEntry(redis, 'a')]
  const keys = { redis: true }
  const yml =
    poolYml({ name: 'tcp', keys, servers }) +
    poolYml({ name: 'path', listen: '@FOLDER@/p.sock', keys, servers }) +
    poolYml({ name: 'shared', listen: '127.0.0.1:@PORT1@', keys: { redis: true, reuseport: true }, servers })
  return startProxy({ kind: 'pistachio', yml, workers: 2, ...options })
}

async function underWay(proxy: RunningProxy): Promise<number> {
  const document = JSON.parse((await (await Wire.open({ port: proxy.statsPort })).untilClosed()).toString())
  const pools = [document.tcp, document.path, document.shared]
  return pools.reduce((sum, { a }) => sum + a.in_queue + a.out_queue, 0)
}

/** One connection over each kind of listener, in use. */
async function connections(proxy: RunningProxy): Promise<Wire[]> {
  const path = join(proxy.child.folder, 'p.sock')
  const wires: Wire[] = []
  for (const address of [{ port: proxy.ports[0] }, { path }, { port: proxy.ports[1] }]) {
    const wire = await Wire.open(address)
    wire.send(encode('SET', 'key', 'value'))
    await wire.redisReplies(1)
    wires.push(wire)
  }
  return wires
}

test('requests under way get their replies, in order, and then the end of the connection', async () => {
  const proxy = await start()
  const wires = await connections(proxy)
  await ask(redis, ['CLIENT', 'PAUSE', '60000', 'WRITE'])
  for (const wire of wires) for (const value of ['1', '2', '3']) wire.send(encode('SET', 'key', value))
  for (const wire of wires) wire.send(encode('GET', 'key'))
  await waitUntil(async () => (await underWay(proxy)) === 12, 'the requests to be under way')
  proxy.child.signal('SIGTERM')
  await waitUntil(() => proxy.log().includes('received, exiting'), 'the signal')
  await ask(redis, ['CLIENT', 'UNPAUSE'])
  for (const wire of wires) expect((await wire.untilClosed()).toString()).toBe('+OK\r\n+OK\r\n+OK\r\n$1\r\n3\r\n')
  expect(await proxy.child.exited).toEqual({ code: 0, signal: null })
  expect(proxy.log()).not.toContain('are disconnected')
})

test('idle clients are closed, new ones refused, while one request holds the end up', async () => {
  const proxy = await start()
  const wires = await connections(proxy)
  const busy = await Wire.open({ port: proxy.ports[0] })
  await ask(redis, ['CLIENT', 'PAUSE', '60000', 'WRITE'])
  busy.send(encode('SET', 'key', 'late'))
  await waitUntil(async () => (await underWay(proxy)) === 1, 'the request to be under way')
  proxy.child.signal('SIGTERM')
  for (const wire of wires) expect(await wire.untilClosed()).toHaveLength(0)
  const path = join(proxy.child.folder, 'p.sock')
  for (const address of [{ port: proxy.ports[0] }, { path }, { port: proxy.ports[1] }]) {
    await expect(Wire.open(address)).rejects.toThrow(/ECONNREFUSED|ENOENT/)
  }
  expect(proxy.child.alive).toBe(true)
  await ask(redis, ['CLIENT', 'UNPAUSE'])
  expect((await busy.untilClosed()).toString()).toBe('+OK\r\n')
  expect(await proxy.child.exited).toEqual({ code: 0, signal: null })
})

test('the stats port is served until the end', async () => {
  const proxy = await start()
  const busy = await Wire.open({ port: proxy.ports[0] })
  await ask(redis, ['CLIENT', 'PAUSE', '60000', 'WRITE'])
  busy.send(encode('SET', 'key', 'late'))
  await waitUntil(async () => (await underWay(proxy)) === 1, 'the request to be under way')
  proxy.child.signal('SIGINT')
  await waitUntil(() => proxy.log().includes('received, exiting'), 'the signal')
  expect(await underWay(proxy)).toBe(1)
  await ask(redis, ['CLIENT', 'UNPAUSE'])
  await proxy.child.exited
})

test('after --drain-timeout what is left is cut off, and it ends with 0 all the same', async () => {
  const proxy = await start({ flags: ['--drain-timeout', '300'] })
  const busy = await Wire.open({ port: proxy.ports[0] })
  await ask(redis, ['CLIENT', 'PAUSE', '60000', 'WRITE'])
  busy.send(encode('SET', 'key', 'never'))
  await waitUntil(async () => (await underWay(proxy)) === 1, 'the request to be under way')
  const before = performance.now()
  proxy.child.signal('SIGTERM')
  expect(await proxy.child.exited).toEqual({ code: 0, signal: null })
  expect(performance.now() - before).toBeGreaterThan(290)
  expect(proxy.log()).toContain('1 clients were still connected after 300 ms and are disconnected')
})

test('a signal during the start ends it, and nothing stays behind', async () => {
  const folder = scratchFolder()
  const listen = `127.0.0.1:${await freePort()}`
  writeFileSync(
    join(folder, 'proxy.yml'),
    poolYml({ listen, keys: { redis: true }, servers: [serverEntry(redis, 'a')] }),
  )
  const flags = ['-a', '127.0.0.1', '-s', `${await freePort()}`, '-o', 'proxy.log', '-p', 'proxy.pid']
  const child = pistachio(['-c', 'proxy.yml', ...flags], { folder })
  await waitUntil(() => child.file('proxy.log').includes('run, rabbit run'), 'the banner')
  child.signal('SIGTERM')
  expect(await child.exited).toEqual({ code: 0, signal: null })
  expect(child.file('proxy.log')).toMatch(/done, rabbit done\n$/)
  expect(child.file('proxy.pid')).toBe('')
  await child.stop()
})
