/** `multi: split`: a MULTI over several servers; CLIENT and the like within MULTI; what a refusal says. */

import { createClient } from 'redis'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { stopAll } from '../../support/processes/child.ts'
import { poolYml, serverEntry, startProxy } from '../../support/processes/proxy.ts'
import { ask, startRedis } from '../../support/processes/servers.ts'
import { closeTalks, keysByServer, type RedisPool, startRedisPool, Talk } from '../../support/wire/redis-pool.ts'
import { Wire } from '../../support/wire/wire.ts'

const OK = '+OK\r\n'
const QUEUED = '+QUEUED\r\n'
const ABORTED = '-EXECABORT Transaction discarded because of previous errors.\r\n'
const STILL_OPEN = '-CROSSSLOT the proxy has refused a request of this transaction: send EXEC or DISCARD to end it\r\n'

let pool: RedisPool
let atomic: RedisPool
/** Two keys of each server. */
let keys: string[][]
let singlePort: number
let serverPort: number

beforeAll(async () => {
  pool = await startRedisPool({ multi: 'split' })
  atomic = await startRedisPool()
  keys = await keysByServer(pool, 'split', 2)
  const server = await startRedis()
  serverPort = server.port
  const single = await startProxy({
    kind: 'pistachio',
    workers: 2,
    yml: poolYml({ keys: { redis: true }, servers: [serverEntry(server, 'a')] }),
  })
  singlePort = single.ports[0]!
})

afterEach(closeTalks)
afterAll(stopAll)

async function talkTo(port: number): Promise<Talk> {
  return new Talk(await Wire.open({ port }))
}

