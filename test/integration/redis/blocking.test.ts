/** Commands that wait at the server, through the proxy: they delay nobody, and end with their client. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { MAX_EXCLUSIVE_CONNECTIONS } from '../../../src/worker/server/exclusive-connections.ts'
import { stopAll } from '../../support/processes/child.ts'
import { ask } from '../../support/processes/servers.ts'
import {
  array,
  closeTalks,
  keysByServer,
  type RedisPool,
  serverShows,
  startRedisPool,
} from '../../support/wire/redis-pool.ts'

const CROSSSLOT = expect.stringMatching(
  /^-CROSSSLOT Keys in request don't hash to the same server: '.+' and '.+', hash_tag is \{\}\r\n$/,
)

let pool: RedisPool
/** Two keys of each server. */
let keys: string[][]

beforeAll(async () => {
  pool = await startRedisPool({ timeout: 300 })
  keys = await keysByServer(pool, 'block', 2)
})

afterEach(closeTalks)
afterAll(stopAll)

describe('a command that waits', () => {
  test('is answered when its key is filled, whichever server has it', async () => {
    for (const [index, [key]] of keys.entries()) {
      const waiter = await pool.talk()
      const giver = await pool.talk()
      waiter.send('BLPOP', key!, 0)
      await serverShows(pool.servers[index]!, 'blocked_clients', 1)
      await giver.say('RPUSH', key!, 'v')
      expect(await waiter.hear(1)).toEqual([array(key!, 'v')])
    }
  })

  test.each([
    ['BLPOP', ([key]: string[]) => ['BLPOP', key!, '0.05'], '*-1\r\n'],
    ['BRPOP', ([key]: string[]) => ['BRPOP', key!, '0.05'], '*-1\r\n'],
    ['BLMOVE', ([key, other]: string[]) => ['BLMOVE', key!, other!, 'LEFT', 'LEFT', '0.05'], '*-1\r\n'],
    ['BRPOPLPUSH', ([key, other]: string[]) => ['BRPOPLPUSH', key!, other!, '0.05'], '*-1\r\n'],
    ['BLMPOP', ([key, other]: string[]) => ['BLMPOP', '0.05', '2', key!, other!, 'LEFT'], '*-1\r\n'],
    ['BZPOPMIN', ([key]: string[]) => ['BZPOPMIN', key!, '0.05'], '*-1\r\n'],
    ['BZPOPMAX', ([key]: string[]) => ['BZPOPMAX', key!, '0.05'], '*-1\r\n'],
    ['BZMPOP', ([key, other]: string[]) => ['BZMPOP', '0.05', '2', key!, other!, 'MIN'], '*-1\r\n'],
    ['XREAD', ([key]: string[]) => ['XREAD', 'BLOCK', '50', 'STREAMS', key!, '$'], '*-1\r\n'],
  ])('%s ends at its own timeout, and takes what is there', async (_name, request, nothing) => {
    const talk = await pool.talk()
    expect(await talk.say(...request(keys[0]!))).toBe(nothing)
    expect((await ask(pool.servers[0]!, request(keys[0]!)))[0]!.toString()).toBe(nothing)
  })

  test('may wait longer than the timeout of the pool', async () => {
    const talk = await pool.talk()
    expect(await talk.say('BLPOP', keys[1]![0]!, '0.7')).toBe('*-1\r\n')
    expect(await talk.say('XREAD', 'BLOCK', 600, 'STREAMS', keys[1]![0]!, '$')).toBe('*-1\r\n')
  })

  test('delays neither other clients nor the order of its own', async () => {
    const waiter = await pool.talk()
    const other = await pool.talk()
    const [key] = keys[2]!
    waiter.sendAll(['RPUSH', key!, 'own'], ['BLPOP', key!, '0'], ['BLPOP', key!, '0'], ['PING'], ['LLEN', key!])
    expect(await waiter.hear(2)).toEqual([':1\r\n', array(key!, 'own')])
    await serverShows(pool.servers[2]!, 'blocked_clients', 1)
    for (let i = 0; i < 50; i++) expect(await other.say('LLEN', key!)).toBe(':0\r\n')
    await other.say('RPUSH', key!, 'theirs')
    expect(await waiter.hear(3)).toEqual([array(key!, 'theirs'), '+PONG\r\n', ':0\r\n'])
  })

  test('a hundred wait at once, and each gets one', async () => {
    const [key] = keys[0]!
    const waiters = await Promise.all(Array.from({ length: 100 }, () => pool.talk()))
    for (const waiter of waiters) waiter.send('BLPOP', key!, 0)
    await serverShows(pool.servers[0]!, 'blocked_clients', 100)
    const giver = await pool.talk()
    await giver.say('RPUSH', key!, ...Array.from({ length: 100 }, (_, i) => `${i}`))
    const replies = (await Promise.all(waiters.map(waiter => waiter.hear(1)))).map(([reply]) => reply!)
    expect(new Set(replies).size).toBe(100)
    expect(await giver.say('LLEN', key!)).toBe(':0\r\n')
  })

  test('is refused where its keys are on several servers, or its arguments are wrong', async () => {
    const talk = await pool.talk()
    expect(await talk.say('BLPOP', keys[0]![0]!, keys[1]![0]!, '0')).toEqual(CROSSSLOT)
    expect(await talk.say('BLPOP', keys[0]![0]!, 'soon')).toBe('-ERR timeout is not a float or out of range\r\n')
    expect(await talk.say('BLPOP', keys[0]![0]!, '-1')).toBe('-ERR timeout is negative\r\n')
    expect(await talk.say('BLPOP', keys[0]![0]!)).toBe("-ERR wrong number of arguments for 'blpop' command\r\n")
    expect(await talk.say('PING')).toBe('+PONG\r\n')
  })

  test('within a transaction does not wait', async () => {
    const talk = await pool.talk()
    talk.sendAll(['MULTI'], ['BLPOP', keys[0]![0]!, '0'], ['EXEC'])
    expect(await talk.hear(3)).toEqual(['+OK\r\n', '+QUEUED\r\n', '*1\r\n*-1\r\n'])
  })
})

