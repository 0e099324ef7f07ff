/** Clients that write a whole pipeline before they read its first reply, as redis-py and phpredis do. */

import { once } from 'node:events'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { stopAll } from '../../support/processes/child.ts'
import { poolYml, type RunningProxy, serverEntry, startProxy } from '../../support/processes/proxy.ts'
import { startRedis, type TestServer } from '../../support/processes/servers.ts'
import { encode } from '../../support/wire/resp.ts'
import { Wire } from '../../support/wire/wire.ts'

const OK = '+OK\r\n'
/** A client that waits in vain is closed after a minute. */
const SOON_MS = 25_000

let servers: TestServer[]
let proxy: RunningProxy

beforeAll(async () => {
  servers = await Promise.all([startRedis(), startRedis()])
})
afterAll(stopAll)
afterEach(async () => {
  await proxy.stop()
})

async function start(keys: Record<string, string | number> = {}, flags: readonly string[] = []): Promise<Wire> {
  const entries = servers.map((server, i) => serverEntry(server, `s${i}`))
  const yml = poolYml({ keys: { redis: true, ...keys }, servers: entries })
  proxy = await startProxy({ kind: 'pistachio', yml, workers: 1, flags })
  return Wire.open({ port: proxy.ports[0]! })
}

/** Writes all of it, and reads nothing before the last byte has left this process. */
async function writeFirst(wire: Wire, bytes: Buffer): Promise<void> {
  wire.socket.pause()
  if (!wire.socket.write(bytes)) await once(wire.socket, 'drain', { signal: AbortSignal.timeout(SOON_MS) })
  wire.socket.resume()
}

function getsAndSets(count: number, value: string): Buffer {
  const requests: Buffer[] = []
  for (let i = 0; i < count; i++) requests.push(encode('GET', 'k'), encode('SET', `s${i % 20}`, value))
  return Buffer.concat(requests)
}

test.each([
  ['400 GETs and SETs of 100 KB', 400, 100_000],
  ['60 GETs and SETs of 1 MB', 60, 1_000_000],
])('%s', { timeout: 60_000 }, async (_name, count, bytes) => {
  const wire = await start()
  const value = 'x'.repeat(bytes)
  wire.send(encode('SET', 'k', value))
  expect(String(await wire.redisReplies(1))).toBe(OK)
  await writeFirst(wire, getsAndSets(count, value))
  const replies = await wire.redisReplies(count * 2, { timeoutMs: SOON_MS })
  const valueBytes = value.length + 5 + String(bytes).length
  expect(replies.map(reply => reply.length)).toEqual(replies.map((_, i) => (i % 2 === 0 ? valueBytes : OK.length)))
  wire.destroy()
})

test('600,000 GETs of 100 bytes', { timeout: 60_000 }, async () => {
  const wire = await start()
  const value = 'x'.repeat(100)
  wire.send(encode('SET', 'k', value))
  expect(String(await wire.redisReplies(1))).toBe(OK)
  const count = 600_000
  const reply = `$100\r\n${value}\r\n`
  await writeFirst(wire, Buffer.from(encode('GET', 'k').toString().repeat(count)))
  const received = await wire.take(count * reply.length, SOON_MS)
  expect(received.equals(Buffer.from(reply.repeat(count)))).toBe(true)
  wire.destroy()
})

test('an explicit client_queue_bytes bounds them as before', { timeout: 60_000 }, async () => {
  const wire = await start({ client_queue_bytes: 65_536 })
  wire.send(encode('SET', 'k', 'x'.repeat(100_000)))
  expect(String(await wire.redisReplies(1))).toBe(OK)
  wire.socket.pause()
  const bytes = getsAndSets(400, 'x'.repeat(100_000))
  wire.socket.write(bytes)
  // The kernel's buffers take some of it; nothing more until the client reads.
  await new Promise(resolve => setTimeout(resolve, 1_000))
  expect(wire.socket.writableLength).toBeGreaterThan(0)
  wire.socket.resume()
  await wire.redisReplies(800, { timeoutMs: SOON_MS })
  wire.destroy()
})

test('where memory is short the memory guard ends them', { timeout: 60_000 }, async () => {
  const wire = await start({}, ['--memory-limit=64m'])
  const value = 'x'.repeat(100_000)
  wire.send(encode('SET', 'k', value))
  expect(String(await wire.redisReplies(1))).toBe(OK)
  const others = await Promise.all(Array.from({ length: 12 }, () => Wire.open({ port: proxy.ports[0]! })))
  for (const other of others) {
    other.socket.pause()
    other.socket.write(getsAndSets(400, value))
  }
  await expect.poll(() => proxy.log(), { timeout: SOON_MS }).toMatch(/closed to free memory: it held \d+ bytes/)
  await expect
    .poll(
      async () => {
        wire.send(encode('PING'))
        return String(await wire.redisReplies(1, { timeoutMs: SOON_MS }))
      },
      { timeout: SOON_MS },
    )
    .toBe('+PONG\r\n')
  for (const other of others) other.destroy()
  wire.destroy()
})
