/** SIGUSR1: the difference between two files is applied, and clients notice as little of it as can be. */

import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { listen } from '../../support/fakes/open-server.ts'
import { stopAll } from '../../support/processes/child.ts'
import { freePort } from '../../support/processes/ports.ts'
import { poolYml, type RunningProxy, serverEntry, startProxy } from '../../support/processes/proxy.ts'
import { ask, startRedis, type TestServer } from '../../support/processes/servers.ts'
import { waitUntil } from '../../support/wait.ts'
import { decode, encode } from '../../support/wire/resp.ts'
import { Wire } from '../../support/wire/wire.ts'

let servers: TestServer[]
/** Entries of the servers, named s0, s1, s2. */
let entries: string[]

beforeAll(async () => {
  servers = await Promise.all([startRedis(), startRedis(), startRedis()])
  entries = servers.map((server, index) => serverEntry(server, `s${index}`))
})
afterAll(stopAll)

/** The default hash puts keys that differ in their last letters on one server. */
const REDIS = { redis: true, hash: 'murmur' }

function start(yml: string): Promise<RunningProxy> {
  return startProxy({ kind: 'pistachio', yml, workers: 2 })
}

/** Writes the file and has it read; resolves when the proxy has said what came of it. */
async function reload(proxy: RunningProxy, yml: string): Promise<string> {
  const text = yml
    .replace(/@PORT(\d+)@/g, (_, index) => `${proxy.ports[Number(index)]}`)
    .replaceAll('@FOLDER@', proxy.child.folder)
  writeFileSync(join(proxy.child.folder, 'proxy.yml'), text, 'latin1')
  const before = proxy.log().length
  proxy.child.signal('SIGUSR1')
  await waitUntil(() => /reload: .*\n/.test(proxy.log().slice(before)), 'the reload')
  return proxy.log().slice(before)
}

async function request(wire: Wire, ...args: string[]): Promise<unknown> {
  wire.send(encode(...args))
  return decode((await wire.redisReplies(1))[0])
}

// biome-ignore lint/suspicious/noExplicitAny: a document of any shape
async function stats(proxy: RunningProxy): Promise<any> {
  return JSON.parse((await (await Wire.open({ port: proxy.statsPort })).untilClosed()).toString())
}

/** How many of a hundred keys lie on each server, written through the connection. */
async function spread(wire: Wire, prefix: string): Promise<number[]> {
  for (let i = 0; i < 100; i++) wire.send(encode('SET', `${prefix}${i}`, 'v'))
  await wire.redisReplies(100)
  const counts: number[] = []
  for (const server of servers) {
    const [keys] = await ask(server, ['KEYS', `${prefix}*`])
    counts.push((decode(keys) as unknown[]).length)
  }
  return counts
}

test('servers are added and removed under a client that stays', async () => {
  const proxy = await start(poolYml({ keys: REDIS, servers: entries.slice(0, 1) }))
  const wire = await Wire.open({ port: proxy.ports[0] })
  expect((await spread(wire, 'one:'))[0]).toBe(100)
  expect(await reload(proxy, poolYml({ keys: REDIS, servers: entries }))).toContain(
    "reload: pool 'pool': added '127.0.0.1:",
  )
  const three = await spread(wire, 'three:')
  expect(Math.min(...three), `${three}`).toBeGreaterThan(0)
  await reload(proxy, poolYml({ keys: REDIS, servers: entries.slice(1) }))
  const two = await spread(wire, 'two:')
  expect(two[0]).toBe(0)
  expect(two[1] + two[2]).toBe(100)
  expect(wire.closed).toBe(false)
  wire.destroy()
  await proxy.stop()
})

test('pools come and go with their listeners, the others notice nothing', async () => {
  const port = await freePort()
  const stays = poolYml({ name: 'stays', keys: REDIS, servers: entries })
  const goes = poolYml({ name: 'b', listen: '127.0.0.1:@PORT1@', keys: REDIS, servers: entries })
  const comes = poolYml({ name: 'a', listen: `127.0.0.1:${port}`, keys: REDIS, servers: entries })
  const proxy = await start(goes + stays)
  const [kept, lost] = [await Wire.open({ port: proxy.ports[0] }), await Wire.open({ port: proxy.ports[1] })]
  await request(kept, 'SET', 'key', 'value')
  await request(lost, 'SET', 'key', 'value')
  const log = await reload(proxy, comes + stays)
  expect(log).toContain(`reload: pool 'a' added, listening on '127.0.0.1:${port}', with 3 servers`)
  await lost.untilClosed()
  await expect(Wire.open({ port: proxy.ports[1] })).rejects.toThrow('ECONNREFUSED')
  const fresh = await Wire.open({ port })
  expect(await request(fresh, 'GET', 'key')).toBe('value')
  expect(await request(kept, 'GET', 'key')).toBe('value')
  for (const wire of [kept, fresh]) wire.destroy()
  await proxy.stop()
})

