/** What clients and servers that misbehave may cost: a bounded amount of memory, and nobody else's time. Afterwards the memory goes back. */

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { stopAll } from '../../support/processes/child.ts'
import { MemoryWatch, MIB, residentBytes } from '../../support/processes/memory-watch.ts'
import { type PoolText, poolYml, type RunningProxy, serverEntry, startProxy } from '../../support/processes/proxy.ts'
import { ask, startRedis, type TestServer } from '../../support/processes/servers.ts'
import { waitUntil } from '../../support/wait.ts'
import { encode } from '../../support/wire/resp.ts'
import { Wire } from '../../support/wire/wire.ts'

const LARGE = 'x'.repeat(100_000)
const OK = '+OK\r\n'

let servers: TestServer[]
/** A key on each server, by the pool's ring. */
let keys: string[]
let proxy: RunningProxy
let sockets: Socket[] = []

beforeAll(async () => {
  servers = await Promise.all([startRedis(), startRedis()])
})
afterAll(stopAll)

afterEach(async () => {
  for (const socket of sockets) socket.destroy()
  sockets = []
  for (const server of servers) server.child.signal('SIGCONT')
  await proxy.stop()
})

async function start(settings: PoolText['keys'] = {}, flags: readonly string[] = []): Promise<void> {
  const entries = servers.map((server, i) => serverEntry(server, `s${i}`))
  const yml = poolYml({ keys: { redis: true, hash_tag: '"{}"', timeout: 20_000, ...settings }, servers: entries })
  proxy = await startProxy({ kind: 'pistachio', yml, workers: 1, flags })
  keys = await Promise.all(servers.map(keyOn))
}

/** A key that the proxy sends to this server, whatever is written behind it. */
async function keyOn(server: TestServer): Promise<string> {
  const wire = await Wire.open({ port: proxy.ports[0]! })
  for (let i = 0; ; i++) {
    const key = `{key-${i}}`
    expect(await request(wire, 'SET', key, LARGE)).toBe(OK)
    const [there] = await ask(server, ['EXISTS', key])
    if (String(there) !== ':1\r\n') continue
    wire.destroy()
    return key
  }
}

async function request(wire: Wire, ...args: string[]): Promise<string> {
  wire.send(encode(...args))
  return String(await wire.redisReplies(1, { timeoutMs: 15_000 }))
}

/** A connection that is not read, and is written to as long as the other side takes it. */
async function deaf(bytes: Buffer, times: number): Promise<Socket> {
  const socket = connect({ port: proxy.ports[0]!, host: '127.0.0.1' })
  socket.pause()
  // Such a client must expect to be cut off.
  socket.on('error', () => {})
  sockets.push(socket)
  await new Promise(resolve => socket.once('connect', resolve))
  let left = times
  const pump = (): void => {
    while (left > 0) {
      left--
      if (!socket.write(bytes)) return
    }
  }
  socket.on('drain', pump)
  pump()
  return socket
}

/** Requests that the first server has yet to answer. */
async function underWay(): Promise<number> {
  const { pool } = JSON.parse((await (await Wire.open({ port: proxy.statsPort })).untilClosed()).toString())
  return pool.s0.in_queue + pool.s0.out_queue
}

function repeat(count: number, bytes: Buffer): Buffer {
  return Buffer.concat(Array.from({ length: count }, () => bytes))
}

/** Resolves when the proxy takes no more of what is sent to it. */
async function untilStuck(socket: Socket): Promise<void> {
  for (let before = -1; before !== socket.bytesWritten - socket.writableLength; ) {
    before = socket.bytesWritten - socket.writableLength
    await delay(300)
  }
}

/** Milliseconds that one request after the other takes, sorted. */
async function latencies(wire: Wire, key: string, count: number): Promise<number[]> {
  const taken: number[] = []
  for (let i = 0; i < count; i++) {
    const startedMs = performance.now()
    expect(await request(wire, 'SET', key, 'v')).toBe(OK)
    taken.push(performance.now() - startedMs)
  }
  return taken.sort((left, right) => left - right)
}

test('a million pipelined GETs of 100 KB that nobody reads cost less than 64 MB where 16 are configured', async () => {
  await start({ client_queue_bytes: 16 * MIB })
  const memory = new MemoryWatch(proxy.pid)
  const socket = await deaf(repeat(1_000, encode('GET', keys[0]!)), 1_000)
  await untilStuck(socket)
  const other = await Wire.open({ port: proxy.ports[0]! })
  expect(await request(other, 'SET', `${keys[0]}-other`, 'v')).toBe(OK)
  other.destroy()
  memory.stop()
  expect(memory.growthBytes / MIB).toBeLessThan(64)
  expect(memory.growthBytes / MIB).toBeGreaterThan(4)
})

