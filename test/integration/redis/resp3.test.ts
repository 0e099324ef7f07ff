/** RESP3 from end to end: typed replies, nulls, pushes; and the two clients whose default it is. */

import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { stopAll } from '../../support/processes/child.ts'
import { ask } from '../../support/processes/servers.ts'
import {
  closeTalks,
  keysByServer,
  type RedisPool,
  serverShows,
  startRedisPool,
  type Talk,
} from '../../support/wire/redis-pool.ts'

const CHANNELS = Array.from({ length: 12 }, (_, i) => `channel${i}`)

let pool: RedisPool
/** Three keys of each server. */
let keys: string[][]

beforeAll(async () => {
  pool = await startRedisPool()
  keys = await keysByServer(pool, 'resp3', 3)
})

afterEach(closeTalks)
afterAll(stopAll)

async function talk3(): Promise<Talk> {
  const talk = await pool.talk()
  expect(await talk.say('HELLO', 3)).toMatch(/^%7\r\n/)
  return talk
}

describe('replies', () => {
  test('have the types of the newer protocol, and of the older one for whoever speaks that', async () => {
    const newer = await talk3()
    const older = await pool.talk()
    const [key, zset, set] = keys[0]! as [string, string, string]
    newer.sendAll(['HSET', key, 'f', 'v'], ['ZADD', zset, '1.5', 'm'], ['SADD', set, 'm'])
    await newer.hear(3)
    for (const [request, inNewer, inOlder] of [
      [['HGETALL', key], '%1\r\n$1\r\nf\r\n$1\r\nv\r\n', '*2\r\n$1\r\nf\r\n$1\r\nv\r\n'],
      [['ZSCORE', zset, 'm'], ',1.5\r\n', '$3\r\n1.5\r\n'],
      [['SMEMBERS', set], '~1\r\n$1\r\nm\r\n', '*1\r\n$1\r\nm\r\n'],
      [['GET', 'none'], '_\r\n', '$-1\r\n'],
      [['LPOP', 'none', '2'], '_\r\n', '*-1\r\n'],
      [['MGET', 'none', keys[1]![0]!, keys[2]![0]!], '*3\r\n_\r\n_\r\n_\r\n', '*3\r\n$-1\r\n$-1\r\n$-1\r\n'],
      [['EXISTS', key, keys[1]![0]!, keys[2]![0]!], ':1\r\n', ':1\r\n'],
    ] as const) {
      expect(await newer.say(...request)).toBe(inNewer)
      expect(await older.say(...request)).toBe(inOlder)
    }
    await newer.say('DEL', key, zset, set)
  })

  test('MGET over all servers mixes values and nulls', async () => {
    const talk = await talk3()
    const all = keys.flat()
    await talk.say('MSET', ...all.filter((_, i) => i % 2 === 0).flatMap(key => [key, `v${key}`]))
    const items = all.map((key, i) => (i % 2 === 0 ? `$${key.length + 1}\r\nv${key}\r\n` : '_\r\n'))
    expect(await talk.say('MGET', ...all)).toBe(`*${all.length}\r\n${items.join('')}`)
    expect(await talk.say('DEL', ...all)).toBe(`:${Math.ceil(all.length / 2)}\r\n`)
  })

  test('a client that changes its protocol has each reply in that of its request', async () => {
    const talk = await pool.talk()
    const [key] = keys[0]! as [string]
    talk.sendAll(['GET', key], ['HELLO', '3'], ['GET', key], ['HELLO', '2'], ['GET', key])
    const replies = await talk.hear(5)
    expect([replies[0], replies[2], replies[4]]).toEqual(['$-1\r\n', '_\r\n', '$-1\r\n'])
    expect(replies[1]).toMatch(/^%7/)
    expect(replies[3]).toMatch(/^\*14/)
  })

  test('a value that passes in pieces comes whole', async () => {
    const talk = await talk3()
    const value = 'v'.repeat(5_000_000)
    expect(await talk.say('SET', keys[0]![0]!, value)).toBe('+OK\r\n')
    expect((await talk.say('SET', keys[0]![0]!, value, 'GET')).length).toBe(value.length + 12)
    expect((await talk.say('GETDEL', keys[0]![0]!)).length).toBe(value.length + 12)
    expect(await talk.say('SET', keys[0]![0]!, value, 'GET')).toBe('_\r\n')
    expect(await talk.say('DEL', keys[0]![0]!)).toBe(':1\r\n')
  })
})