describe('multi: split', () => {
  test('runs a part at each server and gives the replies in the order of the requests', async () => {
    const talk = await pool.talk()
    const [[a, a2], [b], [c]] = keys as [string[], string[], string[]]
    talk.sendAll(
      ['MULTI'],
      ['PING'],
      ['SET', a!, '1'],
      ['RPUSH', b!, 'x', 'y'],
      ['INCR', a!],
      ['HSET', c!, 'f', 'v'],
      ['LRANGE', b!, '0', '-1'],
      ['LPUSH', a!, 'wrong type'],
      ['GET', a2!],
      ['ECHO', 'e'],
      ['HGETALL', c!],
      ['EXEC'],
      ['MGET', a!, a2!],
    )
    expect(await talk.hear(13)).toEqual([
      OK,
      ...Array.from({ length: 10 }, () => QUEUED),
      '*10\r\n+PONG\r\n+OK\r\n:2\r\n:2\r\n:1\r\n*2\r\n$1\r\nx\r\n$1\r\ny\r\n' +
        '-WRONGTYPE Operation against a key holding the wrong kind of value\r\n$-1\r\n$1\r\ne\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n',
      '*2\r\n$1\r\n2\r\n$-1\r\n',
    ])
    for (const key of [a!, b!, c!]) expect(await talk.say('DEL', key)).toBe(':1\r\n')
  })

  test('passes RESP3 values, and large ones', async () => {
    const talk = await pool.talk()
    await talk.say('HELLO', '3')
    const [[a], [b], [c]] = keys as [string[], string[], string[]]
    const large = 'v'.repeat(400_000)
    talk.sendAll(
      ['MULTI'],
      ['SET', a!, large],
      ['HSET', b!, 'f', 'v'],
      ['ZADD', c!, '1.5', 'm'],
      ['GET', a!],
      ['HGETALL', b!],
      ['ZSCORE', c!, 'm'],
      ['GET', `${a}none`],
      ['EXEC'],
      ['DEL', a!, b!, c!],
    )
    const replies = await talk.hear(10)
    expect(replies[8]).toBe(`*7\r\n+OK\r\n:1\r\n:1\r\n$400000\r\n${large}\r\n%1\r\n$1\r\nf\r\n$1\r\nv\r\n,1.5\r\n_\r\n`)
    expect(replies[9]).toBe(':3\r\n')
  })

  test('what one server refuses to queue runs nowhere', async () => {
    const talk = await pool.talk()
    const [[a], [b]] = keys as [string[], string[], string[]]
    for (const order of [
      [a!, b!],
      [b!, a!],
    ]) {
      talk.sendAll(['MULTI'], ['SET', order[0]!, '1'], ['OBJECT', 'FOO', order[1]!], ['SET', order[1]!, '2'], ['EXEC'])
      const replies = await talk.hear(5)
      expect(replies[2]).toMatch(/^-ERR /)
      expect(replies[4]).toBe(ABORTED)
      expect(await talk.say('MGET', a!, b!)).toBe('*2\r\n$-1\r\n$-1\r\n')
    }
  })

  test('DISCARD, RESET and a lost client run nothing, and the connections serve the next transaction', async () => {
    const [[a], [b]] = keys as [string[], string[], string[]]
    for (const end of ['DISCARD', 'RESET', '']) {
      const talk = await pool.talk()
      talk.sendAll(['MULTI'], ['SET', a!, '1'], ['SET', b!, '2'])
      await talk.hear(3)
      if (end === '') talk.wire.destroy()
      else expect(await talk.say(end)).toBe(end === 'RESET' ? '+RESET\r\n' : OK)
      const next = await pool.talk()
      next.sendAll(['MULTI'], ['GET', a!], ['GET', b!], ['EXEC'])
      expect((await next.hear(4))[3]).toBe('*2\r\n$-1\r\n$-1\r\n')
    }
  })

  test('watched keys keep it on one server', async () => {
    const talk = await pool.talk()
    const [[a], [b]] = keys as [string[], string[], string[]]
    talk.sendAll(['WATCH', a!], ['MULTI'], ['SET', a!, '1'], ['SET', b!, '2'], ['SET', a!, '3'], ['EXEC'], ['GET', a!])
    const replies = await talk.hear(7)
    expect(replies[3]).toBe(
      `-CROSSSLOT Keys in request don't hash to the same server: '${a}' and '${b}', hash_tag is {}\r\n`,
    )
    expect(replies.slice(4)).toEqual([STILL_OPEN, ABORTED, '$-1\r\n'])
  })

  test('one request over several servers is refused all the same', async () => {
    const talk = await pool.talk()
    const [[a], [b]] = keys as [string[], string[], string[]]
    talk.sendAll(['MULTI'], ['MSET', a!, '1', b!, '2'], ['EXEC'])
    const replies = await talk.hear(3)
    expect(replies[1]).toMatch(/^-CROSSSLOT /)
    expect(replies[2]).toBe(ABORTED)
  })

  test('many at once, over shared servers', async () => {
    const talks = await Promise.all(Array.from({ length: 40 }, () => pool.talk()))
    const counters = keys.map(([key]) => key!)
    for (const talk of talks) talk.sendAll(['MULTI'], ...counters.map(key => ['INCR', key]), ['EXEC'])
    for (const talk of talks) expect((await talk.hear(5))[4]).toMatch(/^\*3\r\n(?::\d+\r\n){3}$/)
    const talk = await pool.talk()
    for (const key of counters) expect(await talk.say('GETDEL', key)).toBe('$2\r\n40\r\n')
  })

  test('node-redis’s multi() works over several servers', async () => {
    const client = await createClient({ url: `redis://127.0.0.1:${pool.port}` }).connect()
    const [[a], [b], [c]] = keys as [string[], string[], string[]]
    expect(await client.multi().set(a!, '1').set(b!, '2').get(a!).del([c!]).exec()).toEqual(['OK', 'OK', '1', 0])
    expect(await client.del(a!)).toBe(1)
    expect(await client.del(b!)).toBe(1)
    client.destroy()
  })

  test('a server that is lost in the middle ends the client’s connection; nothing is run', async () => {
    const own = await startRedisPool({ multi: 'split' })
    const [[a], [b]] = (await keysByServer(own, 'lost', 1)) as [string[], string[], string[]]
    const talk = await own.talk()
    talk.sendAll(['MULTI'], ['SET', a!, '1'], ['SET', b!, '2'])
    await talk.hear(3)
    await ask(own.servers[1]!, ['CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'])
    await talk.wire.untilClosed()
    const other = await own.talk()
    expect(await other.say('GET', a!)).toBe('$-1\r\n')
    await own.proxy.stop('SIGTERM')
  })
})