test('the replies that one client reads slowly hold up nobody else', async () => {
  await start()
  const socket = await deaf(repeat(1_000, encode('GET', keys[0]!)), 20)
  await untilStuck(socket)
  const other = await Wire.open({ port: proxy.ports[0]! })
  const reader = setInterval(() => void socket.read(), 20)
  const taken = await latencies(other, `${keys[0]}-small`, 100)
  clearInterval(reader)
  other.destroy()
  // The slow one has a few megabytes on the way at most; they pass the server's connection in some milliseconds.
  expect(taken[50]).toBeLessThan(100)
})

test('100 MB for a client that reads nothing cost its bound, and those who share the connection are served', async () => {
  await start({ client_queue_bytes: 4 * MIB })
  await ask(servers[0]!, ['SETRANGE', keys[0]!, `${100 * MIB - 1}`, 'x'])
  const others = await Promise.all(Array.from({ length: 20 }, () => Wire.open({ port: proxy.ports[0]! })))
  const memory = new MemoryWatch(proxy.pid)
  servers[0]!.child.signal('SIGSTOP')
  for (let i = 0; i < 3; i++) await deaf(encode('GET', keys[0]!), 1)
  await waitUntil(async () => (await underWay()) === 3, 'their requests to be under way')
  for (const wire of others) wire.send(repeat(50, encode('GET', `${keys[0]}-none`)))
  await waitUntil(async () => (await underWay()) === 1_003, 'those of others to be behind them')
  servers[0]!.child.signal('SIGCONT')
  for (const wire of others) {
    const replies = await wire.redisReplies(50)
    expect(new Set(replies.map(String))).toEqual(new Set(['$-1\r\n']))
    wire.destroy()
  }
  memory.stop()
  expect(memory.growthBytes / MIB).toBeLessThan(3 * 16 + 32)
  expect(proxy.log().split('closed: it does not read')).toHaveLength(4)
})

test('100 MB for a client that reads slowly come whole while others are served, and cost next to nothing', async () => {
  await start()
  await ask(servers[0]!, ['SETRANGE', keys[0]!, `${100 * MIB - 1}`, 'x'])
  const memory = new MemoryWatch(proxy.pid)
  const slow = await deaf(encode('GET', keys[0]!), 1)
  // The reply has begun: a request that comes before it would wait behind it.
  await once(slow, 'readable')
  await untilStuck(slow)
  const other = await Wire.open({ port: proxy.ports[0]! })
  const taken = await latencies(other, `${keys[0]}-small`, 100)
  expect(taken[50]).toBeLessThan(100)
  memory.stop()
  expect(memory.growthBytes / MIB).toBeLessThan(24)
  let bytes = 0
  slow.on('data', (chunk: Buffer) => {
    bytes += chunk.length
  })
  slow.resume()
  await waitUntil(() => bytes >= 100 * MIB + 14, 'the whole reply')
  expect(bytes).toBe(100 * MIB + 14)
  other.destroy()
})

test('a server that stands still holds up its own keys only, and takes a bounded queue', async () => {
  await start({ server_queue_bytes: 1_048_576 })
  servers[0]!.child.signal('SIGSTOP')
  const memory = new MemoryWatch(proxy.pid)
  const flood = repeat(100, encode('SET', keys[0]!, LARGE))
  const stuck = await Promise.all(Array.from({ length: 4 }, () => deaf(flood, 10)))
  for (const socket of stuck) await untilStuck(socket)
  const other = await Wire.open({ port: proxy.ports[0]! })
  const taken = await latencies(other, keys[1]!, 200)
  expect(taken[100]).toBeLessThan(100)
  for (const socket of stuck) socket.resume()
  other.send(repeat(60, encode('SET', keys[0]!, LARGE)))
  await delay(100)
  memory.stop()
  expect(memory.growthBytes / MIB).toBeLessThan(64)
  servers[0]!.child.signal('SIGCONT')
  const full = '-ERR server queue is full\r\n'
  const replies = (await other.redisReplies(60)).map(String)
  // How many find a place depends on how many the others left.
  expect(replies.filter(reply => reply !== OK && reply !== full)).toEqual([])
  expect(replies).toContain(full)
  await waitUntil(async () => {
    other.send(encode('SET', keys[0]!, LARGE))
    return String((await other.redisReplies(1))[0]) === OK
  }, 'a place in the queue')
  other.destroy()
})

