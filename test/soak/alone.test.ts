/**
 * What comes and goes while a proxy lives, each alone and many times over: of a worker, a configuration, a client nothing may stay. The soak has
 * all of them at once, where a little of one is noise; here it shows.
 *
 *     REPEATS    how many times as much as in `npm test`     default 1
 *     SEED       repeats a run's random choices
 */

import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { stopAll } from '../support/processes/child.ts'
import { CRASH_HOOK, crashFile } from '../support/processes/crash-hook.ts'
import { HEAP_HOOK } from '../support/processes/heap-hook.ts'
import { hooks } from '../support/processes/hooks.ts'
import { LEAK_HOOK } from '../support/processes/leak-hook.ts'
import { LogTail } from '../support/processes/log-tail.ts'
import { type PoolText, poolYml, type RunningProxy, serverEntry, startProxy } from '../support/processes/proxy.ts'
import { startMemcached, startRedis, type TestServer } from '../support/processes/servers.ts'
import { Random, runSeed } from '../support/random.ts'
import { waitUntil } from '../support/wait.ts'
import { encode } from '../support/wire/resp.ts'
import { Wire } from '../support/wire/wire.ts'
import { describeFlatness, type Flatness } from './flatness.ts'
import { COLUMN_HEADS, columnsOf, flatnessOf, type Sample, takeSample } from './sample.ts'

const REPEATS = Number(process.env.REPEATS ?? 1)
const SEED = runSeed()
const TIMEOUT_MS = 180_000 * REPEATS
/** The first is warm-up. */
const BATCHES = 7

let redis: TestServer
let memcached: TestServer
let proxy: RunningProxy

beforeAll(async () => {
  redis = await startRedis()
  memcached = await startMemcached()
})
afterEach(() => proxy.stop('SIGKILL'))
afterAll(stopAll)

/** A pool of either kind, the redis pool first. @param keys more keys of both. */
function pools(keys: PoolText['keys'] = {}, redisServers: readonly string[] = ['a', 'b']): string {
  const servers = redisServers.map(name => serverEntry(redis, name))
  return (
    poolYml({ name: 'redis', keys: { redis: true, ...keys }, servers }) +
    poolYml({ name: 'memcache', listen: '127.0.0.1:@PORT1@', keys, servers: [serverEntry(memcached, 'a')] })
  )
}

async function start(workers: number, env: NodeJS.ProcessEnv = {}): Promise<void> {
  proxy = await startProxy({ kind: 'pistachio', yml: pools(), workers, env: hooks(HEAP_HOOK, env) })
}

interface Repetition {
  readonly workers: number
  /** Rise that is still flat, over four batches. */
  readonly allowances: Sample
  /** Threads whose heaps are measured. Default: all. */
  readonly isMeasured?: (thread: string) => boolean
  /** Does it many times. */
  readonly batch: () => Promise<void>
}

/** Measures after each batch. @returns what was not flat. */
async function whatPilesUp({ workers, allowances, isMeasured, batch }: Repetition): Promise<Flatness[]> {
  console.log(COLUMN_HEADS)
  const samples: Sample[] = []
  for (let i = 0; i < BATCHES; i++) {
    for (let repeat = 0; repeat < REPEATS; repeat++) await batch()
    await waitUntil(async () => (await clientCount()) === 0, 'all clients to be forgotten')
    const sample = await takeSample(proxy, workers, isMeasured)
    console.log(columnsOf(sample))
    if (i > 0) samples.push(sample)
  }
  const verdicts = flatnessOf(samples, allowances)
  for (const verdict of verdicts) console.log(describeFlatness(verdict))
  return verdicts.filter(({ flat }) => !flat)
}

async function clientCount(): Promise<number> {
  const document = await (await Wire.open({ port: proxy.statsPort })).untilClosed()
  const stats = JSON.parse(document.toString())
  return ['redis', 'memcache'].reduce((sum, pool) => sum + stats[pool].client_connections, 0)
}

test('workers that die leave nothing behind', { timeout: TIMEOUT_MS }, async () => {
  // A worker that lived for a short time is restarted after a pause, so killing many at once is
  // quicker.
  const workers = 8
  const allowances: Sample = { residentMiB: 24, heapMiB: 0.1, bufferMiB: 0.1, descriptors: 3, connections: 3 }
  // The others have only just begun.
  const isMeasured = (thread: string): boolean => thread === 'main'
  await start(workers, CRASH_HOOK)
  const log = new LogTail(join(proxy.child.folder, 'proxy.log'))
  const batch = async (): Promise<void> => {
    const wires = await Promise.all(Array.from({ length: workers }, () => Wire.open({ port: proxy.ports[0]! })))
    for (const wire of wires) wire.send(encode('SET', 'key', 'value'))
    await Promise.all(wires.map(wire => wire.redisReplies(1)))
    log.mark()
    for (let i = 0; i < workers; i++) writeFileSync(join(proxy.child.folder, crashFile(i)), '')
    await waitUntil(() => log.count('is running again') === workers, 'all workers to be in place again', 20_000)
    await Promise.all(wires.map(wire => wire.untilClosed()))
  }
  const risen = await whatPilesUp({ workers, allowances, isMeasured, batch })
  expect(risen).toEqual([])
})

