/** The stats port: what a real load leaves in it, summed over two workers, exact at every reading. */

import { hostname } from 'node:os'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { stopAll } from '../../support/processes/child.ts'
import { poolYml, type RunningProxy, serverEntry, startProxy } from '../../support/processes/proxy.ts'
import { startMemcached, startRedis, type TestServer } from '../../support/processes/servers.ts'
import { waitUntil } from '../../support/wait.ts'
import { encode } from '../../support/wire/resp.ts'
import { Wire } from '../../support/wire/wire.ts'

let servers: TestServer[]
let proxy: RunningProxy

beforeAll(async () => {
  servers = await Promise.all([startRedis(), startRedis()])
})
afterAll(stopAll)

beforeEach(async () => {
  const keys = { redis: true }
  const entries = [serverEntry(servers[0], 'zz'), serverEntry(servers[1], 'b')]
  const yml =
    poolYml({ name: 'long', keys, servers: entries }) +
    poolYml({ name: 'p', listen: '127.0.0.1:@PORT1@', keys, servers: entries })
  proxy = await startProxy({ kind: 'pistachio', yml, workers: 2 })
  // The two connections that found out whether it listens have come and gone.
  await waitUntil(async () => {
    const { total_connections, curr_connections } = await read()
    return total_connections === 4 && curr_connections === 2
  }, 'the first connections to be over')
  return async () => {
    await proxy.stop()
  }
})

// biome-ignore lint/suspicious/noExplicitAny: a document of any shape
async function read(): Promise<any> {
  return JSON.parse(await text())
}

async function text(): Promise<string> {
  return (await (await Wire.open({ port: proxy.statsPort })).untilClosed()).toString('latin1')
}

async function clients(count: number): Promise<Wire[]> {
  return Promise.all(Array.from({ length: count }, () => Wire.open({ port: proxy.ports[0] })))
}

test('the document has the spacing and the order that tools were written for', async () => {
  const server =
    '\\{"server_eof":\\d+, "server_err":\\d+, "server_timedout":\\d+, "server_connections":\\d+, "server_ejected_at":\\d+, ' +
    '"requests":\\d+, "request_bytes":\\d+, "responses":\\d+, "response_bytes":\\d+, "in_queue":\\d+, "in_queue_bytes":\\d+, ' +
    '"out_queue":\\d+, "out_queue_bytes":\\d+\\}'
  const pool =
    '\\{"client_eof":\\d+, "client_err":\\d+, "client_connections":\\d+, "server_ejects":\\d+, "forward_error":\\d+, ' +
    `"fragments":\\d+, "b": ${server},"zz": ${server}\\}`
  const head =
    `\\{"service":"nutcracker", "source":"${hostname()}", "version":"0.5.0", "uptime":\\d+, "timestamp":\\d+, ` +
    '"total_connections":\\d+, "curr_connections":\\d+'
  expect(await text()).toMatch(new RegExp(`^${head}, "p": ${pool},"long": ${pool}\\}\n$`))
})

test('ten requests are ten requests at the next reading, over all workers and servers', async () => {
  const wires = await clients(5)
  for (const [index, wire] of wires.entries()) {
    wire.send(encode('SET', `key-${index}`, 'v'))
    wire.send(encode('GET', `key-${index}`))
    await wire.redisReplies(2)
  }
  const { long, p } = await read()
  expect(long.b.requests + long.zz.requests).toBe(10)
  expect(long.b.responses + long.zz.responses).toBe(10)
  const size = encode('SET', 'key-0', 'v').length + encode('GET', 'key-0').length
  expect(long.b.request_bytes + long.zz.request_bytes).toBe(5 * size)
  expect(long.b.response_bytes + long.zz.response_bytes).toBe(5 * '+OK\r\n$1\r\nv\r\n'.length)
  expect(p.b.requests + p.zz.requests).toBe(0)
  for (const wire of wires) wire.destroy()
})

