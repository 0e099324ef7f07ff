/** A dead server leaves the ring of all workers and returns only when it answers, so that clients meet it as few times as can be. */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest'
import { type Address, stopAll } from '../../support/processes/child.ts'
import { poolYml, type RunningProxy, startProxy } from '../../support/processes/proxy.ts'
import { RestartableServer } from '../../support/processes/restartable-server.ts'
import { waitUntil } from '../../support/wait.ts'
import { encode } from '../../support/wire/resp.ts'
import { Wire } from '../../support/wire/wire.ts'

const RETRY_MS = 300
const LIMIT = 2
const KEYS = 60

let servers: RestartableServer[]
let proxy: RunningProxy

afterAll(stopAll)

beforeEach(async () => {
  servers = [await RestartableServer.start(), await RestartableServer.start()]
})

afterEach(async () => {
  await proxy.stop()
  await Promise.all(servers.map(server => server.kill()))
})

async function start(keys: Record<string, string | number | boolean> = {}): Promise<void> {
  const yml = poolYml({
    keys: {
      redis: true,
      hash: 'murmur',
      auto_eject_hosts: true,
      server_retry_timeout: RETRY_MS,
      server_failure_limit: LIMIT,
      ...keys,
    },
    servers: servers.map(({ port }, index) => `127.0.0.1:${port}:1 s${index}`),
  })
  proxy = await startProxy({ kind: 'pistachio', yml, workers: 2 })
}

// biome-ignore lint/suspicious/noExplicitAny: a document of any shape
async function stats(): Promise<any> {
  return JSON.parse((await (await Wire.open({ port: proxy.statsPort })).untilClosed()).toString())
}

/** Clients on both workers. */
function clients(): Promise<Wire[]> {
  const address: Address = { port: proxy.ports[0] }
  return Promise.all([0, 1, 2, 3].map(() => Wire.open(address)))
}

/** Asks for many keys on every connection. @returns how many replies were errors. */
async function errors(wires: readonly Wire[]): Promise<number> {
  let count = 0
  for (const wire of wires) {
    for (let i = 0; i < KEYS; i++) wire.send(encode('GET', `key:${i}`))
    for (const reply of await wire.redisReplies(KEYS)) if (reply[0] === 0x2d) count++
  }
  return count
}

test('a dead server leaves the ring for every worker', async () => {
  await start()
  const wires = await clients()
  expect(await errors(wires)).toBe(0)
  await servers[0].kill()
  await waitUntil(async () => (await errors(wires)) === 0 && proxy.log().includes('ejected for'), 'the ring without it')
  expect(await errors(wires)).toBe(0)
  expect(proxy.log()).toMatch(
    new RegExp(
      `health: server '127\\.0\\.0\\.1:${servers[0].port}:1' of pool 'pool' ejected for ${RETRY_MS} ms after ${LIMIT} failures: `,
    ),
  )
  const { pool } = await stats()
  expect(pool.server_ejects).toBe(1)
  expect(Math.abs(pool.s0.server_ejected_at / 1_000 - Date.now())).toBeLessThan(60_000)
  for (const wire of wires) wire.destroy()
})

test('while it stays dead no client meets it again, however often its time comes', async () => {
  await start()
  const wires = await clients()
  await errors(wires)
  await servers[0].kill()
  await waitUntil(async () => (await errors(wires)) === 0 && proxy.log().includes('ejected for'), 'the ring without it')
  const until = Date.now() + 4 * RETRY_MS
  while (Date.now() < until) expect(await errors(wires)).toBe(0)
  expect(proxy.log()).toMatch(/stays ejected for 300 ms more: Connection refused/)
  expect((await stats()).pool.server_ejects).toBe(1)
  for (const wire of wires) wire.destroy()
})

test('a server that answers again returns, without an error to anybody', async () => {
  await start()
  const wires = await clients()
  await errors(wires)
  await servers[0].kill()
  await waitUntil(async () => (await errors(wires)) === 0 && proxy.log().includes('ejected for'), 'the ring without it')
  await servers[0].start()
  let met = 0
  await waitUntil(async () => {
    met += await errors(wires)
    return proxy.log().includes('answers again and returns')
  }, 'the return')
  const before = (await stats()).pool.s0.requests
  met += await errors(wires)
  expect(met).toBe(0)
  await waitUntil(async () => {
    met += await errors(wires)
    return (await stats()).pool.s0.requests > before
  }, 'requests at the server that returned')
  expect(met).toBe(0)
  for (const wire of wires) wire.destroy()
})

test('a server that wants another password stays out', async () => {
  await start()
  const wires = await clients()
  await errors(wires)
  await servers[0].kill()
  await waitUntil(async () => (await errors(wires)) === 0 && proxy.log().includes('ejected for'), 'the ring without it')
  await servers[0].start('--requirepass', 'secret')
  await waitUntil(() => proxy.log().includes('NOAUTH'), 'the probe to be refused')
  expect(await errors(wires)).toBe(0)
  for (const wire of wires) wire.destroy()
})

test('all servers dead: every request fails at once, and all return together with their servers', async () => {
  await start()
  const wires = await clients()
  await errors(wires)
  await Promise.all(servers.map(server => server.kill()))
  await waitUntil(async () => {
    await errors(wires)
    return (await stats()).pool.server_ejects === 2
  }, 'both to be ejected')
  wires[0].send(encode('GET', 'key'))
  expect((await wires[0].redisReplies(1)).join('')).toBe('-ERR Connection refused\r\n')
  await Promise.all(servers.map(server => server.start()))
  await waitUntil(async () => (await errors(wires)) === 0, 'the servers to be back')
  for (const wire of wires) wire.destroy()
})

test('an ejected server stays out over a reload, and is probed by the new settings', async () => {
  await start({ server_retry_timeout: 60_000 })
  const wires = await clients()
  await errors(wires)
  await servers[0].kill()
  await waitUntil(async () => (await errors(wires)) === 0 && proxy.log().includes('ejected for'), 'the ring without it')
  const file = proxy.child.file('proxy.yml').replace('hash: murmur', 'hash: murmur\n  timeout: 5000')
  writeFileSync(join(proxy.child.folder, 'proxy.yml'), file)
  proxy.child.signal('SIGUSR1')
  await waitUntil(() => proxy.log().includes('changed timeoutMs'), 'the reload')
  expect(await errors(wires)).toBe(0)
  expect((await stats()).pool.server_ejects).toBe(1)
  for (const wire of wires) wire.destroy()
})

test('with eject_keep_ring its keys fail at once and the others stay where they are', async () => {
  await start({ eject_keep_ring: true })
  const wires = await clients()
  await errors(wires)
  await servers[0].kill()
  await waitUntil(async () => {
    await errors(wires)
    return proxy.log().includes('ejected for')
  }, 'the ejection')
  const { requests } = (await stats()).pool.s0
  const failed = await errors(wires)
  expect(failed).toBeGreaterThan(0)
  expect(failed).toBeLessThan(wires.length * KEYS)
  expect((await stats()).pool.s0.requests).toBe(requests)
  await servers[0].start()
  await waitUntil(async () => (await errors(wires)) === 0, 'the server to be back')
  for (const wire of wires) wire.destroy()
})