test('configurations that are replaced leave nothing behind', { timeout: TIMEOUT_MS }, async () => {
  const workers = 2
  const allowances: Sample = { residentMiB: 16, heapMiB: 0.2, bufferMiB: 0.6, descriptors: 3, connections: 3 }
  await start(workers)
  const log = new LogTail(join(proxy.child.folder, 'proxy.log'))
  const path = `${proxy.child.folder}/third.sock`
  const third = poolYml({ name: 'third', listen: path, keys: { redis: true }, servers: [serverEntry(redis, 'a')] })
  let timeoutMs = 1_000
  const variants: readonly (() => string)[] = [
    () => pools({ timeout: ++timeoutMs }),
    () => pools({}, ['a', 'b', 'c']),
    () => pools({ auto_eject_hosts: true }),
    () => pools() + third,
    () => pools({ distribution: 'modula', server_connections: 2 }),
    () => pools({ reuseport: true }),
  ]
  const reload = async (yml: string): Promise<void> => {
    const text = yml.replace(/@PORT(\d+)@/g, (_, index) => `${proxy.ports[Number(index)]}`)
    writeFileSync(join(proxy.child.folder, 'proxy.yml'), text)
    log.mark()
    proxy.child.signal('SIGUSR1')
    await waitUntil(() => log.count('reload: ') > 0, 'the reload')
  }
  const batch = async (): Promise<void> => {
    const wires = await Promise.all(Array.from({ length: workers }, () => Wire.open({ port: proxy.ports[0]! })))
    for (const variant of [...variants, ...variants, ...variants]) {
      await reload(variant())
      for (const wire of wires) wire.send(encode('GET', 'key'))
      await Promise.all(wires.map(wire => wire.redisReplies(1)))
    }
    for (const wire of wires) wire.destroy()
  }
  const risen = await whatPilesUp({ workers, allowances, batch })
  expect(risen).toEqual([])
})

/** What a client may have asked for when it leaves, by its pool. */
const REDIS_VISITS: readonly Buffer[] = [
  Buffer.alloc(0),
  encode('GET', 'key'),
  Buffer.concat([encode('MSET', 'm1', '1', 'm2', '2', 'm3', '3'), encode('MGET', 'm1', 'm2', 'm3', 'm4')]),
  Buffer.concat([encode('SUBSCRIBE', 'channel'), encode('PSUBSCRIBE', 'p*')]),
  encode('BLPOP', 'nothing-there', '0'),
  encode('XREAD', 'BLOCK', '0', 'STREAMS', 'nothing-there-either', '$'),
  Buffer.concat([encode('WATCH', 'w'), encode('MULTI'), encode('SET', 'w', '1')]),
  Buffer.concat([encode('MULTI'), encode('SET', 'w', '1'), encode('EXEC')]),
  Buffer.concat([encode('HELLO', '3'), encode('GET', 'key'), encode('CLIENT', 'SETNAME', 'n'), encode('SCAN', '0')]),
  Buffer.concat([encode('SET', 'large', 'x'.repeat(600_000)), encode('GET', 'large')]),
  encode('SET', 'large', 'x'.repeat(600_000)).subarray(0, 400_000),
  encode('SET', 'small', 'x'.repeat(5_000)).subarray(0, 2_000),
  Buffer.from('*3\r\n$x\r\n'),
  encode('QUIT'),
]
const MEMCACHE_VISITS: readonly Buffer[] = [
  Buffer.from('set key 0 0 5\r\nvalue\r\nget key key2 key3\r\n'),
  Buffer.from('set key 0 0 5 noreply\r\nvalue\r\ngat 0 key\r\nmg key v\r\nstats\r\n'),
  Buffer.from('set key 0 0 50\r\nval'),
  Buffer.from('no such thing\r\n'),
]

/** So long a client waits for the proxy's end of the connection, once it has ended its own. */
const LAST_WORDS_MS = 20

/** Connects, asks, takes what comes for a moment, and leaves: in good order, or with a reset. */
function visit(port: number, request: Buffer, random: Random): Promise<void> {
  return new Promise(resolve => {
    const socket = connect({ port, host: '127.0.0.1' })
    // The proxy may disconnect some of them.
    socket.on('error', () => {})
    socket.on('close', () => resolve())
    socket.on('data', () => {})
    socket.on('connect', async () => {
      socket.write(request)
      await delay(random.below(6))
      const manner = random.below(3)
      if (manner === 0) socket.resetAndDestroy()
      if (manner === 1) socket.end()
      await delay(LAST_WORDS_MS)
      socket.destroy()
    })
  })
}

test('clients that go leave nothing behind, whatever they were doing', { timeout: TIMEOUT_MS }, async () => {
  const workers = 2
  const allowances: Sample = { residentMiB: 24, heapMiB: 0.2, bufferMiB: 18, descriptors: 6, connections: 6 }
  await start(workers)
  const random = new Random(SEED)
  const comeAndGo = async (): Promise<void> => {
    for (const request of REDIS_VISITS) await visit(proxy.ports[0]!, request, random)
    for (const request of MEMCACHE_VISITS) await visit(proxy.ports[1]!, request, random)
  }
  const batch = async (): Promise<void> => {
    for (let i = 0; i < 5; i++) await Promise.all(Array.from({ length: 8 }, comeAndGo))
  }
  const risen = await whatPilesUp({ workers, allowances, batch })
  expect(risen).toEqual([])
})

test('a proxy that leaks is noticed in the same way', { timeout: TIMEOUT_MS }, async () => {
  const workers = 2
  const allowances: Sample = { residentMiB: 24, heapMiB: 0.2, bufferMiB: 2, descriptors: 3, connections: 3 }
  await start(workers, LEAK_HOOK)
  const risen = await whatPilesUp({ workers, allowances, batch: () => delay(500) })
  expect(risen.map(({ name }) => name)).toEqual(expect.arrayContaining(['heap', 'buffers', 'descriptors']))
})