describe('sessions', () => {
  test('transactions and blocking commands answer in the newer protocol', async () => {
    const talk = await talk3()
    const [key, other] = keys[1]! as [string, string]
    talk.sendAll(['MULTI'], ['HSET', key, 'f', 'v'], ['HGETALL', key], ['GET', other], ['DEL', key], ['EXEC'])
    expect((await talk.hear(6))[5]).toBe('*4\r\n:1\r\n%1\r\n$1\r\nf\r\n$1\r\nv\r\n_\r\n:1\r\n')
    expect(await talk.say('BLPOP', key, '0.05')).toBe('_\r\n')
    const writer = await pool.talk()
    expect(await talk.say('WATCH', key)).toBe('+OK\r\n')
    await writer.say('SET', key, 'x')
    talk.sendAll(['MULTI'], ['DEL', key], ['EXEC'], ['DEL', key])
    expect((await talk.hear(4)).slice(2)).toEqual(['_\r\n', ':1\r\n'])
  })

  test('HELLO does not change the protocol of a transaction or a subscription', async () => {
    const talk = await pool.talk()
    await talk.say('WATCH', keys[0]![0]!)
    expect(await talk.say('HELLO', 3)).toMatch(/^-ERR /)
    expect(await talk.say('UNWATCH')).toBe('+OK\r\n')
    expect(await talk.say('HELLO', 3)).toMatch(/^%7/)
    await talk.say('SUBSCRIBE', 'a')
    expect(await talk.say('HELLO', 2)).toMatch(/^-ERR /)
  })

  test('a subscriber has pushes between the replies to its other requests, and while it is blocked', async () => {
    const talk = await talk3()
    const publisher = await pool.talk()
    talk.send('SUBSCRIBE', ...CHANNELS)
    const confirmations = CHANNELS.map(
      (name, i) => `>3\r\n$9\r\nsubscribe\r\n$${name.length}\r\n${name}\r\n:${i + 1}\r\n`,
    )
    expect(await talk.hear(CHANNELS.length)).toEqual(confirmations)
    const push = (name: string, text: string): string =>
      `>3\r\n$7\r\nmessage\r\n$${name.length}\r\n${name}\r\n$${text.length}\r\n${text}\r\n`
    expect(await talk.say('PING')).toBe('+PONG\r\n')
    for (const name of CHANNELS) {
      await publisher.say('PUBLISH', name, 'm')
      expect(await talk.hear(1)).toEqual([push(name, 'm')])
      expect(await talk.say('GET', keys[0]![0]!)).toBe('_\r\n')
    }
    talk.send('BLPOP', keys[2]![0]!, 0)
    await serverShows(pool.servers[2]!, 'blocked_clients', 1)
    await publisher.say('PUBLISH', CHANNELS[3]!, 'while blocked')
    expect(await talk.hear(1)).toEqual([push(CHANNELS[3]!, 'while blocked')])
    await publisher.say('RPUSH', keys[2]![0]!, 'v')
    expect((await talk.hear(1))[0]).toMatch(/^\*2\r\n/)
    talk.sendAll(['UNSUBSCRIBE'], ['UNSUBSCRIBE'], ['PSUBSCRIBE', 'p*'], ['PUNSUBSCRIBE'])
    const rest = await talk.hear(CHANNELS.length + 3)
    expect(rest.slice(CHANNELS.length)).toEqual([
      '>3\r\n$11\r\nunsubscribe\r\n_\r\n:0\r\n',
      '>3\r\n$10\r\npsubscribe\r\n$2\r\np*\r\n:1\r\n',
      '>3\r\n$12\r\npunsubscribe\r\n$2\r\np*\r\n:0\r\n',
    ])
  })

  test('pushes keep out of a large reply', async () => {
    const talk = await talk3()
    const publisher = await pool.talk()
    const value = 'v'.repeat(3_000_000)
    await talk.say('SET', keys[0]![0]!, value)
    await talk.say('SUBSCRIBE', 'noise')
    for (let i = 0; i < 200; i++) publisher.send('PUBLISH', 'noise', i)
    for (let i = 0; i < 5; i++) talk.send('GET', keys[0]![0]!)
    const replies = await talk.hear(205)
    expect(replies.filter(reply => reply === `$${value.length}\r\n${value}\r\n`).length).toBe(5)
    expect(replies.filter(reply => reply.startsWith('>3\r\n$7\r\nmessage')).length).toBe(200)
    await talk.say('DEL', keys[0]![0]!)
  })
})

