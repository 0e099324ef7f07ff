/** One of three servers is killed, in a pool that ejects none: what needs no certain server goes on, and new clients come in. */

import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { stopAll } from '../../support/processes/child.ts'
import { ask, startRedis } from '../../support/processes/servers.ts'
import { waitUntil } from '../../support/wait.ts'
import { array, closeTalks, keysByServer, type RedisPool, startRedisPool } from '../../support/wire/redis-pool.ts'
import { decode } from '../../support/wire/resp.ts'

const REFUSED = '-ERR Connection refused\r\n'
/** The one that is killed. It is the server of keyless requests, or such a request would prove nothing. */
let lost: number
let pool: RedisPool
let keys: string[][]

beforeAll(async () => {
  pool = await startRedisPool()
  keys = await keysByServer(pool, 'lost', 1)
  lost = await keylessServer(pool)
  const talk = await pool.talk()
  await talk.say('MSET', ...keys.flatMap(([key]) => [key!, 'v']))
  await pool.servers[lost]!.child.stop('SIGKILL')
})

afterEach(closeTalks)
afterAll(stopAll)

/** The server that a request without a key goes to while all are there. */
async function keylessServer({ servers, talk }: RedisPool): Promise<number> {
  await (await talk()).say('LOLWUT', 'VERSION', 5)
  const calls = await Promise.all(servers.map(server => ask(server, ['INFO', 'commandstats'])))
  return calls.findIndex(([reply]) => `${reply}`.includes('cmdstat_lolwut'))
}

const live = (): number[] => [0, 1, 2].filter(index => index !== lost)
const text = (reply: string): string => String(decode(Buffer.from(reply, 'latin1')))

