/** MONITOR: the requests of a pool's clients in all workers, in Redis's form; bounded, and in nobody's way. */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createClient } from 'redis'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { stopAll } from '../../support/processes/child.ts'
import { CRASH_HOOK, crashFile } from '../../support/processes/crash-hook.ts'
import { poolYml, type RunningProxy, serverEntry, startProxy } from '../../support/processes/proxy.ts'
import { startRedis, type TestServer } from '../../support/processes/servers.ts'
import { waitUntil } from '../../support/wait.ts'
import { closeTalks, Talk } from '../../support/wire/redis-pool.ts'
import { Wire } from '../../support/wire/wire.ts'

const WORKERS = 3
const TALKS = 6

let server: TestServer
let proxy: RunningProxy

beforeAll(async () => {
  server = await startRedis()
  const keys = { redis: true, client_queue_bytes: 65_536 }
  const yml = poolYml({ keys, servers: [serverEntry(server, 'a')] })
  proxy = await startProxy({ kind: 'pistachio', workers: WORKERS, yml, env: CRASH_HOOK })
})

afterEach(closeTalks)
afterAll(stopAll)

async function talkTo(port: number): Promise<Talk> {
  return new Talk(await Wire.open({ port }))
}

async function monitor(port: number): Promise<Talk> {
  const talk = await talkTo(port)
  expect(await talk.say('MONITOR')).toBe('+OK\r\n')
  return talk
}

/** Lines without their time and the client's port. */
function stripped(lines: readonly string[]): string[] {
  return lines.map(line => line.replace(/^\+\d{10,}\.\d{6} \[(\d+) ([^\]]*):\d+\] /, '[$1 $2] '))
}

test('shows what Redis shows, as Redis shows it', async () => {
  const shown: string[][] = []
  for (const port of [server.port, proxy.ports[0]!]) {
    const watching = await monitor(port)
    const talk = await talkTo(port)
    for (const request of [
      ['PING'],
      ['set', 'k', 'a\0b"c\\d\xff\n\r\t\x07\x08é'],
      ['AUTH', 'foo'],
      ['hello', '3', 'auth', 'default', 'x', 'setname', 'y'],
      ['HELLO', '2'],
      ['CONFIG', 'GET', 'maxmemory'],
      ['CLIENT', 'SETNAME', 'zz'],
      ['CLIENT', 'LIST'],
      ['CLIENT', 'ID'],
      ['CLIENT', 'KILL', 'ID', '999999'],
      ['FOO', 'bar'],
      ['GET'],
      ['MGET', 'a', 'b'],
      ['INFO', 'server'],
      ['ECHO', ''],
      ['SLOWLOG', 'LEN'],
      ['ACL', 'WHOAMI'],
      ['SCRIPT', 'LOAD', 'return 1'],
      ['DBSIZE'],
      ['TIME'],
      ['BLPOP', 'none', '0.01'],
      ['PUBLISH', 'a', 'b'],
      ['MULTI'],
      ['SET', 'a', '1'],
      ['EXEC'],
      ['RESET'],
      ['SUBSCRIBE', 'x'],
      ['UNSUBSCRIBE'],
      ['ECHO', 'last'],
    ]) {
      await talk.say(...request)
    }
    const lines: string[] = []
    while (!lines.at(-1)?.endsWith('"last"\r\n')) lines.push(...(await watching.hear(1)))
    shown.push(stripped(lines))
    closeTalks()
  }
  expect(shown[1]).toEqual(shown[0])
  expect(shown[0]!.length).toBeGreaterThan(15)
})

test('shows the clients of every worker, to monitoring clients in every worker', async () => {
  const monitors = await Promise.all(Array.from({ length: WORKERS }, () => monitor(proxy.ports[0]!)))
  const talks = await Promise.all(Array.from({ length: TALKS }, () => talkTo(proxy.ports[0]!)))
  const wanted = talks.map((_, i) => `[0 127.0.0.1] "GET" "of-${i}"\r\n`).sort()
  for (const [i, talk] of talks.entries()) await talk.say('GET', `of-${i}`)
  for (const each of monitors) expect(stripped(await each.hear(TALKS)).sort()).toEqual(wanted)
})

test('a monitoring client may not touch keys, and RESET ends it', async () => {
  const watching = await monitor(proxy.ports[0]!)
  expect(await watching.say('GET', 'k')).toBe("-ERR Replica can't interact with the keyspace\r\n")
  expect(await watching.say('RESET')).toBe('+RESET\r\n')
  const talk = await talkTo(proxy.ports[0]!)
  await talk.say('SET', 'k', 'v')
  expect(await watching.say('GET', 'k')).toBe('$1\r\nv\r\n')
})

test('one that does not read is told how much it has missed, and delays no client', async () => {
  const watching = await monitor(proxy.ports[0]!)
  watching.wire.socket.pause()
  const talk = await talkTo(proxy.ports[0]!)
  const value = 'v'.repeat(10_000)
  for (let round = 0; round < 30; round++) {
    talk.sendAll(...Array.from({ length: 50 }, () => ['SET', 'k', value]))
    expect(await talk.hear(50)).toHaveLength(50)
  }
  watching.wire.socket.resume()
  let missed = 0
  let lines = 0
  for (let i = 0; missed + lines < 1_500; i++) {
    if (i % 20 === 0) await talk.say('PING')
    const [line] = await watching.hear(1)
    if (line!.includes('"SET"')) lines++
    missed += Number(/"(\d+) requests are not shown"/.exec(line!)?.[1] ?? 0)
  }
  expect(missed).toBeGreaterThan(0)
  expect(lines).toBeGreaterThan(0)
})

test('a long request is shown in part', async () => {
  const watching = await monitor(proxy.ports[0]!)
  const talk = await talkTo(proxy.ports[0]!)
  await talk.say('SET', 'k', 'v'.repeat(1_000_000))
  const [line] = await watching.hear(1)
  expect(line!.length).toBeLessThan(20_000)
  expect(line).toMatch(/"\(98\d+ more bytes\)"\r\n$/)
})

test('a worker that takes another’s place shows its clients too', async () => {
  const watching = await monitor(proxy.ports[0]!)
  const id = Number((await watching.say('CLIENT', 'ID')).slice(1))
  await watching.hear(1)
  const victim = id % WORKERS
  writeFileSync(join(proxy.child.folder, crashFile(victim)), '')
  await waitUntil(() => proxy.log().includes(`worker ${victim} is running again`), 'the next worker')
  const talks = await Promise.all(Array.from({ length: TALKS }, () => talkTo(proxy.ports[0]!)))
  for (const [i, talk] of talks.entries()) await talk.say('GET', `again-${i}`)
  const lines = stripped(await watching.hear(TALKS)).sort()
  expect(lines).toEqual(talks.map((_, i) => `[0 127.0.0.1] "GET" "again-${i}"\r\n`))
})

test('node-redis reads it', async () => {
  const client = await createClient({ url: `redis://127.0.0.1:${proxy.ports[0]}` }).connect()
  const lines: string[] = []
  await client.monitor(line => void lines.push(`${line}`))
  const talk = await talkTo(proxy.ports[0]!)
  await talk.say('GET', 'for node')
  await waitUntil(() => lines.some(line => line.endsWith('"GET" "for node"')), 'the line')
  client.destroy()
})