test('unix and shared listeners come, change and go', async () => {
  const tcp = poolYml({ name: 'tcp', keys: REDIS, servers: entries })
  const path = (name: string): string => poolYml({ name, listen: '@FOLDER@/p.sock', keys: REDIS, servers: entries })
  const shared = (backlog: number): string =>
    poolYml({
      name: 'shared',
      listen: '127.0.0.1:@PORT1@',
      keys: { ...REDIS, reuseport: true, backlog },
      servers: entries,
    })
  const proxy = await start(tcp + shared(100))
  const unix = { path: join(proxy.child.folder, 'p.sock') }
  const served = (address: { port: number } | { path: string }): Promise<boolean> =>
    Wire.open(address).then(
      async wire => {
        const pong = await request(wire, 'PING').catch(() => '')
        wire.destroy()
        return pong === 'PONG'
      },
      () => false,
    )
  await reload(proxy, tcp + shared(100) + path('unix'))
  await waitUntil(() => served(unix), 'the unix socket to serve')
  await reload(proxy, tcp + shared(200) + path('renamed'))
  await waitUntil(() => served(unix), 'the unix socket to serve the other pool')
  await waitUntil(() => served({ port: proxy.ports[1] }), 'the shared port to serve')
  await reload(proxy, tcp)
  expect(await served(unix)).toBe(false)
  await waitUntil(async () => !(await served({ port: proxy.ports[1] })), 'the shared port to close')
  expect(await served({ port: proxy.ports[0] })).toBe(true)
  await proxy.stop()
})

test('requests under way finish where they were sent', async () => {
  const proxy = await start(poolYml({ keys: REDIS, servers: entries.slice(0, 1) }))
  const wire = await Wire.open({ port: proxy.ports[0] })
  await request(wire, 'SET', 'flight', '0')
  await ask(servers[0], ['CLIENT', 'PAUSE', '60000', 'WRITE'])
  for (let i = 1; i <= 5; i++) wire.send(encode('INCR', 'flight'))
  await waitUntil(async () => (await stats(proxy)).pool.s0.out_queue === 5, 'the requests to be under way')
  await reload(proxy, poolYml({ keys: REDIS, servers: entries.slice(1) }))
  await ask(servers[0], ['CLIENT', 'UNPAUSE'])
  expect((await wire.redisReplies(5)).map(reply => decode(reply))).toEqual([1, 2, 3, 4, 5])
  expect(await request(wire, 'GET', 'flight')).toBeNull()
  wire.destroy()
  await proxy.stop()
})

test('no request is lost or refused under load while the file changes again and again', async () => {
  const first = { ...REDIS, timeout: 19_999 }
  const proxy = await start(poolYml({ keys: first, servers: entries.slice(0, 2) }))
  let stop = false
  const wires = await Promise.all(Array.from({ length: 8 }, () => Wire.open({ port: proxy.ports[0] })))
  const load = wires.map(async (wire, client) => {
    let sent = 0
    for (; !stop; sent += 10) {
      for (let i = 0; i < 10; i++) wire.send(encode('SET', `load:${client}:${sent + i}`, 'v'))
      const replies = await wire.redisReplies(10)
      for (const reply of replies) expect(reply.toString()).toBe('+OK\r\n')
    }
    return sent
  })
  for (let round = 0; round < 6; round++) {
    const timeout = 20_000 + round
    const chosen = round % 2 === 0 ? entries : entries.slice(0, 2)
    expect(await reload(proxy, poolYml({ keys: { ...REDIS, timeout }, servers: chosen }))).not.toContain(
      'nothing has changed',
    )
  }
  stop = true
  const sent = (await Promise.all(load)).reduce((sum, count) => sum + count, 0)
  expect(sent).toBeGreaterThan(0)
  await reload(proxy, poolYml({ keys: REDIS, servers: entries }))
  const { pool, curr_connections } = await stats(proxy)
  expect(pool.s0.requests + pool.s1.requests + pool.s2.requests).toBe(sent)
  // Replies of a server that has left the file are nobody's: at most what was under way at each of its three leaves.
  const responses = pool.s0.responses + pool.s1.responses + pool.s2.responses
  expect(responses).toBeLessThanOrEqual(sent)
  expect(responses).toBeGreaterThanOrEqual(sent - 3 * 8 * 10)
  expect(pool.client_connections).toBe(8)
  expect(pool.forward_error).toBe(0)
  expect(curr_connections).toBeGreaterThanOrEqual(1 + 8)
  for (const wire of wires) wire.destroy()
  await waitUntil(async () => (await stats(proxy)).pool.client_connections === 0, 'the clients to be gone')
  await proxy.stop()
})

