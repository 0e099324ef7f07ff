/** Commands about all keys and about the servers, over three of them. */

import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { stopAll } from '../../support/processes/child.ts'
import { poolYml, serverEntry, startProxy } from '../../support/processes/proxy.ts'
import { ask, startRedis } from '../../support/processes/servers.ts'
import { waitUntil } from '../../support/wait.ts'
import { closeTalks, keysByServer, type RedisPool, startRedisPool, type Talk } from '../../support/wire/redis-pool.ts'
import { decode, encode } from '../../support/wire/resp.ts'
import { Wire } from '../../support/wire/wire.ts'

const KEYS = 3_000

let pool: RedisPool
let talk: Talk

beforeAll(async () => {
  pool = await startRedisPool()
})

beforeEach(async () => {
  talk = await pool.talk()
  await talk.say('FLUSHALL')
})

afterEach(closeTalks)
afterAll(stopAll)

async function fill(count: number): Promise<string[]> {
  const keys = Array.from({ length: count }, (_, i) => `key:${i}`)
  for (let i = 0; i < count; i += 100) await talk.say('MSET', ...keys.slice(i, i + 100).flatMap(key => [key, 'x']))
  return keys
}

async function values(...request: (string | number)[]): Promise<string[]> {
  return decode(Buffer.from(await talk.say(...request), 'latin1')) as string[]
}

/** A whole walk. @returns the keys as they came, and the number of steps. */
async function walk(...options: (string | number)[]): Promise<{ keys: string[]; steps: number }> {
  const keys: string[] = []
  let cursor = '0'
  let steps = 0
  do {
    const [next, found] = (await values('SCAN', cursor, ...options)) as unknown as [string, string[]]
    cursor = next
    keys.push(...found)
    steps++
  } while (cursor !== '0')
  return { keys, steps }
}

describe('SCAN', () => {
  test('finds every key, each once', async () => {
    const wanted = await fill(KEYS)
    const { keys, steps } = await walk()
    expect([...keys].sort()).toEqual([...wanted].sort())
    expect(steps).toBeGreaterThan(100)
  })

  test('heeds COUNT, MATCH and TYPE', async () => {
    await fill(1000)
    await talk.say('SADD', 'a set', 'x')
    const { keys, steps } = await walk('COUNT', 200)
    expect(keys.length).toBe(1001)
    expect(steps).toBeLessThan(30)
    expect((await walk('MATCH', 'key:99*')).keys.sort()).toEqual(
      ['key:99', ...Array.from({ length: 10 }, (_, i) => `key:99${i}`)].sort(),
    )
    expect((await walk('TYPE', 'set', 'COUNT', 50)).keys).toEqual(['a set'])
  })

  test('needs one step for few keys', async () => {
    const wanted = await fill(6)
    const { keys, steps } = await walk()
    expect(keys.sort()).toEqual(wanted)
    expect(steps).toBe(1)
    await talk.say('FLUSHALL')
    expect(await talk.say('SCAN', 0)).toBe('*2\r\n$1\r\n0\r\n*0\r\n')
  })

  test('goes on while keys come and go, and misses none that stays', async () => {
    const wanted = await fill(1000)
    const other = await pool.talk()
    const found = new Set<string>()
    let cursor = '0'
    let step = 0
    do {
      const [next, keys] = (await values('SCAN', cursor, 'COUNT', 20)) as unknown as [string, string[]]
      for (const key of keys) found.add(key)
      cursor = next
      await other.say('MSET', ...Array.from({ length: 40 }, (_, i) => [`new:${step}:${i}`, 'x']).flat())
      if (step % 2 === 1) await other.say('DEL', ...Array.from({ length: 40 }, (_, i) => `new:${step - 1}:${i}`))
      step++
    } while (cursor !== '0')
    expect(wanted.filter(key => !found.has(key))).toEqual([])
  })

  test('leaves out keys that lie where nobody finds them', async () => {
    const [[own]] = await keysByServer(pool, 'own', 1)
    await ask(pool.servers[0]!, ['SET', own!, 'x'])
    await ask(pool.servers[1]!, ['SET', own!, 'left over'])
    expect((await walk()).keys).toEqual([own])
    expect(await values('KEYS', '*')).toEqual([own])
  })

  test.each([
    ['x', '-ERR invalid cursor\r\n'],
    ['-1', '-ERR invalid cursor\r\n'],
    ['99999999999999999999999', '-ERR invalid cursor\r\n'],
    ['65535', '*2\r\n$1\r\n0\r\n*0\r\n'],
  ])('answers the cursor %s', async (cursor, reply) => {
    expect(await talk.say('SCAN', cursor)).toBe(reply)
  })

  test('refuses bad options as a server does', async () => {
    expect(await talk.say('SCAN', 0, 'COUNT', 0)).toBe('-ERR syntax error\r\n')
    expect(await talk.say('SCAN', 0, 'COUNT', 'x')).toBe('-ERR value is not an integer or out of range\r\n')
    expect(await talk.say('SCAN', 0, 'NONSENSE')).toBe('-ERR syntax error\r\n')
  })

  test('serves the iterators of ioredis and node-redis', async () => {
    const wanted = (await fill(500)).sort()
    const ioredis = new Redis({ port: pool.port })
    const found: string[] = []
    for await (const keys of ioredis.scanStream({ count: 30 })) found.push(...(keys as string[]))
    expect(found.sort()).toEqual(wanted)
    await ioredis.quit()
    const client = createClient({ socket: { port: pool.port } })
    await client.connect()
    const iterated: string[] = []
    for await (const keys of client.scanIterator({ COUNT: 30 })) iterated.push(...keys)
    expect(iterated.sort()).toEqual(wanted)
    client.destroy()
  })
})