describe('RESET and refusals', () => {
  test('RESET ends transaction, subscriptions and protocol', async () => {
    const talk = await pool.talk()
    const [key] = keys[0]! as [string]
    talk.sendAll(['WATCH', key], ['MULTI'], ['SET', key, 'v'], ['RESET'], ['GET', key], ['EXEC'])
    expect(await talk.hear(6)).toEqual([
      '+OK\r\n',
      '+OK\r\n',
      '+QUEUED\r\n',
      '+RESET\r\n',
      '$-1\r\n',
      '-ERR EXEC without MULTI\r\n',
    ])
    talk.sendAll(['SUBSCRIBE', 'a'], ['PSUBSCRIBE', 'b*'], ['RESET'], ['GET', key], ['PUBLISH', 'a', 'm'])
    expect((await talk.hear(5)).slice(2, 4)).toEqual(['+RESET\r\n', '$-1\r\n'])
    const newer = await talk3()
    newer.sendAll(['SUBSCRIBE', 'a'], ['GET', key], ['RESET'], ['GET', key])
    expect((await newer.hear(4)).slice(1)).toEqual(['_\r\n', '+RESET\r\n', '$-1\r\n'])
  })

  test('CLIENT TRACKING is refused, and the connection stays', async () => {
    const talk = await talk3()
    for (const request of [
      ['CLIENT', 'TRACKING', 'ON'],
      ['CLIENT', 'TRACKING', 'ON', 'BCAST'],
    ]) {
      expect(await talk.say(...request)).toMatch(/^-ERR /)
    }
    expect(await talk.say('PING')).toBe('+PONG\r\n')
  })
})

describe('ioredis with its defaults', () => {
  test('transacts, waits, subscribes and pipelines', async () => {
    const [redis, other] = [new Redis(pool.port, '127.0.0.1'), new Redis(pool.port, '127.0.0.1')]
    try {
      const [key, list] = keys[0]! as [string, string]
      expect(await redis.multi().set(key, '1').incr(key).get(key).del(key).exec()).toEqual([
        [null, 'OK'],
        [null, 2],
        [null, '2'],
        [null, 1],
      ])
      const blocked = redis.blpop(list, 0)
      await serverShows(pool.servers[0]!, 'blocked_clients', 1)
      await other.rpush(list, 'v')
      expect(await blocked).toEqual([list, 'v'])
      const heard: string[] = []
      redis.on('message', (channel, text) => heard.push(`${channel} ${text}`))
      redis.on('pmessage', (_pattern, channel, text) => heard.push(`p ${channel} ${text}`))
      await redis.subscribe(...CHANNELS)
      await redis.psubscribe('channel*')
      for (const name of CHANNELS) expect(await other.publish(name, 'm')).toBe(2)
      await expect.poll(() => heard.length).toBe(CHANNELS.length * 2)
      // Its `unsubscribe()` waits for ever, also of Redis itself, where the protocol is RESP3.
      expect(await redis.ping()).toBe('PONG')
    } finally {
      redis.disconnect()
      other.disconnect()
    }
  })
})

describe('node-redis with its defaults', () => {
  test('transacts, waits, subscribes and pipelines', async () => {
    const client = createClient({ url: `redis://127.0.0.1:${pool.port}` })
    client.on('error', () => {})
    await client.connect()
    const other = client.duplicate()
    other.on('error', () => {})
    await other.connect()
    try {
      const [key, list, hash] = keys[1]! as [string, string, string]
      expect(await client.multi().set(key, '1').incr(key).get(key).del(key).exec()).toEqual(['OK', 2, '2', 1])
      await client.hSet(hash, { a: '1', b: '2' })
      expect({ ...(await client.hGetAll(hash)) }).toEqual({ a: '1', b: '2' })
      const values = await Promise.all(keys.flat().map(name => client.get(name === hash ? key : name)))
      expect(values.every(value => value === null)).toBe(true)
      const blocked = client.blPop(list, 0)
      await serverShows(pool.servers[1]!, 'blocked_clients', 1)
      await other.rPush(list, 'v')
      expect(await blocked).toEqual({ key: list, element: 'v' })
      const heard: string[] = []
      await client.subscribe(CHANNELS, (text, channel) => heard.push(`${channel} ${text}`))
      await client.pSubscribe('channel*', (text, channel) => heard.push(`p ${channel} ${text}`))
      for (const name of CHANNELS) expect(await other.publish(name, 'm')).toBe(2)
      await expect.poll(() => heard.length).toBe(CHANNELS.length * 2)
      await client.unsubscribe()
      await client.pUnsubscribe()
      await client.del([hash, key])
    } finally {
      client.destroy()
      other.destroy()
    }
  })
})

describe('server connections', () => {
  test('are apart for the two protocols, and shared within each', async () => {
    const talks = await Promise.all(Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? talk3() : pool.talk())))
    for (const talk of talks) for (const [key] of keys) await talk.say('GET', key!)
    const list = `${(await ask(pool.servers[0]!, ['CLIENT', 'LIST']))[0]}`
    const held = list.split('\n').filter(line => line.includes(' cmd=get '))
    // Two workers, two protocols.
    expect(held.length).toBeLessThanOrEqual(4)
  })
})
