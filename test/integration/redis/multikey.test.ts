/** Several keys in one command: on one server, on several and refused, on several and gathered, which must be what one server computes. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { stopAll } from '../../support/processes/child.ts'
import { ask, startRedis, type TestServer } from '../../support/processes/servers.ts'
import { Random, runSeed } from '../../support/random.ts'
import { closeTalks, keysByServer, type RedisPool, startRedisPool, Talk } from '../../support/wire/redis-pool.ts'
import { decode, type RespArgument, type RespValue } from '../../support/wire/resp.ts'
import { Wire } from '../../support/wire/wire.ts'

const CROSS = expect.stringMatching(
  /^-CROSSSLOT Keys in request don't hash to the same server: '.+' and '.+', hash_tag is \{\}\r\n$/,
)

const seed = runSeed()
let refusing: RedisPool
let gathering: RedisPool
/** One server that has everything. */
let direct: TestServer
/** Two keys of each server. */
let keys: string[][]

beforeAll(async () => {
  refusing = await startRedisPool()
  gathering = await startRedisPool({ cross_server: 'gather' })
  direct = await startRedis()
  keys = await keysByServer(refusing, 'key', 2)
})

afterEach(closeTalks)
afterAll(stopAll)

describe('keys of several servers', () => {
  test.each(
    `MSETNX a 1 b 2|RENAME a b|RENAMENX a b|COPY a b|SMOVE a b m|LMOVE a b LEFT LEFT|RPOPLPUSH a b|SINTERSTORE a b|SUNIONSTORE a b
    SDIFFSTORE a b|ZUNIONSTORE a 1 b|ZINTERSTORE a 2 a b|ZDIFFSTORE a 1 b|ZRANGESTORE a b 0 -1|PFMERGE a b|BITOP NOT a b|LCS a b
    LMPOP 2 a b LEFT|ZMPOP 2 a b MIN|GEOSEARCHSTORE a b FROMMEMBER m BYRADIUS 1 km|GEORADIUS a 1 1 1 km STORE b|SORT a STORE b
    SINTER a b|SUNION a b|SDIFF a b|SINTERCARD 2 a b|ZUNION 2 a b|ZINTER 2 a b|ZDIFF 2 a b|ZINTERCARD 2 a b|PFCOUNT a b
    XREAD STREAMS a b 0 0|EVAL s 2 a b|EVALSHA s 2 a b|FCALL f 2 a b`
      .split(/\||\n/)
      .map(text => [text.trim()] as const),
  )('are refused and nothing is done: %s', async text => {
    const [a, b] = [keys[0]![0]!, keys[1]![0]!]
    const talk = await refusing.talk()
    await talk.say('MSET', a, '1', b, '2')
    const request = text.split(' ').map(word => (word === 'a' ? a : word === 'b' ? b : word))
    expect(await talk.say(...request)).toEqual(CROSS)
    expect(await talk.say('MGET', a, b)).toBe('*2\r\n$1\r\n1\r\n$1\r\n2\r\n')
  })

  test('of one server do what Redis does', async () => {
    const [first, second] = keys[2]! as [string, string]
    const talk = await refusing.talk()
    expect(await talk.say('DEL', first, second)).toMatch(/^:/)
    expect(await talk.say('MSETNX', first, '1', second, '2')).toBe(':1\r\n')
    expect(await talk.say('RENAME', first, second)).toBe('+OK\r\n')
    expect(await talk.say('GET', second)).toBe('$1\r\n1\r\n')
  })

  test('what is not of the form is the server’s to refuse, in its words', async () => {
    const talk = await refusing.talk()
    const said = async (...request: string[]): Promise<string> => String(await talk.say(...request))
    expect(await said('ZUNION', 'x', 'a', 'b')).toBe('-ERR value is not an integer or out of range\r\n')
    expect(await said('ZUNION', '9', 'a', 'b')).toBe('-ERR syntax error\r\n')
    expect(await said('EVAL', 'return 1', '-1')).toBe("-ERR Number of keys can't be negative\r\n")
  })
})

