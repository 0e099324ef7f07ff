/** SELECT and what follows from it, over three servers and two workers: no request may reach another database than its client's. */

import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { stopAll } from '../../support/processes/child.ts'
import { poolYml, serverEntry, startProxy } from '../../support/processes/proxy.ts'
import { RestartableServer } from '../../support/processes/restartable-server.ts'
import { ask, startRedis } from '../../support/processes/servers.ts'
import { Random, runSeed } from '../../support/random.ts'
import { waitUntil } from '../../support/wait.ts'
import { closeTalks, keysByServer, type RedisPool, startRedisPool, Talk } from '../../support/wire/redis-pool.ts'
import { encode } from '../../support/wire/resp.ts'
import { Wire } from '../../support/wire/wire.ts'

const OK = '+OK\r\n'
const NIL = '$-1\r\n'
const OUT_OF_RANGE = '-ERR DB index is out of range\r\n'
const NO_DATABASE = '-ERR no database is selected because the last SELECT was refused\r\n'

const seed = runSeed()
let pool: RedisPool
/** A key of each server. */
let keys: string[]

beforeAll(async () => {
  pool = await startRedisPool()
  keys = (await keysByServer(pool, 'db', 1)).flat()
})

beforeEach(async () => {
  for (const server of pool.servers) await ask(server, ['FLUSHALL'])
})

afterEach(closeTalks)
afterAll(stopAll)

/** What a server has in a database under a key. */
async function lies(server: number, database: number, key: string): Promise<string> {
  return `${(await ask(pool.servers[server]!, ['SELECT', `${database}`], ['GET', key]))[1]}`
}

/** Connections of clients that a server has in each database, this question's own not counted. */
async function databasesOf(server: number): Promise<string[]> {
  const [list] = await ask(pool.servers[server]!, ['CLIENT', 'LIST'])
  const lines = `${list}`.split('\n').filter(line => line.includes('cmd=') && !line.includes('cmd=client'))
  return lines.map(line => /\bdb=(\d+)/.exec(line)![1]!).sort()
}