test('10,000 half requests cost a few kilobytes each, and the idle timeout ends them', async () => {
  await start({ client_idle_timeout: 3_000 })
  const before = residentBytes(proxy.pid)
  const half = encode('MSET', keys[0]!, 'x'.repeat(300), keys[1]!, 'y'.repeat(300)).subarray(0, 500)
  for (let i = 0; i < 100; i++) await Promise.all(Array.from({ length: 100 }, () => deaf(half, 1)))
  const each = (residentBytes(proxy.pid) - before) / sockets.length
  expect(each).toBeLessThan(12 * 1024)
  for (const socket of sockets) socket.resume()
  await waitUntil(() => sockets.every(socket => socket.destroyed), 'all of them to be closed', 30_000)
})

test('promises of large arguments cost nothing', async () => {
  await start()
  const memory = new MemoryWatch(proxy.pid)
  const promises = [
    '*2\r\n$536870912\r\nG',
    '*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\nv',
    '*1048576\r\n$3\r\nDEL\r\n',
  ]
  for (let i = 0; i < 300; i++) await deaf(Buffer.from(promises[i % promises.length]!), 1)
  const other = await Wire.open({ port: proxy.ports[0]! })
  expect(await request(other, 'SET', keys[0]!, 'v')).toBe(OK)
  other.destroy()
  memory.stop()
  expect(memory.growthBytes / MIB).toBeLessThan(32)
})

test('who sends a byte now and then is not active', async () => {
  await start({ client_idle_timeout: 500 })
  const wire = await Wire.open({ port: proxy.ports[0]! })
  const bytes = encode('SET', keys[0]!, 'x'.repeat(1_000))
  const startedMs = performance.now()
  for (let at = 0; !wire.closed && performance.now() - startedMs < 10_000; at++) {
    wire.send(bytes.subarray(at, at + 1))
    await delay(50)
  }
  expect(wire.closed).toBe(true)
  wire.destroy()
})

test('who sends a large request in small pieces is active', async () => {
  await start({ client_idle_timeout: 500 })
  const wire = await Wire.open({ port: proxy.ports[0]! })
  const bytes = encode('SET', keys[0]!, 'x'.repeat(20_000))
  for (let at = 0; at < bytes.length; at += 700) {
    wire.send(bytes.subarray(at, at + 700))
    await delay(50)
  }
  expect(String(await wire.redisReplies(1))).toBe(OK)
  wire.destroy()
})

test('--memory-limit holds when many clients flood at once, and others are served again', async () => {
  await start({}, ['--memory-limit', '64m'])
  const memory = new MemoryWatch(proxy.pid)
  const flood = repeat(1_000, encode('GET', keys[0]!))
  for (let i = 0; i < 40; i++) await deaf(flood, 10)
  await waitUntil(() => proxy.log().includes('closed to free memory'), 'the first client to be closed', 20_000)
  const other = await Wire.open({ port: proxy.ports[0]! })
  expect(await request(other, 'SET', keys[1]!, 'v')).toBe(OK)
  other.destroy()
  memory.stop()
  expect(proxy.log()).toContain('the worker stops reading from clients until there is less')
  // What waits is bounded; what the collector has not yet looked at comes on top.
  expect(memory.growthBytes / MIB).toBeLessThan(3 * 64)
})

test('after a burst the memory goes back', { timeout: 90_000 }, async () => {
  await start()
  const idle = residentBytes(proxy.pid)
  const memory = new MemoryWatch(proxy.pid)
  const flood = repeat(1_000, encode('GET', `${keys[1]}-small`))
  const small = await Wire.open({ port: proxy.ports[0]! })
  expect(await request(small, 'SET', `${keys[1]}-small`, 'x'.repeat(1_000))).toBe(OK)
  small.destroy()
  for (let i = 0; i < 30; i++) await deaf(flood, 30)
  await waitUntil(() => memory.growthBytes > 96 * MIB, 'the burst', 20_000)
  for (const socket of sockets) socket.destroy()
  memory.stop()
  await waitUntil(() => residentBytes(proxy.pid) < idle + 40 * MIB, 'the memory to go back', 40_000)
})