describe('SORT', () => {
  test('with patterns is refused where their keys may be anywhere', async () => {
    const talk = await refusing.talk()
    await talk.say('DEL', 'list')
    await talk.say('RPUSH', 'list', '2', '1')
    expect(await talk.say('SORT', 'list', 'BY', 'w_*')).toMatch(/^-ERR BY option of SORT denied/)
    expect(await talk.say('SORT_RO', 'list', 'GET', '#', 'GET', 'o_*')).toMatch(/^-ERR GET option of SORT denied/)
    expect(await talk.say('SORT', 'list', 'BY', 'nosort', 'GET', '#')).toBe('*2\r\n$1\r\n2\r\n$1\r\n1\r\n')
  })

  test('with patterns whose tag keeps every key on the list’s server is passed on', async () => {
    const talk = await refusing.talk()
    await talk.say('DEL', '{t}list')
    await talk.say('RPUSH', '{t}list', '2', '1')
    await talk.say('MSET', '{t}w_1', '5', '{t}w_2', '3', '{t}o_1', 'one', '{t}o_2', 'two')
    expect(await talk.say('SORT', '{t}list', 'BY', '{t}w_*', 'GET', '{t}o_*')).toBe('*2\r\n$3\r\ntwo\r\n$3\r\none\r\n')
    expect(await talk.say('SORT', '{t}list', 'BY', 'w_*{t}')).toMatch(/^-ERR BY option/)
  })
})

describe('a script without keys', () => {
  test('runs where it calls nothing', async () => {
    const talk = await refusing.talk()
    expect(await talk.say('EVAL', 'return {1, ARGV[1]}', '0', 'x')).toBe('*2\r\n:1\r\n$1\r\nx\r\n')
    expect(await talk.say('EVAL', "return redis.status_reply('FINE')", '0')).toBe('+FINE\r\n')
  })

  test.each([
    "return redis.call('SET', 'a', '1')",
    "return redis['call']('DBSIZE')",
    "local r = redis; return r.pcall('GET', 'a')",
    "return loadstring('return 1')()",
    "return _G['red' .. 'is'].call('GET', 'a')",
  ])('is refused where it may use any key: %s', async script => {
    const talk = await refusing.talk()
    expect(await talk.say('EVAL', script, '0')).toMatch(/^-ERR a script without keys/)
    expect(await talk.say('FCALL', 'f', '0')).toMatch(/^-ERR a script without keys/)
  })
})

/** Strings that differ in what they are, and scores whose sums depend on the order in which they are added. */
const SCORES = [
  '1',
  '0.1',
  '0.2',
  '0.3',
  '-2.5',
  '1e100',
  '-1e100',
  '3.0000001',
  'inf',
  '-inf',
  '1e-7',
  '123456789012',
  '0',
]
const WEIGHTS = ['1', '2', '0', '-1', '0.1', '.5', 'inf', '1e3', '3']

class Made {
  readonly random: Random
  readonly sets = Array.from({ length: 8 }, (_, i) => `set${i}`)
  readonly zsets = Array.from({ length: 8 }, (_, i) => `zset${i}`)
  readonly hlls = Array.from({ length: 6 }, (_, i) => `hll${i}`)

  constructor(random: Random) {
    this.random = random
  }

  /** Commands that fill all keys; the last of each kind stay empty. */
  writes(): RespArgument[][] {
    const { random } = this
    const member = (): string => `m${random.below(25)}`
    const some = <T>(most: number, make: () => T): T[] => Array.from({ length: random.between(1, most) }, make)
    return [
      ...this.sets.slice(0, -1).map(key => ['SADD', key, ...some(30, member)]),
      ...this.zsets.slice(0, -1).map(key => ['ZADD', key, ...some(12, () => [random.pick(SCORES), member()]).flat()]),
      // The first two are dense, the others sparse.
      ...this.hlls
        .slice(0, -1)
        .map((key, i) => ['PFADD', key, ...some(i < 2 ? 6000 : 300, () => `e${random.below(20_000)}`)]),
      ['SET', 'text', 'no HyperLogLog'],
    ]
  }

