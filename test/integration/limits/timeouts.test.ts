/** How long the running proxy waits for a connection to a server, and apart from that for a reply. */

import { connect, createServer, type Socket } from 'node:net'
import { afterAll, afterEach, expect, test } from 'vitest'
import { listen } from '../../support/fakes/open-server.ts'
import { stopAll } from '../../support/processes/child.ts'
import { poolYml, serverEntry, startProxy } from '../../support/processes/proxy.ts'
import { ask, startRedis, type TestServer } from '../../support/processes/servers.ts'
import { waitUntil } from '../../support/wait.ts'
import { encode } from '../../support/wire/resp.ts'
import { Wire } from '../../support/wire/wire.ts'

const SHORT_MS = 300
const LONG_MS = 8_000
const TIMED_OUT = '-ERR Connection timed out\r\n'

let sockets: Socket[] = []

afterEach(() => {
  for (const socket of sockets) socket.destroy()
  sockets = []
})
afterAll(stopAll)

/** Stops the server and fills the kernel's queue before it: who connects from now on hears nothing at all. */
async function deafen(server: TestServer): Promise<void> {
  server.child.signal('SIGSTOP')
  for (let waiting = false; !waiting; ) {
    const socket = connect({ port: server.port, host: '127.0.0.1' })
    socket.on('error', () => {})
    sockets.push(socket)
    waiting = await new Promise(resolve => {
      socket.once('connect', () => resolve(false))
      setTimeout(resolve, 500, true)
    })
  }
}

async function secondsUntilTimedOut(port: number): Promise<number> {
  const wire = await Wire.open({ port })
  const startedMs = performance.now()
  wire.send(encode('GET', 'a'))
  expect(String(await wire.redisReplies(1, { timeoutMs: 20_000 }))).toBe(TIMED_OUT)
  wire.destroy()
  return (performance.now() - startedMs) / 1_000
}

test('a connection has a time of its own, a reply another', { timeout: 60_000 }, async () => {
  const [far, slow] = [await startRedis(), await startRedis()]
  await deafen(far)
  const pool = (name: string, port: number, server: TestServer, timeout: number, connectTimeout: number): string =>
    poolYml({
      name,
      listen: `127.0.0.1:@PORT${port}@`,
      keys: { redis: true, timeout, server_connect_timeout: connectTimeout },
      servers: [serverEntry(server, 'a')],
    })
  const yml =
    pool('far', 0, far, LONG_MS, SHORT_MS) +
    pool('slow', 1, slow, LONG_MS, SHORT_MS) +
    pool('quick', 2, slow, SHORT_MS, LONG_MS)
  const proxy = await startProxy({ kind: 'pistachio', yml, workers: 1 })
  // Well connected, and without an answer.
  await ask(slow, ['CLIENT', 'PAUSE', '30000', 'ALL'])
  const [unreachable, silent, quick] = await Promise.all([0, 1, 2].map(i => secondsUntilTimedOut(proxy.ports[i]!)))
  expect(unreachable!).toBeGreaterThan(SHORT_MS / 1_000)
  expect(unreachable!).toBeLessThan(LONG_MS / 2_000)
  expect(silent!).toBeGreaterThanOrEqual(LONG_MS / 1_000)
  expect(quick!).toBeGreaterThanOrEqual(SHORT_MS / 1_000)
  expect(quick!).toBeLessThan(LONG_MS / 2_000)
  await proxy.stop('SIGKILL')
})

test('a client that pauses longer than the timeout gets every large value', { timeout: 60_000 }, async () => {
  const servers = [await startRedis(), await startRedis()]
  const yml = poolYml({
    name: 'large',
    listen: '127.0.0.1:@PORT0@',
    keys: { redis: true, timeout: 400 },
    servers: servers.map((server, i) => serverEntry(server, `s${i}`)),
  })
  const proxy = await startProxy({ kind: 'pistachio', yml, workers: 1 })
  const wire = await Wire.open({ port: proxy.ports[0]! })
  const keys = Array.from({ length: 20 }, (_, i) => `key${i}`)
  const value = 'x'.repeat(1_000_000)
  for (const key of keys) wire.send(encode('SET', key, value))
  expect(new Set((await wire.redisReplies(keys.length)).map(String))).toEqual(new Set(['+OK\r\n']))
  wire.socket.pause()
  wire.send(Buffer.concat(keys.map(key => encode('GET', key))))
  await new Promise(resolve => setTimeout(resolve, 600))
  wire.socket.resume()
  const replies = await wire.redisReplies(keys.length, { timeoutMs: 20_000 })
  expect(replies.map(reply => reply.length)).toEqual(keys.map(() => value.length + 12))
  await proxy.stop('SIGKILL')
})

test('a reply that came while the proxy could not run is in time', { timeout: 60_000 }, async () => {
  let peer: Socket | null = null
  const server = createServer(socket => {
    socket.on('data', () => {
      peer = socket
    })
    socket.on('error', () => {})
  })
  const port = await listen(server)
  const yml = poolYml({
    name: 'held',
    listen: '127.0.0.1:@PORT0@',
    keys: { redis: true, timeout: SHORT_MS },
    servers: [`127.0.0.1:${port}:1 a`],
  })
  const proxy = await startProxy({ kind: 'pistachio', yml, workers: 1 })
  const wire = await Wire.open({ port: proxy.ports[0]! })
  for (let i = 0; i < 5; i++) {
    peer = null
    wire.send(encode('GET', 'a'))
    await waitUntil(() => peer !== null, 'the request')
    process.kill(proxy.pid, 'SIGSTOP')
    peer!.write('$1\r\nv\r\n')
    await new Promise(resolve => setTimeout(resolve, SHORT_MS * 2))
    process.kill(proxy.pid, 'SIGCONT')
    expect(String(await wire.redisReplies(1))).toBe('$1\r\nv\r\n')
  }
  await proxy.stop('SIGKILL')
  server.close()
})