describe('SELECT', () => {
  test('leads every request to that database of its server', async () => {
    const talk = await pool.talk()
    expect(await talk.say('SELECT', '3')).toBe(OK)
    for (const [server, key] of keys.entries()) {
      expect(await talk.say('SET', key, 'three')).toBe(OK)
      expect(await lies(server, 3, key)).toBe('$5\r\nthree\r\n')
      expect(await lies(server, 0, key)).toBe(NIL)
    }
    expect(await talk.say('MGET', ...keys)).toBe(`*3\r\n${'$5\r\nthree\r\n'.repeat(3)}`)
    expect(await talk.say('DBSIZE')).toBe(':3\r\n')
    expect(await (await pool.talk()).say('DBSIZE')).toBe(':0\r\n')
  })

  test('opens no connection by itself, and none at servers that are not asked', async () => {
    const fresh = await startRedisPool()
    const [key] = (await keysByServer(fresh, 'lazy', 1))[1]!
    const talk = await fresh.talk()
    expect(await talk.say('SELECT', '9')).toBe(OK)
    await talk.say('SET', key!, 'v')
    const lists = await Promise.all(fresh.servers.map(async server => `${(await ask(server, ['CLIENT', 'LIST']))[0]}`))
    expect(lists.map(list => list.includes(' db=9 '))).toEqual([false, true, false])
  })

  test('INFO shows the databases of all servers', async () => {
    const talk = await pool.talk()
    for (const database of [0, 2, 10]) {
      await talk.say('SELECT', `${database}`)
      await talk.say('MSET', ...keys.flatMap(key => [key, 'v']))
    }
    const info = await talk.say('INFO', 'keyspace')
    expect([...info.matchAll(/^db(\d+):keys=(\d+)/gm)].map(([, database, count]) => [database, count])).toEqual([
      ['0', '3'],
      ['2', '3'],
      ['10', '3'],
    ])
    expect([...(await talk.say('INFO')).matchAll(/,keys=(\d+),/g)].map(match => match[1])).toEqual(['3', '3', '3'])
  })

  test('is refused where there is no such database, and requests after it are, until it succeeds', async () => {
    for (const database of ['16', '-1', '99999999999', 'x', '']) {
      const talk = await pool.talk()
      await talk.say('SELECT', '1')
      expect(await talk.say('SELECT', database)).toMatch(/^-ERR /)
      talk.sendAll(['SET', keys[0]!, 'v'], ['MGET', ...keys], ['MULTI'], ['INFO'], ['BLPOP', 'l', '0'], ['FLUSHALL'])
      expect(await talk.hear(6)).toEqual(Array.from({ length: 6 }, () => NO_DATABASE))
      // A server may know what the proxy does not.
      talk.sendAll(['PING'], ['CLIENT', 'GETNAME'], ['ECHO', 'e'], ['NONSENSE'])
      expect(await talk.hear(4)).toEqual(['+PONG\r\n', NIL, '$1\r\ne\r\n', NO_DATABASE])
      expect(await talk.say('SELECT', '2')).toBe(OK)
      expect(await talk.say('SET', keys[0]!, 'v')).toBe(OK)
      await talk.say('SELECT', '16')
      expect(await talk.say('RESET')).toBe('+RESET\r\n')
      expect(await talk.say('GET', keys[0]!)).toBe(NIL)
    }
  })

  test('without replies: nothing is answered, and nothing written, after a refused one', async () => {
    const talk = await pool.talk()
    talk.sendAll(['CLIENT', 'REPLY', 'OFF'], ['SELECT', '16'], ['SET', keys[0]!, 'v'], ['CLIENT', 'REPLY', 'ON'])
    expect(await talk.hear(1)).toEqual([OK])
    expect(await talk.say('GET', keys[0]!)).toBe(NO_DATABASE)
    expect(await lies(0, 0, keys[0]!)).toBe(NIL)
  })

  test('in RESP3', async () => {
    const talk = await pool.talk()
    talk.sendAll(['SELECT', '4'], ['SET', keys[0]!, 'four'], ['HELLO', '3'], ['GET', keys[0]!], ['GET', 'none'])
    const replies = await talk.hear(5)
    expect(replies.slice(-2)).toEqual(['$4\r\nfour\r\n', '_\r\n'])
    expect((await talk.say('CLIENT', 'INFO')).includes(' db=4 ')).toBe(true)
    talk.sendAll(['RESET'], ['GET', keys[0]!])
    expect(await talk.hear(2)).toEqual(['+RESET\r\n', NIL])
  })
})

describe('SWAPDB', () => {
  test('swaps at every server', async () => {
    const [zero, seven] = [await pool.talk(), await pool.talk()]
    await seven.say('SELECT', '7')
    await zero.say('MSET', ...keys.flatMap(key => [key, 'zero']))
    expect(await zero.say('SWAPDB', '0', '7')).toBe(OK)
    expect(await zero.say('MGET', ...keys)).toBe(`*3\r\n${NIL.repeat(3)}`)
    expect(await seven.say('MGET', ...keys)).toBe(`*3\r\n${'$4\r\nzero\r\n'.repeat(3)}`)
  })

  test('swaps at none while one is ejected', async () => {
    const fresh = await startRedisPool({
      auto_eject_hosts: true,
      server_failure_limit: 1,
      server_retry_timeout: 60_000,
    })
    const own = (await keysByServer(fresh, 'swap', 1)).flat()
    const talk = await fresh.talk()
    await talk.say('MSET', ...own.flatMap(key => [key, 'zero']))
    await fresh.servers[1]!.stop()
    await waitUntil(async () => (await talk.say('GET', own[1]!)).startsWith('$'), 'the ejection')
    expect(await talk.say('SWAPDB', '0', '1')).toBe(
      '-ERR SWAPDB needs every server of the pool, and one is ejected\r\n',
    )
    expect(await talk.say('GET', own[0]!)).toBe('$4\r\nzero\r\n')
  })
})