describe('a refusal', () => {
  test('names the keys and the hash tag, is counted, and is in the log once', async () => {
    const own = await startRedisPool({ hash_tag: '"[]"' }, 1)
    const [[a], [b]] = (await keysByServer(own, 'k', 1)) as [string[], string[], string[]]
    const talk = await own.talk()
    const words = `-CROSSSLOT Keys in request don't hash to the same server: '${a}' and '${b}', hash_tag is []\r\n`
    for (let i = 0; i < 3; i++) {
      talk.sendAll(['MULTI'], ['SET', a!, '1'], ['SET', b!, '1'], ['EXEC'], ['RENAME', a!, b!])
      expect(await talk.hear(5)).toEqual([OK, QUEUED, words, ABORTED, words])
    }
    const long = `${b!}${'\r\n'.repeat(50)}`
    expect(await talk.say('RENAME', a!, long)).toMatch(/(?:\?{5}\.\.\.', hash_tag is \[\]|^-ERR no such key)\r\n$/)
    const lines = own.proxy.log().match(/refused: keys of several servers in .*/g)
    expect(lines).toEqual([`refused: keys of several servers in a transaction: '${a}' and '${b}', hash_tag is []`])
    await own.proxy.stop('SIGTERM')
  })

  test('within MULTI is told again until EXEC or DISCARD, so that no QUEUED is taken for a value', async () => {
    const talk = await atomic.talk()
    const [[a], [b]] = keys as [string[], string[], string[]]
    for (const [end, reply] of [
      ['EXEC', ABORTED],
      ['DISCARD', OK],
    ] as const) {
      talk.sendAll(['MULTI'], ['SET', a!, '1'], ['SET', b!, '1'], ['GET', a!], ['PING'], [end], ['PING'])
      expect((await talk.hear(7)).slice(3)).toEqual([STILL_OPEN, STILL_OPEN, reply, '+PONG\r\n'])
    }
  })
})

describe('within MULTI, of a pool of one server', () => {
  test('INFO, CONFIG, SLOWLOG, DBSIZE and others work as directly', async () => {
    const requests = [
      ['DBSIZE'],
      ['CONFIG', 'GET', 'maxmemory'],
      ['SLOWLOG', 'LEN'],
      ['SLOWLOG', 'GET', '0'],
      ['LATENCY', 'LATEST'],
      ['PUBSUB', 'NUMPAT'],
      ['KEYS', 'none*'],
      ['SCRIPT', 'EXISTS', 'abc'],
      ['COMMAND', 'COUNT'],
      ['CLIENT', 'GETNAME'],
      ['CLIENT', 'SETNAME', 'inside'],
      ['CLIENT', 'GETNAME'],
      ['CLIENT', 'KILL', 'ID', '99999999'],
      ['CLIENT', 'UNBLOCK', '99999999'],
      ['SET', 'k', 'v'],
      ['CLIENT', 'NO-EVICT', 'on'],
      ['GET', 'k'],
    ]
    const answers: string[][] = []
    for (const port of [singlePort, serverPort]) {
      const talk = await talkTo(port)
      talk.sendAll(['FLUSHALL'], ['MULTI'], ...requests, ['EXEC'], ['CLIENT', 'GETNAME'])
      answers.push(await talk.hear(requests.length + 4))
    }
    expect(answers[0]).toEqual(answers[1])
    const talk = await talkTo(singlePort)
    talk.sendAll(['MULTI'], ['INFO', 'server'], ['CLIENT', 'ID'], ['CLIENT', 'LIST'], ['EXEC'])
    const info = (await talk.hear(5))[4]!
    expect(info).toMatch(/^\*3\r\n\$\d+\r\n# Server\r\nredis_version:/)
    expect(info).toMatch(/\r\n:\d+\r\n\$\d+\r\nid=\d+ addr=.*flags=x /)
  })

  test('CLIENT alone runs too, DISCARD runs nothing, wrong arguments abort', async () => {
    for (const port of [singlePort, serverPort]) {
      const talk = await talkTo(port)
      talk.sendAll(['MULTI'], ['CLIENT', 'SETNAME', 'a'], ['EXEC'], ['CLIENT', 'GETNAME'])
      expect(await talk.hear(4)).toEqual([OK, QUEUED, '*1\r\n+OK\r\n', '$1\r\na\r\n'])
      talk.sendAll(['MULTI'], ['CLIENT', 'SETNAME', 'b'], ['DISCARD'], ['CLIENT', 'GETNAME'])
      expect(await talk.hear(4)).toEqual([OK, QUEUED, OK, '$1\r\na\r\n'])
      talk.sendAll(['MULTI'], ['CLIENT', 'SETNAME'], ['PING'], ['EXEC'])
      expect((await talk.hear(4)).slice(2)).toEqual([QUEUED, ABORTED])
      talk.sendAll(['WATCH', 'w'], ['MULTI'], ['CLIENT', 'GETNAME'], ['SET', 'w', '1'])
      await talk.hear(4)
      await (await talkTo(serverPort)).say('SET', 'w', '2')
      expect(await talk.say('EXEC')).toBe('*-1\r\n')
    }
  })

  test('CONFIG SET stays refused without config_set', async () => {
    const talk = await talkTo(singlePort)
    talk.sendAll(['MULTI'], ['CONFIG', 'SET', 'maxmemory', '0'], ['EXEC'])
    const replies = await talk.hear(3)
    expect(replies[1]).toMatch(/^-ERR CONFIG SET, RESETSTAT and REWRITE need/)
    expect(replies[2]).toBe(ABORTED)
  })
})