describe('over all servers', () => {
  test('KEYS, DBSIZE and RANDOMKEY', async () => {
    expect(await talk.say('RANDOMKEY')).toBe('$-1\r\n')
    const wanted = await fill(300)
    expect((await values('KEYS', '*')).sort()).toEqual([...wanted].sort())
    expect((await values('KEYS', 'key:1?')).length).toBe(10)
    expect(await talk.say('DBSIZE')).toBe(':300\r\n')
    const drawn = new Set<string>()
    for (let i = 0; i < 40; i++) drawn.add((await values('RANDOMKEY')) as unknown as string)
    expect(drawn.size).toBeGreaterThan(10)
    for (const key of drawn) expect(wanted).toContain(key)
  })

  test.each(['FLUSHALL', 'FLUSHDB'])('%s empties every server', async command => {
    await fill(100)
    expect(await talk.say(command)).toBe('+OK\r\n')
    for (const server of pool.servers) expect(`${(await ask(server, ['DBSIZE']))[0]}`).toBe(':0\r\n')
    expect(await talk.say(command, 'NONSENSE')).toBe('-ERR syntax error\r\n')
  })

  test('scripts are loaded everywhere, and exist where they exist everywhere', async () => {
    const keys = (await keysByServer(pool, 'script', 1)).flat()
    const sha = (await values('SCRIPT', 'LOAD', 'return KEYS[1]')) as unknown as string
    for (const key of keys) expect(await talk.say('EVALSHA', sha, 1, key)).toBe(`$${key.length}\r\n${key}\r\n`)
    await ask(pool.servers[1]!, ['SCRIPT', 'FLUSH'])
    expect(await talk.say('SCRIPT', 'EXISTS', sha, 'f'.repeat(40))).toBe('*2\r\n:0\r\n:0\r\n')
    await talk.say('SCRIPT', 'LOAD', 'return KEYS[1]')
    expect(await talk.say('SCRIPT', 'EXISTS', sha, 'f'.repeat(40))).toBe('*2\r\n:1\r\n:0\r\n')
    expect(await talk.say('SCRIPT', 'FLUSH')).toBe('+OK\r\n')
    for (const server of pool.servers)
      expect(`${(await ask(server, ['SCRIPT', 'EXISTS', sha]))[0]}`).toBe('*1\r\n:0\r\n')
    expect(await talk.say('SCRIPT', 'KILL')).toMatch(/^-NOTBUSY /)
  })

  test('functions are loaded, listed, called and deleted', async () => {
    const library = "#!lua name=lib\nredis.register_function('f', function(keys) return redis.call('GET', keys[1]) end)"
    const keys = (await keysByServer(pool, 'function', 1)).flat()
    expect(await talk.say('FUNCTION', 'LOAD', library)).toBe('$3\r\nlib\r\n')
    expect(await talk.say('FUNCTION', 'LOAD', library)).toMatch(/^-ERR Library 'lib' already exists/)
    for (const key of keys) {
      await talk.say('SET', key, 'value')
      expect(await talk.say('FCALL', 'f', 1, key)).toBe('$5\r\nvalue\r\n')
    }
    expect(await talk.say('FUNCTION', 'LIST')).toContain('library_name')
    expect(await talk.say('FUNCTION', 'DELETE', 'lib')).toBe('+OK\r\n')
    expect(await talk.say('FUNCTION', 'LIST')).toBe('*0\r\n')
  })

  test('SLOWLOG has the latest of all servers', async () => {
    for (const server of pool.servers) {
      await ask(server, ['CONFIG', 'SET', 'slowlog-log-slower-than', '0'], ['SLOWLOG', 'RESET'])
    }
    await fill(30)
    for (const server of pool.servers) await ask(server, ['CONFIG', 'SET', 'slowlog-log-slower-than', '10000'])
    expect(Number((await talk.say('SLOWLOG', 'LEN')).slice(1))).toBeGreaterThan(3)
    const entries = (await values('SLOWLOG', 'GET', 4)) as unknown as [number, number][]
    expect(entries.length).toBe(4)
    expect(await talk.say('SLOWLOG', 'GET', 'x')).toMatch(/^-ERR count should be/)
    expect(await talk.say('SLOWLOG', 'RESET')).toBe('+OK\r\n')
    expect(await talk.say('SLOWLOG', 'LEN')).toBe(':0\r\n')
  })

  test('SLOWLOG GET is newest first, whichever servers the entries are from', async () => {
    const [[early], , [late]] = (await keysByServer(pool, 'slow', 1)) as [string[], string[], string[]]
    // A server's clock may be a tick of the kernel behind.
    const second = (): number => Math.trunc((Date.now() - 50) / 1000)
    const slow = async (key: string): Promise<void> => {
      for (let i = 0; i < 3; i++) await talk.say('GET', `{${key}}${i}`)
      const began = Math.trunc(Date.now() / 1000)
      await waitUntil(() => second() > began, 'the next second')
    }
    for (const server of pool.servers) {
      await ask(server, ['CONFIG', 'SET', 'slowlog-log-slower-than', '0'], ['SLOWLOG', 'RESET'])
    }
    for (const key of [late!, early!, late!]) await slow(key)
    for (const server of pool.servers) await ask(server, ['CONFIG', 'SET', 'slowlog-log-slower-than', '10000'])
    const entries = (await values('SLOWLOG', 'GET', -1)) as unknown as [number, number, number, string[]][]
    const gets = entries.filter(([, , , args]) => args[0] === 'GET')
    expect(gets.map(([, , , args]) => args[1])).toEqual(
      [late, early, late].flatMap(key => [2, 1, 0].map(i => `{${key}}${i}`)),
    )
    await talk.say('SLOWLOG', 'RESET')
  })

  test('CONFIG GET has what all servers agree on', async () => {
    await ask(pool.servers[2]!, ['CONFIG', 'SET', 'maxmemory', '123mb'])
    expect(await talk.say('CONFIG', 'GET', 'maxmemory', 'appendonly')).toBe('*2\r\n$10\r\nappendonly\r\n$2\r\nno\r\n')
    await ask(pool.servers[2]!, ['CONFIG', 'SET', 'maxmemory', '0'])
    expect(await talk.say('CONFIG', 'GET', 'maxmemory')).toBe('*2\r\n$9\r\nmaxmemory\r\n$1\r\n0\r\n')
  })

  test('CONFIG SET is refused unless the pool allows it', async () => {
    expect(await talk.say('CONFIG', 'SET', 'maxmemory', '1gb')).toMatch(/^-ERR CONFIG SET, RESETSTAT and REWRITE need/)
    const open = await startRedisPool({ config_set: true })
    const other = await open.talk()
    expect(await other.say('CONFIG', 'SET', 'maxmemory', '1gb')).toBe('+OK\r\n')
    expect(await other.say('CONFIG', 'GET', 'maxmemory')).toBe('*2\r\n$9\r\nmaxmemory\r\n$10\r\n1073741824\r\n')
    expect(await other.say('CONFIG', 'SET', 'nonsense', '1')).toMatch(/^-ERR Unknown option/)
    for (const pairs of [
      ['requirepass', 'x'],
      ['maxmemory', '2gb', 'REQUIREPASS', 'x'],
      ['port', '1'],
      ['bind', '10.0.0.1'],
      ['maxclients', '10'],
    ]) {
      expect(await other.say('CONFIG', 'SET', ...pairs)).toMatch(/^-ERR CONFIG SET \w+ would disconnect this pool/)
    }
    expect(await other.say('CONFIG', 'SET', 'requirepass', '')).toBe('+OK\r\n')
    expect(await other.say('CONFIG', 'SET', 'maxclients', '5000')).toBe('+OK\r\n')
    expect(await other.say('CONFIG', 'GET', 'maxmemory')).toBe('*2\r\n$9\r\nmaxmemory\r\n$10\r\n1073741824\r\n')
  })

  test('CONFIG SET of a pool with one server is looked at as well', async () => {
    const server = await startRedis()
    const yml = poolYml({ keys: { redis: true, config_set: true }, servers: [serverEntry(server, 's')] })
    const proxy = await startProxy({ kind: 'pistachio', yml })
    const wire = await Wire.open({ port: proxy.ports[0]! })
    wire.send(encode('CONFIG', 'SET', 'requirepass', 'x'))
    expect(`${(await wire.redisReplies(1))[0]}`).toMatch(
      /^-ERR CONFIG SET requirepass .* it is not the pool's redis_auth/,
    )
    wire.send(Buffer.concat([encode('MULTI'), encode('CONFIG', 'SET', 'requirepass', 'x'), encode('EXEC')]))
    await wire.redisReplies(3)
    expect(`${(await ask(server, ['CONFIG', 'GET', 'requirepass']))[0]}`).toBe('*2\r\n$11\r\nrequirepass\r\n$0\r\n\r\n')
    wire.destroy()
  })

  test.each(['MEMORY STATS', 'FUNCTION STATS', 'SCRIPT DEBUG NO'])(
    '%s, of which each server has its own, is refused',
    async text => {
      expect(await talk.say(...text.split(' '))).toMatch(/^-ERR unsupported command '\w+\|\w+'/)
    },
  )

  test('MEMORY USAGE and OBJECT go to the key’s server', async () => {
    for (const key of (await keysByServer(pool, 'object', 1)).flat()) {
      await talk.say('SET', key, '12345')
      expect(await talk.say('OBJECT', 'ENCODING', key)).toBe('$3\r\nint\r\n')
      expect(await talk.say('MEMORY', 'USAGE', key)).toMatch(/^:\d+\r\n$/)
    }
    expect(await talk.say('OBJECT', 'HELP')).toMatch(/^\*/)
  })
})