test('a transaction over several servers has one database', async () => {
  const split = await startRedisPool({ multi: 'split' })
  const own = (await keysByServer(split, 'split', 1)).flat()
  const talk = await split.talk()
  await talk.say('SELECT', '2')
  talk.sendAll(['MULTI'], ['SET', own[0]!, 'a'], ['SET', own[1]!, 'b'], ['EXEC'], ['MGET', own[0]!, own[1]!])
  expect((await talk.hear(5)).slice(3)).toEqual([`*2\r\n${OK}${OK}`, '*2\r\n$1\r\na\r\n$1\r\nb\r\n'])
  talk.sendAll(['MULTI'], ['SELECT', '3'], ['SET', own[0]!, 'x'], ['SET', own[1]!, 'x'], ['DISCARD'])
  expect((await talk.hear(5))[3]).toMatch(/^-CROSSSLOT/)
  talk.sendAll(['MULTI'], ['SET', own[0]!, 'x'], ['SET', own[1]!, 'x'], ['SELECT', '3'], ['DISCARD'])
  expect((await talk.hear(5))[3]).toBe("-ERR the proxy does not support 'select' in a transaction\r\n")
  talk.sendAll(['MULTI'], ['CLIENT', 'GETNAME'], ['SELECT', '3'], ['SET', own[0]!, 'c'], ['EXEC'], ['GET', own[0]!])
  expect((await talk.hear(6)).slice(4)).toEqual([`*3\r\n${NIL}${OK}${OK}`, '$1\r\nc\r\n'])
  expect(await talk.say('CLIENT', 'INFO')).toContain(' db=3 ')
})

test('requests that wait for a server that is restarted are in their database afterwards', async () => {
  const server = await RestartableServer.start()
  const servers = [`127.0.0.1:${server.port}:1 s`]
  const yml = poolYml({ keys: { redis: true, server_loss_wait: 8_000 }, servers })
  const proxy = await startProxy({ kind: 'pistachio', workers: 1, yml })
  const talk = new Talk(await Wire.open({ port: proxy.ports[0] }))
  talk.sendAll(['SELECT', '6'], ['SET', 'k', 'before'])
  expect(await talk.hear(2)).toEqual([OK, OK])
  await server.kill()
  talk.send('SET', 'k', 'after')
  await server.start()
  expect(await talk.hear(1)).toEqual([OK])
  const direct = new Talk(await Wire.open({ port: server.port }))
  expect(await direct.say('GET', 'k')).toBe(NIL)
  await direct.say('SELECT', '6')
  expect(await direct.say('GET', 'k')).toBe('$5\r\nafter\r\n')
  await server.kill()
})