describe('with a lost server', () => {
  test('the log says so once, whatever the number of workers and requests', async () => {
    const talks = await Promise.all([pool.talk(), pool.talk()])
    for (let i = 0; i < 5; i++) for (const talk of talks) expect(await talk.say('GET', keys[lost]![0]!)).toBe(REFUSED)
    const line = `server '127.0.0.1:${pool.servers[lost]!.port}:1' of pool 'pool' is lost: `
    await waitUntil(() => pool.proxy.log().includes(line), 'the line')
    expect(pool.proxy.log().split(' is lost: ').length).toBe(2)
  })

  test('INFO has the live ones, and names the missing one whatever the section', async () => {
    const talk = await pool.talk()
    const server = text(await talk.say('INFO', 'server'))
    expect(server).toContain('redis_version:')
    expect(server).toContain(`proxy_missing_servers:server${lost}\r\n`)
    const all = text(await talk.say('INFO'))
    expect(all).toContain(`proxy_missing_servers:server${lost}\r\n`)
    expect(all).toContain(
      `server${lost}:name=server${lost},address=127.0.0.1:${pool.servers[lost]!.port},state=missing`,
    )
  })

  test.each([
    ['CONFIG GET', ['CONFIG', 'GET', 'maxmemory'], array('maxmemory', '0')],
    ['SLOWLOG GET', ['SLOWLOG', 'GET'], '*0\r\n'],
    ['SLOWLOG LEN', ['SLOWLOG', 'LEN'], ':0\r\n'],
    ['PUBSUB CHANNELS', ['PUBSUB', 'CHANNELS'], '*0\r\n'],
    ['PUBSUB NUMSUB', ['PUBSUB', 'NUMSUB', 'ch'], array('ch', 0)],
    ['PUBSUB NUMPAT', ['PUBSUB', 'NUMPAT'], ':0\r\n'],
    ['WAIT', ['WAIT', '0', '10'], ':0\r\n'],
    ['LATENCY LATEST', ['LATENCY', 'LATEST'], '*0\r\n'],
    ['LATENCY HISTORY', ['LATENCY', 'HISTORY', 'command'], '*0\r\n'],
    ['SCRIPT EXISTS', ['SCRIPT', 'EXISTS', 'a'.repeat(40)], array(0)],
    ['FUNCTION LIST', ['FUNCTION', 'LIST'], '*0\r\n'],
  ])('%s is answered', async (_name, request, reply) => {
    const talk = await pool.talk()
    expect(await talk.say(...request)).toBe(reply)
  })

  test.each([
    ['LASTSAVE', ['LASTSAVE'], /^:\d{10}\r\n$/],
    ['RANDOMKEY', ['RANDOMKEY'], /^\$\d+\r\nlost\d+\r\n$/],
    ['MEMORY DOCTOR', ['MEMORY', 'DOCTOR'], /# server\d\r\n.*instance/s],
    ['LATENCY DOCTOR', ['LATENCY', 'DOCTOR'], /# server\d\r\n.*Dave/s],
    ['COMMAND COUNT', ['COMMAND', 'COUNT'], /^:\d+\r\n$/],
    ['COMMAND DOCS', ['COMMAND', 'DOCS', 'get'], /summary/],
    ['CONFIG HELP', ['CONFIG', 'HELP'], /CONFIG <subcommand>/],
    ['ACL CAT', ['ACL', 'CAT'], /keyspace/],
    ['LOLWUT', ['LOLWUT'], /Redis ver/],
    ['EVAL without keys', ['EVAL', 'return "x"', '0'], /^\$1\r\nx\r\n$/],
  ])('%s is answered', async (_name, request, reply) => {
    const talk = await pool.talk()
    expect(await talk.say(...request)).toMatch(reply)
  })

  test.each([
    ['SCAN', ['SCAN', '0']],
    ['KEYS', ['KEYS', '*']],
    ['DBSIZE', ['DBSIZE']],
    ['FLUSHALL', ['FLUSHALL']],
    ['FUNCTION FLUSH', ['FUNCTION', 'FLUSH']],
  ])('%s fails: a part of the answer would be missing', async (_name, request) => {
    const talk = await pool.talk()
    let reply = await talk.say(...request)
    // A walk may begin with the servers that are there.
    for (let step = 0; step < 100 && reply.startsWith('*'); step++) {
      const [cursor] = decode(Buffer.from(reply, 'latin1')) as [string]
      expect(cursor).not.toBe('0')
      reply = await talk.say('SCAN', cursor)
    }
    expect(reply).toBe(REFUSED)
    // FLUSHALL has reached the others.
    await talk.say('MSET', ...live().flatMap(index => [keys[index]![0]!, 'v']))
  })

  test('an error of the servers stays an error', async () => {
    const talk = await pool.talk()
    expect(await talk.say('SLOWLOG', 'GET', 'x')).toMatch(/^-ERR count should be/)
    expect(await talk.say('CONFIG', 'HELP', 'x')).toMatch(/^-ERR /)
  })

  test('a new ioredis gets ready, and has the keys of the live ones', async () => {
    const client = new Redis(pool.port, '127.0.0.1')
    try {
      for (const index of live()) expect(await client.get(keys[index]![0]!)).toBe('v')
      await expect(client.get(keys[lost]![0]!)).rejects.toThrow('Connection refused')
    } finally {
      client.disconnect()
    }
  })

  test('a new node-redis connects', async () => {
    const client = createClient({ url: `redis://127.0.0.1:${pool.port}` })
    client.on('error', () => {})
    await client.connect()
    expect(await client.get(keys[live()[0]!]![0]!)).toBe('v')
    client.destroy()
  })
})

describe('with a server that hangs, and no timeout to end that', () => {
  let own: RedisPool
  let hung: number

  beforeAll(async () => {
    own = await startRedisPool({ timeout: 0 })
    const talk = await own.talk()
    await talk.say('DBSIZE')
    hung = await keylessServer(own)
    own.servers[hung]!.child.signal('SIGSTOP')
  })

  afterAll(() => own.servers[hung]!.child.signal('SIGCONT'))

  test.each([
    ['what goes to all', ['INFO', 'server'], /proxy_missing_servers:/],
    ['what any can answer', ['COMMAND', 'COUNT'], /^:\d+\r\n$/],
    ['SCRIPT LOAD', ['SCRIPT', 'LOAD', 'return 1'], /^\$40\r\n/],
  ])('%s is answered after a moment', async (_name, request, reply) => {
    const talk = await own.talk()
    expect(await talk.say(...request)).toMatch(reply)
    expect(await talk.say('PING')).toBe('+PONG\r\n')
  })
})

describe('scripts and functions', () => {
  const LUA = 'return redis.call("GET", KEYS[1])'
  const library = (version: number): string =>
    `#!lua name=lib\nredis.register_function("version", function() return ${version} end)`
  let sha: string

  test('are loaded by the live ones', async () => {
    const talk = await pool.talk()
    sha = text(await talk.say('SCRIPT', 'LOAD', LUA))
    expect(sha).toMatch(/^[0-9a-f]{40}$/)
    expect(await talk.say('SCRIPT', 'EXISTS', sha)).toBe(array(1))
    for (const index of live()) expect(await talk.say('EVALSHA', sha, 1, keys[index]![0]!)).toBe('$1\r\nv\r\n')
    expect(await talk.say('FUNCTION', 'LOAD', library(1))).toBe('$3\r\nlib\r\n')
    expect(await talk.say('FUNCTION', 'LOAD', 'REPLACE', library(2))).toBe('$3\r\nlib\r\n')
    for (const index of live()) expect(await talk.say('FCALL', 'version', 1, keys[index]![0]!)).toBe(':2\r\n')
  })

  test("a text that no server takes is refused with the servers' reason", async () => {
    const talk = await pool.talk()
    expect(await talk.say('SCRIPT', 'LOAD', 'return (')).toMatch(/^-ERR Error compiling script/)
    expect(await talk.say('FUNCTION', 'LOAD', library(3))).toBe("-ERR Library 'lib' already exists\r\n")
    expect(await talk.say('SCRIPT', 'LOAD')).toMatch(/^-ERR /)
  })

  test('a text that is too large to be kept is refused while a server is lost', async () => {
    const talk = await pool.talk()
    expect(await talk.say('SCRIPT', 'LOAD', `return 1 --${'x'.repeat(600_000)}`)).toBe(REFUSED)
  })

  test('reach the lost one before any request when it returns, over whatever worker', async () => {
    const back = await startRedis({ port: pool.servers[lost]!.port })
    const key = keys[lost]![0]!
    // More connections than workers: each worker has some.
    for (const talk of await Promise.all(Array.from({ length: 6 }, () => pool.talk()))) {
      expect(await talk.say('EVALSHA', sha, 1, key)).toBe('$-1\r\n')
      expect(await talk.say('FCALL', 'version', 1, key)).toBe(':2\r\n')
    }
    await waitUntil(() => / is back after \d+\.\d s/.test(pool.proxy.log()), 'the line about its return')
    const [loads] = await ask(back, ['INFO', 'commandstats'])
    // At most once from each worker.
    expect(Number(/cmdstat_script\|load:calls=(\d+)/.exec(`${loads}`)?.[1])).toBeLessThanOrEqual(2)
    const talk = await pool.talk()
    expect(text(await talk.say('INFO', 'server'))).not.toContain('proxy_missing_servers')
    expect(await talk.say('SCRIPT', 'FLUSH')).toBe('+OK\r\n')
  })
})