test('a server that is down fails what needs all of them, with its reason', async () => {
  const broken = await startRedisPool()
  await broken.servers[1]!.stop()
  const other = await broken.talk()
  for (const request of [['KEYS', '*'], ['DBSIZE'], ['FLUSHALL'], ['SCRIPT', 'FLUSH']]) {
    expect(await other.say(...request)).toBe('-ERR Connection refused\r\n')
  }
})

test('an ejected server is passed over by what reads, and not by what must reach all', async () => {
  const ejecting = await startRedisPool(
    { auto_eject_hosts: true, server_failure_limit: 1, server_retry_timeout: 60_000 },
    1,
  )
  const [[lost], [kept]] = await keysByServer(ejecting, 'k', 1)
  const other = await ejecting.talk()
  await other.say('MSET', lost!, '1', kept!, '2')
  await ejecting.servers[0]!.stop()
  await other.say('GET', lost!)
  await expect.poll(() => other.say('DBSIZE')).toBe(':1\r\n')
  expect(await other.say('KEYS', '*')).toBe(`*1\r\n$${kept!.length}\r\n${kept}\r\n`)
  expect(await other.say('SCAN', 0, 'COUNT', 100)).toBe(`*2\r\n$1\r\n0\r\n*1\r\n$${kept!.length}\r\n${kept}\r\n`)
  expect(await other.say('FLUSHALL')).toMatch(/^-ERR /)
})