describe('more clients than connections', () => {
  test('wait for one in turn, and are refused when it takes too long', async () => {
    const own = await startRedisPool({ timeout: 2_000 }, 1)
    const [[key, other]] = (await keysByServer(own, 'many', 2)) as [[string, string]]
    const waiters = await Promise.all(Array.from({ length: MAX_EXCLUSIVE_CONNECTIONS }, () => own.talk()))
    for (const waiter of waiters) waiter.send('BLPOP', key, 0)
    await serverShows(own.servers[0]!, 'blocked_clients', MAX_EXCLUSIVE_CONNECTIONS)
    const [next, unlucky, plain] = [await own.talk(), await own.talk(), await own.talk()]
    next.sendAll(['MULTI'], ['SET', other, 'v'], ['EXEC'])
    expect(await plain.say('RPUSH', key, 'v')).toBe(':1\r\n')
    expect(await next.hear(3)).toEqual(['+OK\r\n', '+QUEUED\r\n', '*1\r\n+OK\r\n'])
    const last = await own.talk()
    last.send('BLPOP', key, 0)
    await serverShows(own.servers[0]!, 'blocked_clients', MAX_EXCLUSIVE_CONNECTIONS)
    unlucky.sendAll(['BLPOP', key, '0'], ['PING'])
    expect(await plain.say('GET', other)).toBe('$1\r\nv\r\n')
    expect(await unlucky.hear(2)).toEqual([
      '-ERR too many exclusive connections to this server are in use\r\n',
      '+PONG\r\n',
    ])
  })
})

describe('streams', () => {
  test('XREADGROUP waits for an entry; XREAD without BLOCK does not', async () => {
    const [key] = keys[1]!
    const talk = await pool.talk()
    expect(await talk.say('XGROUP', 'CREATE', key!, 'group', '$', 'MKSTREAM')).toBe('+OK\r\n')
    talk.send('XREADGROUP', 'GROUP', 'group', 'me', 'COUNT', 1, 'BLOCK', 0, 'STREAMS', key!, '>')
    await serverShows(pool.servers[1]!, 'blocked_clients', 1)
    const giver = await pool.talk()
    await giver.say('XADD', key!, '1-1', 'field', 'value')
    const entry = `*1\r\n*2\r\n$${key!.length}\r\n${key}\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$5\r\nfield\r\n$5\r\nvalue\r\n`
    expect(await talk.hear(1)).toEqual([entry])
    expect(await talk.say('XREAD', 'STREAMS', key!, '0')).toBe(entry)
    expect(await talk.say('XREAD', 'STREAMS', key!, keys[0]![0]!, '0', '0')).toEqual(CROSSSLOT)
    await talk.say('DEL', key!)
  })
})

describe('WAIT', () => {
  test('answers for the server with fewest replicas, after its own timeout', async () => {
    const talk = await pool.talk()
    talk.sendAll(['SET', keys[0]![0]!, 'v'], ['WAIT', '0', '0'], ['WAIT', '1', '50'], ['DEL', keys[0]![0]!])
    expect(await talk.hear(4)).toEqual(['+OK\r\n', ':0\r\n', ':0\r\n', ':1\r\n'])
    expect(await talk.say('WAIT', 'x', '0')).toBe('-ERR value is not an integer or out of range\r\n')
  })
})

describe('when somebody leaves', () => {
  test('a client that waits takes nothing any more', async () => {
    const [key] = keys[2]!
    for (const leave of ['end', 'reset', 'destroy'] as const) {
      const leaver = await pool.talk()
      leaver.sendAll(['BLPOP', key!, '0'], ['PING'])
      await serverShows(pool.servers[2]!, 'blocked_clients', 1)
      leaver.wire[leave]()
      await serverShows(pool.servers[2]!, 'blocked_clients', 0)
    }
    const talk = await pool.talk()
    talk.sendAll(['RPUSH', key!, 'v'], ['LPOP', key!])
    expect(await talk.hear(2)).toEqual([':1\r\n', '$1\r\nv\r\n'])
  })

  test('the server: the connection ends without a reply, as it would at the server', async () => {
    const talk = await pool.talk()
    talk.send('BLPOP', keys[0]![0]!, 0)
    await serverShows(pool.servers[0]!, 'blocked_clients', 1)
    await ask(pool.servers[0]!, ['CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'])
    expect(String(await talk.wire.untilClosed())).toBe('')
  })

  test('the proxy ends at once, although a client waits', async () => {
    const own = await startRedisPool()
    const talk = await own.talk()
    talk.send('BLPOP', 'key', 0)
    for (const server of own.servers) await ask(server, ['PING'])
    const ended = Date.now()
    const exit = await own.proxy.stop('SIGTERM')
    expect(exit.code).toBe(0)
    expect(Date.now() - ended).toBeLessThan(5_000)
  })
})