test('connections are listeners, clients and server connections', async () => {
  const before = await read()
  expect(before.curr_connections).toBe(2)
  const wires = await clients(6)
  await waitUntil(async () => (await read()).long.client_connections === 6, 'six clients')
  const during = await read()
  expect(during.curr_connections).toBe(2 + 6)
  expect(during.total_connections).toBe(before.total_connections + 6)
  wires[0].send(encode('SET', 'key', 'v'))
  await wires[0].redisReplies(1)
  const { curr_connections, long } = await read()
  expect(curr_connections).toBe(2 + 6 + 1)
  expect(long.b.server_connections + long.zz.server_connections).toBe(1)
  for (const wire of wires) wire.destroy()
  await waitUntil(async () => (await read()).curr_connections === 2 + 1, 'the clients to be gone')
  expect((await read()).total_connections).toBe(before.total_connections + 6 + 1)
})

test('clients that leave are counted by how they leave', async () => {
  const { client_eof, client_err } = (await read()).long
  const [quits, ends, resets] = await clients(3)
  // A client is reset only once the proxy knows it.
  await waitUntil(async () => (await read()).long.client_connections === 3, 'three clients')
  quits.send(encode('QUIT'))
  await quits.untilClosed()
  ends.end()
  await ends.untilClosed()
  resets.reset()
  await waitUntil(async () => (await read()).long.client_connections === 0, 'the clients to be gone')
  const { long } = await read()
  expect([long.client_eof - client_eof, long.client_err - client_err]).toEqual([2, 1])
})

test('a refused command is an error of its client, whether the connection stays open or not', async () => {
  const memcached = await startMemcached()
  const yml =
    poolYml({ name: 'r', keys: { redis: true }, servers: [serverEntry(servers[0], 'a')] }) +
    poolYml({ name: 'm', listen: '127.0.0.1:@PORT1@', servers: [serverEntry(memcached, 'a')] })
  const other = await startProxy({ kind: 'pistachio', yml, workers: 1 })
  const errorsOf = async (pool: string): Promise<number> =>
    JSON.parse((await (await Wire.open({ port: other.statsPort })).untilClosed()).toString())[pool].client_err
  const redis = await Wire.open({ port: other.ports[0] })
  const refused = [['SAVE'], ['GET'], ['CLIENT', 'NOSUCH'], ['CLIENT', 'SETNAME'], ['SHUTDOWN'], ['CONFIG', 'NOSUCH']]
  for (const [index, request] of refused.entries()) {
    redis.send(encode(...request))
    expect(String(await redis.redisReplies(1)), request.join(' ')).toMatch(/^-/)
    expect(await errorsOf('r'), request.join(' ')).toBe(index + 1)
  }
  // An error that the server gives, or that a server would give too, is none of the client's.
  redis.send(encode('EVAL', 'nonsense', '0'))
  redis.send(encode('RENAME', 'no such key', 'other'))
  await redis.redisReplies(2)
  expect(await errorsOf('r')).toBe(refused.length)
  redis.send(Buffer.from('*1\r\n!1\r\n'))
  await redis.untilClosed()
  await waitUntil(async () => (await errorsOf('r')) === refused.length + 1, 'the closed client to be counted once')
  const memcache = await Wire.open({ port: other.ports[1] })
  memcache.send(Buffer.from('nonsense\r\n'))
  await memcache.until(text => text.includes('ERROR'), 'an error')
  expect(await errorsOf('m')).toBe(1)
  memcache.destroy()
  await other.stop()
})

test('a request that its server refuses is a forward error', async () => {
  const dead = await startRedis()
  const yml = poolYml({ keys: { redis: true }, servers: [serverEntry(dead, 'dead')] })
  await dead.stop()
  const other = await startProxy({ kind: 'pistachio', yml, workers: 2 })
  const wire = await Wire.open({ port: other.ports[0] })
  wire.send(encode('GET', 'key'))
  expect((await wire.redisReplies(1)).join('')).toBe('-ERR Connection refused\r\n')
  const document = JSON.parse((await (await Wire.open({ port: other.statsPort })).untilClosed()).toString())
  expect(document.pool.forward_error).toBe(1)
  expect(document.pool.dead.server_err).toBe(1)
  wire.destroy()
  await other.stop()
})