test('an address that somebody else has changes nothing', async () => {
  const other = createServer()
  const port = await listen(other)
  const pool = poolYml({ name: 'pool', keys: REDIS, servers: entries.slice(0, 1) })
  const taken = poolYml({ name: 'taken', listen: `127.0.0.1:${port}`, keys: REDIS, servers: entries })
  const proxy = await start(pool)
  const wire = await Wire.open({ port: proxy.ports[0] })
  const log = await reload(proxy, poolYml({ name: 'pool', keys: REDIS, servers: entries.slice(1) }) + taken)
  expect(log).toMatch(
    new RegExp(
      `reload: bind on p \\d+ to addr '127.0.0.1:${port}' failed: Address already in use; nothing has changed`,
    ),
  )
  expect((await spread(wire, 'taken:'))[0]).toBe(100)
  wire.destroy()
  other.close()
  await proxy.stop()
})

test('a file that says the same changes nothing, and says so', async () => {
  const yml = poolYml({ keys: REDIS, servers: entries })
  const proxy = await start(yml)
  expect(await reload(proxy, `# a comment\n${yml}`)).toContain('reload: the configuration has not changed')
  await proxy.stop()
})

test('limits and timeouts of a pool change for the clients that it has', async () => {
  const proxy = await start(poolYml({ keys: REDIS, servers: entries.slice(0, 1) }))
  const wire = await Wire.open({ port: proxy.ports[0] })
  await request(wire, 'SET', 'key', 'value')
  await reload(
    proxy,
    poolYml({ keys: { ...REDIS, timeout: 100, client_connections: 1 }, servers: entries.slice(0, 1) }),
  )
  const second = await Wire.open({ port: proxy.ports[0] })
  expect((await second.untilClosed()).toString()).toBe('-ERR max number of clients reached\r\n')
  await ask(servers[0], ['CLIENT', 'PAUSE', '60000', 'WRITE'])
  const before = performance.now()
  expect(await request(wire, 'SET', 'key', 'late')).toEqual(new Error('ERR Connection timed out'))
  expect(performance.now() - before).toBeGreaterThan(90)
  await ask(servers[0], ['CLIENT', 'UNPAUSE'])
  wire.destroy()
  await proxy.stop()
})

test('a timeout that a reload brings does not hit requests that are under way', async () => {
  const proxy = await start(poolYml({ keys: REDIS, servers: entries.slice(0, 1) }))
  const wire = await Wire.open({ port: proxy.ports[0] })
  await request(wire, 'SET', 'key', '0')
  await ask(servers[0], ['CLIENT', 'PAUSE', '60000', 'WRITE'])
  wire.send(encode('INCR', 'key'))
  await waitUntil(async () => (await stats(proxy)).pool.s0.out_queue === 1, 'the request to be under way')
  await reload(proxy, poolYml({ keys: { ...REDIS, timeout: 60_000 }, servers: entries.slice(0, 1) }))
  // Requests of another client make the worker look at its deadlines, many times over.
  const other = await Wire.open({ port: proxy.ports[0] })
  const until = performance.now() + 300
  while (performance.now() < until) expect(await request(other, 'GET', 'key')).toBe('0')
  await ask(servers[0], ['CLIENT', 'UNPAUSE'])
  expect(decode((await wire.redisReplies(1))[0])).toBe(1)
  for (const each of [wire, other]) each.destroy()
  await proxy.stop()
})