describe('servers', () => {
  test('with fewer databases than the pool execute nothing elsewhere, and SELECT is refused from then on', async () => {
    const server = await startRedis({ args: ['--databases', '4'] })
    const yml = poolYml({ keys: { redis: true }, servers: [serverEntry(server, 'small')] })
    const proxy = await startProxy({ kind: 'pistachio', workers: 1, yml })
    const talk = async (): Promise<Talk> => new Talk(await Wire.open({ port: proxy.ports[0] }))
    const [fitting, beyond] = [await talk(), await talk()]
    fitting.sendAll(['SELECT', '3'], ['SET', 'k', 'three'], ['GET', 'k'])
    expect(await fitting.hear(3)).toEqual([OK, OK, '$5\r\nthree\r\n'])
    beyond.sendAll(['SELECT', '4'], ['SET', 'k', 'lost'], ['FLUSHDB'], ['MULTI'], ['FLUSHDB'], ['EXEC'])
    const replies = await beyond.hear(6)
    expect(replies).toEqual([OK, OUT_OF_RANGE, OUT_OF_RANGE, OK, '+QUEUED\r\n', OUT_OF_RANGE])
    expect(await beyond.say('SELECT', '5')).toBe(OUT_OF_RANGE)
    expect(await beyond.say('GET', 'k')).toBe(NO_DATABASE)
    expect(`${(await ask(server, ['DBSIZE']))[0]}`).toBe(':0\r\n')
    expect(await fitting.say('GET', 'k')).toBe('$5\r\nthree\r\n')
    expect(proxy.log()).toContain('SELECT 4 failed on pool | small: ERR DB index is out of range')
  })

  test('that come back serve each client in its database', async () => {
    const server = await startRedis()
    const yml = poolYml({ keys: { redis: true, timeout: 1_000 }, servers: [serverEntry(server, 's')] })
    const proxy = await startProxy({ kind: 'pistachio', workers: 1, yml })
    const talk = new Talk(await Wire.open({ port: proxy.ports[0] }))
    await talk.say('SELECT', '6')
    expect(await talk.say('SET', 'k', 'before')).toBe(OK)
    await ask(server, ['CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'])
    await waitUntil(async () => (await talk.say('SET', 'k', 'after')) === OK, 'a new connection')
    expect(`${(await ask(server, ['SELECT', '6'], ['GET', 'k']))[1]}`).toBe('$5\r\nafter\r\n')
  })

  test('with a password', async () => {
    const server = await startRedis({ password: 'secret' })
    const yml = poolYml({ keys: { redis: true, redis_auth: 'secret' }, servers: [serverEntry(server, 's')] })
    const proxy = await startProxy({ kind: 'pistachio', workers: 1, yml })
    const talk = new Talk(await Wire.open({ port: proxy.ports[0] }))
    talk.sendAll(['SELECT', '2'], ['AUTH', 'secret'], ['SELECT', '2'], ['SET', 'k', 'v'], ['GET', 'k'])
    expect((await talk.hear(5)).slice(1)).toEqual([OK, OK, OK, '$1\r\nv\r\n'])
    expect(`${(await ask(server, ['SELECT', '2'], ['GET', 'k']))[1]}`).toBe('$1\r\nv\r\n')
  })
})

test('`databases: 1`, and `redis_db`, leave database 0 only', async () => {
  for (const setting of [{ databases: 1 }, { redis_db: 5 }]) {
    const single = await startRedisPool(setting)
    const talk = await single.talk()
    talk.sendAll(['SELECT', '0'], ['SET', 'k', 'v'], ['SELECT', '1'], ['GET', 'k'], ['SELECT', '0'], ['GET', 'k'])
    expect(await talk.hear(6)).toEqual([OK, OK, OUT_OF_RANGE, NO_DATABASE, OK, '$1\r\nv\r\n'])
    expect(await talk.say('INFO', 'keyspace')).toContain('\r\ndb0:keys=1,')
    talk.sendAll(['MULTI'], ['SELECT', '0'], ['GET', 'k'], ['EXEC'])
    expect((await talk.hear(4)).at(-1)).toBe('*2\r\n+OK\r\n$1\r\nv\r\n')
    expect(await talk.say('SWAPDB', '0', '1')).toBe(OUT_OF_RANGE)
  }
})

test('events of a database’s keys come from every server', async () => {
  for (const server of pool.servers) await ask(server, ['CONFIG', 'SET', 'notify-keyspace-events', 'KEA'])
  const [listener, writer] = [await pool.talk(), await pool.talk()]
  await listener.say('SUBSCRIBE', '__keyevent@3__:set')
  for (const database of ['2', '3']) {
    await writer.say('SELECT', database)
    await writer.say('MSET', ...keys.flatMap(key => [key, 'v']))
  }
  const heard = await listener.hear(3)
  expect(heard.sort()).toEqual(
    keys.map(key => `*3\r\n$7\r\nmessage\r\n$18\r\n__keyevent@3__:set\r\n$${key.length}\r\n${key}\r\n`).sort(),
  )
})

