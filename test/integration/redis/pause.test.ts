/** CLIENT PAUSE and UNPAUSE: the proxy holds back the requests of all workers' clients. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { stopAll } from '../../support/processes/child.ts'
import { ask } from '../../support/processes/servers.ts'
import { closeTalks, type RedisPool, startRedisPool, Talk } from '../../support/wire/redis-pool.ts'
import { Wire } from '../../support/wire/wire.ts'

const TALKS = 6

let pool: RedisPool

beforeAll(async () => {
  pool = await startRedisPool({}, 3)
})

afterEach(async () => {
  await (await pool.talk()).say('CLIENT', 'UNPAUSE')
  closeTalks()
})
afterAll(stopAll)

function someTalks(): Promise<Talk[]> {
  return Promise.all(Array.from({ length: TALKS }, () => pool.talk()))
}

/** What the servers have been asked so far, apart from what tells of them. */
async function callsOf(command: string): Promise<number> {
  let calls = 0
  for (const server of pool.servers) {
    const stats = `${(await ask(server, ['INFO', 'commandstats']))[0]}`
    calls += Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0)
  }
  return calls
}

test('a pause holds back every client’s requests until it is ended; nothing of them reaches a server', async () => {
  const [talk, ...others] = await someTalks()
  expect(await talk!.say('CLIENT', 'PAUSE', '60000')).toBe('+OK\r\n')
  const before = await callsOf('incr')
  for (const [i, other] of others.entries()) other.sendAll(['INCR', `paused${i}`], ['PING'], ['INCR', `paused${i}`])
  const late = await pool.talk()
  late.send('INCR', 'paused-late')
  // An answer of each worker: what was sent before has come there too.
  expect((await talk!.say('CLIENT', 'LIST')).split('\n')).toHaveLength(TALKS + 4)
  expect(await callsOf('incr')).toBe(before)
  expect(await talk!.say('CLIENT', 'UNPAUSE')).toBe('+OK\r\n')
  for (const other of others) expect(await other.hear(3)).toEqual([':1\r\n', '+PONG\r\n', ':2\r\n'])
  expect(await late.hear(1)).toEqual([':1\r\n'])
})

test('a pause ends by itself', async () => {
  const [talk, other] = await someTalks()
  const began = performance.now()
  await talk!.say('CLIENT', 'PAUSE', '300')
  expect(await other!.say('GET', 'nothing')).toBe('$-1\r\n')
  expect(performance.now() - began).toBeGreaterThan(290)
})

describe('WRITE', () => {
  test('holds back writes only, also in scripts and publications', async () => {
    const talks = await someTalks()
    await talks[0]!.say('CLIENT', 'PAUSE', '60000', 'WRITE')
    for (const talk of talks) {
      expect(await talk.say('GET', 'nothing')).toBe('$-1\r\n')
      expect(await talk.say('PING')).toBe('+PONG\r\n')
    }
    talks[1]!.send('SET', 'written', 'x')
    talks[2]!.send('EVAL', "return redis.call('GET', KEYS[1])", '1', 'written')
    talks[3]!.send('PUBLISH', 'channel', 'x')
    talks[4]!.send('MGET', 'a', 'b', 'c')
    expect(await talks[4]!.hear(1)).toEqual(['*3\r\n$-1\r\n$-1\r\n$-1\r\n'])
    expect(await talks[0]!.say('GET', 'written')).toBe('$-1\r\n')
    for (const talk of talks.slice(1, 4)) expect(talk.wire.received.length).toBe(0)
    await talks[0]!.say('CLIENT', 'UNPAUSE')
    expect(await talks[1]!.hear(1)).toEqual(['+OK\r\n'])
    expect(await talks[3]!.hear(1)).toEqual([':0\r\n'])
  })

  test('lets a transaction queue, and holds back its EXEC only where it writes', async () => {
    const [talk, reader, writer] = await someTalks()
    await talk!.say('CLIENT', 'PAUSE', '60000', 'WRITE')
    reader!.sendAll(['MULTI'], ['GET', 'nothing'], ['EXEC'])
    expect(await reader!.hear(3)).toEqual(['+OK\r\n', '+QUEUED\r\n', '*1\r\n$-1\r\n'])
    writer!.sendAll(['MULTI'], ['INCR', 'in-pause'], ['EXEC'])
    expect(await writer!.hear(2)).toEqual(['+OK\r\n', '+QUEUED\r\n'])
    expect(await talk!.say('GET', 'in-pause')).toBe('$-1\r\n')
    await talk!.say('CLIENT', 'UNPAUSE')
    expect(await writer!.hear(1)).toEqual(['*1\r\n:1\r\n'])
  })
})

test('large requests wait too, and pass unharmed', async () => {
  const [talk, other] = await someTalks()
  await talk!.say('CLIENT', 'PAUSE', '60000')
  other!.send('SET', 'large', 'v'.repeat(3_000_000))
  await talk!.say('CLIENT', 'LIST')
  await talk!.say('CLIENT', 'UNPAUSE')
  expect(await other!.hear(1)).toEqual(['+OK\r\n'])
  expect(await other!.say('STRLEN', 'large')).toBe(':3000000\r\n')
})

test('an ending process serves what a pause holds back', async () => {
  const own = await startRedisPool({}, 2)
  const talk = await own.talk()
  const other = await own.talk()
  await talk.say('CLIENT', 'PAUSE', '60000')
  other.send('SET', 'a', 'b')
  await talk.say('CLIENT', 'LIST')
  const stopped = own.proxy.stop('SIGTERM')
  expect(await other.hear(1)).toEqual(['+OK\r\n'])
  await stopped
})

test('wrong arguments get Redis’s words', async () => {
  const talk = await pool.talk()
  const server = new Talk(await Wire.open({ port: pool.servers[0]!.port }))
  for (const args of [[], ['abc'], ['-1'], ['1', 'FOO'], ['1', 'WRITE', 'x'], ['99999999999999999999']]) {
    const words = await server.say('CLIENT', 'PAUSE', ...args)
    expect([args, await talk.say('CLIENT', 'PAUSE', ...args)]).toEqual([args, words])
  }
  expect(await talk.say('CLIENT', 'UNPAUSE', 'x')).toBe(await server.say('CLIENT', 'UNPAUSE', 'x'))
})