  request(): RespArgument[] {
    const { random } = this
    const from = (keys: string[]): string[] => Array.from({ length: random.between(2, 5) }, () => random.pick(keys))
    const sets = from(random.chance(0.1) ? [...this.sets, 'text'] : this.sets)
    const zsets = from(random.chance(0.2) ? [...this.zsets, ...this.sets] : this.zsets)
    const hlls = from(random.chance(0.1) ? [...this.hlls, 'text', 'set0'] : this.hlls)
    const counted = (keys: string[]): RespArgument[] => [keys.length, ...keys]
    const limit = random.chance(0.5) ? ['LIMIT', random.below(5)] : []
    const scored = (): RespArgument[] => [
      ...(random.chance(0.5) ? ['WEIGHTS', ...zsets.map(() => random.pick(WEIGHTS))] : []),
      ...(random.chance(0.5) ? ['AGGREGATE', random.pick(['SUM', 'min', 'MAX'])] : []),
      ...(random.chance(0.8) ? ['WITHSCORES'] : []),
    ]
    return random.pick<() => RespArgument[]>([
      () => ['SINTER', ...sets],
      () => ['SUNION', ...sets],
      () => ['SDIFF', ...sets],
      () => ['SINTERCARD', ...counted(sets), ...limit],
      () => ['ZUNION', ...counted(zsets), ...scored()],
      () => ['ZINTER', ...counted(zsets), ...scored()],
      () => ['ZDIFF', ...counted(zsets), ...(random.chance(0.5) ? ['WITHSCORES'] : [])],
      () => ['ZINTERCARD', ...counted(zsets), ...limit],
      () => ['PFCOUNT', ...hlls],
    ])()
  }
}

/** Replies of sets have no order. */
function comparable(request: readonly RespArgument[], reply: string): string {
  if (!/^S(?:INTER|UNION|DIFF)$/.test(String(request[0])) || reply[0] === '-') return reply
  const members = decode(Buffer.from(reply, 'latin1')) as RespValue[]
  return `${reply[0]}${[...members].sort().join()}`
}

describe('with cross_server: gather', () => {
  test.each([2, 3])('gives what one server computes, RESP%i', async version => {
    const made = new Made(new Random(seed + version))
    const pool = await gathering.talk()
    const one = new Talk(await Wire.open({ port: direct.port }))
    for (const talk of [pool, one]) {
      await talk.say('FLUSHALL')
      await talk.say('HELLO', version)
    }
    for (const write of made.writes()) expect(await pool.say(...write)).toBe(await one.say(...write))
    for (let i = 0; i < 600; i++) {
      const request = made.request()
      const wanted = comparable(request, await one.say(...request))
      expect(comparable(request, await pool.say(...request)), `${request.join(' ')} (seed ${seed})`).toBe(wanted)
    }
    one.wire.destroy()
  })

  test('does not gather what writes', async () => {
    const talk = await gathering.talk()
    expect(await talk.say('SUNIONSTORE', keys[0]![0]!, keys[1]![0]!)).toEqual(CROSS)
  })

  test('refuses options that it does not understand', async () => {
    const talk = await gathering.talk()
    expect(await talk.say('ZUNION', '2', keys[0]![0]!, keys[1]![0]!, 'WEIGHTS', '0x1', '1')).toEqual(CROSS)
    expect(await talk.say('SINTERCARD', '2', keys[0]![0]!, keys[1]![0]!, 'LIMIT', '-1')).toEqual(CROSS)
  })

  test('fails as a whole when a server fails', async () => {
    const pool = await startRedisPool({ cross_server: 'gather' })
    const own = await keysByServer(pool, 'k', 1)
    await pool.servers[1]!.stop()
    const talk = await pool.talk()
    expect(await talk.say('SUNION', ...own.flat())).toMatch(/^-ERR /)
    expect(await talk.say('SUNION', own[0]![0]!)).toBe('*0\r\n')
  })
})

test('a strict pool asks the first key’s server, as nutcracker does', async () => {
  const pool = await startRedisPool({ strict: true })
  const own = await keysByServer(pool, 'k', 1)
  const [a, b] = [own[0]![0]!, own[1]![0]!]
  const talk = await pool.talk()
  await talk.say('SADD', a, 'x')
  await talk.say('SADD', b, 'y')
  expect(await talk.say('SUNION', a, b)).toBe('*1\r\n$1\r\nx\r\n')
  expect(`${(await ask(pool.servers[1]!, ['SMEMBERS', b]))[0]}`).toBe('*1\r\n$1\r\ny\r\n')
})