test('connections of a database are shared by its clients', async () => {
  const talks = await Promise.all(Array.from({ length: 20 }, () => pool.talk()))
  await Promise.all(
    talks.map(async talk => {
      talk.sendAll(['SELECT', '12'], ['SET', keys[0]!, 'v'])
      expect(await talk.hear(2)).toEqual([OK, OK])
    }),
  )
  const databases = await databasesOf(0)
  expect(databases.filter(database => database === '12').length).toBeLessThanOrEqual(2)
})

test('clients that go from database to database meet only what lies there', async () => {
  const random = new Random(seed)
  const told = `seed ${seed}`
  await Promise.all(
    Array.from({ length: 20 }, async (_, client) => {
      const wire = await Wire.open({ port: pool.port })
      const values = new Map<string, string>()
      let database = 0
      for (let round = 0; round < 150; round++) {
        const requests: string[][] = []
        const replies: string[] = []
        for (let i = random.below(8); i >= 0; i--) {
          const key = `{${random.pick(keys)}}${client}`
          const place = (): string => `${database} ${key}`
          const value = `${client}.${round}.${i}`
          const known = (): string => {
            const text = values.get(place())
            return text === undefined ? NIL : `$${text.length}\r\n${text}\r\n`
          }
          switch (random.below(5)) {
            case 0:
              database = random.below(4)
              requests.push(['SELECT', `${database}`])
              replies.push(OK)
              break
            case 1:
              values.set(place(), value)
              requests.push(['SET', key, value])
              replies.push(OK)
              break
            case 2: {
              const target = random.below(4)
              values.set(`${target} ${key}`, value)
              requests.push(['MULTI'], ['SELECT', `${target}`], ['SET', key, value], ['EXEC'])
              replies.push(OK, '+QUEUED\r\n', '+QUEUED\r\n', '*2\r\n+OK\r\n+OK\r\n')
              database = target
              break
            }
            case 3:
              requests.push(['MULTI'], ['GET', key], ['EXEC'])
              replies.push(OK, '+QUEUED\r\n', `*1\r\n${known()}`)
              break
            default:
              requests.push(['GET', key])
              replies.push(known())
          }
        }
        wire.send(Buffer.concat(requests.map(request => encode(...request))))
        const got = (await wire.redisReplies(replies.length)).map(reply => reply.toString('latin1'))
        expect(got, `${told}: ${requests.map(request => request.join(' ')).join('; ')}`).toEqual(replies)
      }
      wire.destroy()
    }),
  )
})

describe('real clients', () => {
  test('ioredis with `db`, also after it has lost its connection', async () => {
    const client = new Redis({ port: pool.port, db: 3 })
    const other = new Redis({ port: pool.port })
    expect(await client.set(keys[0]!, 'three')).toBe('OK')
    expect(await lies(0, 3, keys[0]!)).toBe('$5\r\nthree\r\n')
    expect(await other.get(keys[0]!)).toBeNull()
    client.disconnect(true)
    expect(await client.get(keys[0]!)).toBe('three')
    expect(await client.multi().get(keys[0]!).exec()).toEqual([[null, 'three']])
    expect(await client.select(4)).toBe('OK')
    expect(await client.get(keys[0]!)).toBeNull()
    client.disconnect()
    other.disconnect()
  })

  test('ioredis with a `db` that the pool does not have writes nothing', async () => {
    const client = new Redis({ port: pool.port, db: 40, retryStrategy: () => null })
    client.on('error', () => {})
    await expect(client.set(keys[0]!, 'lost')).rejects.toThrow()
    client.disconnect()
    for (const database of [0, 1]) expect(await lies(0, database, keys[0]!)).toBe(NIL)
  })

  test('node-redis with `database`', async () => {
    const client = createClient({ socket: { port: pool.port }, database: 3 })
    await client.connect()
    expect(await client.set(keys[1]!, 'three')).toBe('OK')
    expect(await lies(1, 3, keys[1]!)).toBe('$5\r\nthree\r\n')
    expect(await client.multi().get(keys[1]!).exec()).toEqual(['three'])
    await client.select(5)
    expect(await client.get(keys[1]!)).toBeNull()
    client.destroy()
  })
})
