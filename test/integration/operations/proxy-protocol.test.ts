/** Listeners that ask for a PROXY header, in the running proxy: over every kind of listener, and who is named in the log. */

import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Address, stopAll } from '../../support/processes/child.ts'
import { poolYml, type RunningProxy, serverEntry, startProxy } from '../../support/processes/proxy.ts'
import { ask, startMemcached, startRedis, type TestServer } from '../../support/processes/servers.ts'
import { waitUntil } from '../../support/wait.ts'
import { encode } from '../../support/wire/resp.ts'
import { Wire } from '../../support/wire/wire.ts'

const V1 = Buffer.from('PROXY TCP4 203.0.113.9 192.0.2.1 40000 6379\r\n')
const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
/** TCP over IPv6 with a TLV behind the addresses. */
const V2 = Buffer.concat([
  SIGNATURE,
  Buffer.from([0x21, 0x21, 0, 36 + 5]),
  Buffer.from('20010db8000000000000000000000009', 'hex'),
  Buffer.alloc(16),
  Buffer.from([0x9c, 0x41, 0x18, 0xeb, 0x04, 0, 2, 1, 2]),
])
const LOCAL = Buffer.concat([SIGNATURE, Buffer.from([0x20, 0, 0, 0])])

let redis: TestServer
let memcached: TestServer
let proxy: RunningProxy

beforeAll(async () => {
  redis = await startRedis()
  memcached = await startMemcached()
  const keys = { redis: true, proxy_protocol: true }
  const servers = [serverEntry(redis, 'a')]
  const yml =
    poolYml({ name: 'handed', keys, servers }) +
    poolYml({ name: 'shared', listen: '127.0.0.1:@PORT1@', keys: { ...keys, reuseport: true }, servers }) +
    poolYml({ name: 'path', listen: '@FOLDER@/p.sock', keys, servers }) +
    poolYml({ name: 'limited', listen: '127.0.0.1:@PORT2@', keys: { ...keys, client_connections: 1 }, servers }) +
    poolYml({
      name: 'memcache',
      listen: '127.0.0.1:@PORT3@',
      keys: { proxy_protocol: true },
      servers: [serverEntry(memcached, 'm')],
    })
  proxy = await startProxy({ kind: 'pistachio', yml, workers: 2 })
})
afterAll(stopAll)
beforeEach(async () => {
  await ask(redis, ['FLUSHALL'])
})

function addressOf(pool: string): Address {
  if (pool === 'path') return { path: join(proxy.child.folder, 'p.sock') }
  return { port: proxy.ports[['handed', 'shared', 'limited', 'memcache'].indexOf(pool)]! }
}

async function poolStats(pool: string): Promise<Record<string, number>> {
  const document = (await (await Wire.open({ port: proxy.statsPort })).untilClosed()).toString()
  return JSON.parse(document)[pool]
}

/** A request that the log tells of, with a number by which its line is known. */
function logged(bytes: number): Buffer {
  return encode('GET', 'x'.repeat(bytes))
}

const lineOf = (client: string, bytes: number): string => `parsed bad req of c ${client} with key length ${bytes} `

describe.each(['handed', 'shared', 'path'])('on a %s listener', pool => {
  const bytes = 20_000 + ['handed', 'shared', 'path'].indexOf(pool) * 10
  test.each([
    ['version 1', V1, '203.0.113.9:40000'],
    ['version 2', V2, '[2001:db8::9]:40001'],
  ])('the log names the client that %s announces', async (_, header, client) => {
    const wire = await Wire.open(addressOf(pool))
    wire.send(Buffer.concat([header, encode('SET', 'key', 'value'), encode('GET', 'key')]))
    expect((await wire.redisReplies(2)).join('')).toBe('+OK\r\n$5\r\nvalue\r\n')
    wire.send(logged(bytes))
    expect(String(await wire.redisReplies(1))).toMatch(/^-ERR key of/)
    await waitUntil(() => proxy.log().includes(lineOf(client, bytes)), 'the line')
    wire.destroy()
  })

  test('who is checked by the balancer itself has the connection’s own address', async () => {
    const wire = await Wire.open(addressOf(pool))
    wire.send(Buffer.concat([LOCAL, encode('PING'), logged(bytes + 1)]))
    expect((await wire.redisReplies(1)).join('')).toBe('+PONG\r\n')
    const own = pool === 'path' ? join(proxy.child.folder, 'p.sock') : `127.0.0.1:${wire.socket.localPort}`
    await waitUntil(() => proxy.log().includes(lineOf(own, bytes + 1)), 'the line')
    wire.destroy()
  })

  test('without a header nothing is executed, and the connection is closed', async () => {
    const before = await poolStats(pool)
    const wire = await Wire.open(addressOf(pool))
    wire.send(encode('SET', 'key', 'value'))
    expect(await wire.untilClosed()).toHaveLength(0)
    expect((await ask(redis, ['EXISTS', 'key'])).join('')).toBe(':0\r\n')
    const after = await poolStats(pool)
    expect(after.client_err).toBe(before.client_err! + 1)
    expect(after.client_connections).toBe(before.client_connections)
    await waitUntil(() => proxy.log().includes(`of pool '${pool}': no PROXY header`), 'the line')
  })
})

test('a memcached client behind a header is served', async () => {
  const wire = await Wire.open(addressOf('memcache'))
  wire.send(Buffer.concat([V1, Buffer.from('set key 0 0 5\r\nvalue\r\nget key\r\n')]))
  expect((await wire.memcacheReplies(2)).join('')).toBe('STORED\r\nVALUE key 0 5\r\nvalue\r\nEND\r\n')
  wire.destroy()
})

test('who says nothing at all holds a place, and gives it back after five seconds', async () => {
  const silent = await Wire.open(addressOf('limited'))
  await waitUntil(async () => (await poolStats('limited')).client_connections === 1, 'the client to be counted')
  const refused = await Wire.open(addressOf('limited'))
  expect(String(await refused.untilClosed())).toBe('-ERR max number of clients reached\r\n')
  const before = performance.now()
  expect(await silent.untilClosed()).toHaveLength(0)
  expect(performance.now() - before).toBeGreaterThan(3_000)
  const wire = await Wire.open(addressOf('limited'))
  wire.send(Buffer.concat([V1, encode('PING')]))
  expect((await wire.redisReplies(1)).join('')).toBe('+PONG\r\n')
  wire.destroy()
})
