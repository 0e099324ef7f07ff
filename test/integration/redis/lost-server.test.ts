/** One of three servers is killed, in a pool that ejects none: what needs no certain server goes on, and new clients come in. */

import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { stopAll } from '../../support/processes/child.ts'
import { ask } from '../../support/processes/servers.ts'
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
  ])('%s is answered after a moment', async (_name, request, reply) => {
    const talk = await own.talk()
    expect(await talk.say(...request)).toMatch(reply)
    expect(await talk.say('PING')).toBe('+PONG\r\n')
  })
})
