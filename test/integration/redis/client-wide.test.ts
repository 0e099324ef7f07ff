/** CLIENT commands about the clients of all workers: LIST, KILL, UNBLOCK. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { stopAll } from '../../support/processes/child.ts'
import {
  closeTalks,
  keysByServer,
  type RedisPool,
  serverShows,
  startRedisPool,
  Talk,
} from '../../support/wire/redis-pool.ts'
import { Wire } from '../../support/wire/wire.ts'

const WORKERS = 3
/** The primary gives each client to the worker with the fewest: these many are spread over all workers. */
const TALKS = 6

let pool: RedisPool

beforeAll(async () => {
  pool = await startRedisPool({}, WORKERS)
})

afterEach(closeTalks)
afterAll(stopAll)

/** Conversations of which each worker has some, each with a name. */
async function namedTalks(): Promise<Talk[]> {
  const talks = await Promise.all(Array.from({ length: TALKS }, () => pool.talk()))
  const ids = await Promise.all(talks.map(talk => idOf(talk)))
  expect(new Set(ids.map(id => (id - 1) % WORKERS)).size).toBe(WORKERS)
  for (const [i, talk] of talks.entries()) expect(await talk.say('CLIENT', 'SETNAME', `talk${i}`)).toBe('+OK\r\n')
  return talks
}

async function idOf(talk: Talk): Promise<number> {
  return Number((await talk.say('CLIENT', 'ID')).slice(1))
}

async function direct(): Promise<Talk> {
  return new Talk(await Wire.open({ port: pool.servers[0]!.port }))
}

/** Lines of CLIENT LIST as maps. */
function readList(reply: string): Map<string, string>[] {
  const lines = reply
    .split('\r\n')[1]!
    .split('\n')
    .filter(line => line !== '')
  return lines.map(
    line => new Map(line.split(' ').map(pair => [pair.split('=')[0]!, pair.slice(pair.indexOf('=') + 1)])),
  )
}

async function listOf(talk: Talk, ...args: string[]): Promise<Map<string, string>[]> {
  return readList(await talk.say('CLIENT', 'LIST', ...args))
}

function namesIn(list: readonly Map<string, string>[]): string[] {
  return list.map(line => line.get('name')!).sort()
}

describe('CLIENT LIST', () => {
  test('has the clients of all workers, in the order of their numbers', async () => {
    const talks = await namedTalks()
    const list = await listOf(talks[0]!)
    expect(namesIn(list)).toEqual(talks.map((_, i) => `talk${i}`))
    const ids = list.map(line => Number(line.get('id')))
    expect(ids).toEqual([...ids].sort((left, right) => left - right))
    const ports = list.map(line => Number(line.get('addr')!.split(':')[1])).sort()
    expect(ports).toEqual(talks.map(talk => talk.wire.socket.localPort).sort())
  })

  test('has the fields of the servers’ version and no others', async () => {
    const talk = await pool.talk()
    const server = await direct()
    const fields = (reply: string): string[] => [...readList(reply)[0]!.keys()]
    expect(fields(await talk.say('CLIENT', 'INFO'))).toEqual(fields(await server.say('CLIENT', 'INFO')))
    expect([...(await listOf(talk))[0]!.keys()]).toEqual(fields(await server.say('CLIENT', 'LIST')))
  })

  test('picks clients by id and by type', async () => {
    const talks = await namedTalks()
    const ids = [await idOf(talks[1]!), await idOf(talks[4]!)]
    expect(namesIn(await listOf(talks[0]!, 'ID', ...ids.map(String), '99999999'))).toEqual(['talk1', 'talk4'])
    await talks[2]!.say('SUBSCRIBE', 'channel')
    const [line] = await listOf(talks[0]!, 'TYPE', 'pubsub')
    expect([line!.get('name'), line!.get('sub'), line!.get('flags')]).toEqual(['talk2', '1', 'P'])
    expect(await listOf(talks[0]!, 'TYPE', 'normal')).toHaveLength(TALKS - 1)
    expect(await talks[0]!.say('CLIENT', 'LIST', 'TYPE', 'replica')).toBe('$0\r\n\r\n')
  })

  test('tells of transactions, blocking commands and descriptors', async () => {
    const [talk, multi, blocked] = await namedTalks()
    await multi!.say('MULTI')
    await multi!.say('SET', 'a', 'b')
    blocked!.send('BLPOP', 'nothing', '0')
    const find = async (name: string): Promise<Map<string, string>> =>
      (await listOf(talk!)).find(line => line.get('name') === name)!
    await expect.poll(async () => (await find('talk2')).get('flags')).toBe('b')
    expect((await find('talk2')).get('cmd')).toBe('blpop')
    const line = await find('talk1')
    expect([line.get('flags'), line.get('multi')]).toEqual(['x', '1'])
    const descriptors = (await listOf(talk!)).map(each => Number(each.get('fd')))
    expect(Math.min(...descriptors)).toBeGreaterThan(2)
    expect(new Set(descriptors).size).toBe(TALKS)
  })

  test('shows input that waits and output that is not read', async () => {
    const [talk, slow, half] = await namedTalks()
    half!.wire.send(Buffer.from('*2\r\n$3\r\nGET\r\n$100\r\nabc'))
    await talk!.say('SET', 'large', 'x'.repeat(4_000_000))
    slow!.wire.socket.pause()
    for (let i = 0; i < 4; i++) slow!.send('GET', 'large')
    const number = async (name: string, field: string): Promise<number> =>
      Number((await listOf(talk!)).find(line => line.get('name') === name)!.get(field))
    await expect.poll(() => number('talk2', 'qbuf')).toBeGreaterThan(20)
    await expect.poll(() => number('talk1', 'omem')).toBeGreaterThan(0)
  })
})

describe('CLIENT KILL', () => {
  test('by id, address and type, whichever worker has the client', async () => {
    const talks = await namedTalks()
    const [talk] = talks
    for (const [i, victim] of talks.slice(1, 4).entries()) {
      const address = `127.0.0.1:${victim.wire.socket.localPort}`
      const filter = i === 0 ? ['ID', `${await idOf(victim)}`] : i === 1 ? ['ADDR', address] : [address]
      expect(await talk!.say('CLIENT', 'KILL', ...filter)).toBe(i === 2 ? '+OK\r\n' : ':1\r\n')
      await victim.wire.untilClosed()
    }
    expect(await talk!.say('CLIENT', 'KILL', 'TYPE', 'normal')).toBe(`:${TALKS - 4}\r\n`)
    for (const victim of talks.slice(4)) await victim.wire.untilClosed()
    expect(await talk!.say('PING')).toBe('+PONG\r\n')
  })

  test('ends the own connection behind its reply where SKIPME says so', async () => {
    const talk = await pool.talk()
    const id = `${await idOf(talk)}`
    expect(await talk.say('CLIENT', 'KILL', 'ID', id)).toBe(':0\r\n')
    talk.sendAll(['PING'], ['CLIENT', 'KILL', 'ID', id, 'SKIPME', 'no'], ['PING'])
    expect(`${await talk.wire.untilClosed()}`).toBe('+PONG\r\n:1\r\n')
  })

  test('ends a subscriber and a client that waits', async () => {
    const [talk, subscriber, waiter] = await namedTalks()
    await subscriber!.say('SUBSCRIBE', 'ch')
    expect(await talk!.say('CLIENT', 'KILL', 'TYPE', 'pubsub')).toBe(':1\r\n')
    await subscriber!.wire.untilClosed()
    waiter!.send('BLPOP', 'none', '0')
    const id = (await listOf(talk!)).find(line => line.get('name') === 'talk2')!.get('id')!
    expect(await talk!.say('CLIENT', 'KILL', 'ID', id)).toBe(':1\r\n')
    await waiter!.wire.untilClosed()
  })
})

describe('CLIENT UNBLOCK', () => {
  test('ends a blocking command as its timeout does, or with an error', async () => {
    const [[key], [other]] = (await keysByServer(pool, 'unblock', 1)) as [string[], string[]]
    const [talk, waiter] = await namedTalks()
    const id = `${await idOf(waiter!)}`
    for (const [reason, reply] of [
      ['TIMEOUT', '*-1\r\n'],
      ['ERROR', '-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n'],
    ] as const) {
      waiter!.send('BLPOP', key!, '0')
      await serverShows(pool.servers[0]!, 'blocked_clients', 1)
      expect(await talk!.say('CLIENT', 'UNBLOCK', id, reason)).toBe(':1\r\n')
      expect(await waiter!.hear(1)).toEqual([reply])
    }
    expect(await waiter!.say('SET', other!, 'goes on')).toBe('+OK\r\n')
    expect(await talk!.say('CLIENT', 'UNBLOCK', id)).toBe(':0\r\n')
  })

  test('ends XREAD and WAIT, and nothing of a later client on the connection', async () => {
    const [[key]] = (await keysByServer(pool, 'unblock', 1)) as [string[]]
    const [talk, waiter, next] = await namedTalks()
    const id = `${await idOf(waiter!)}`
    waiter!.send('XREAD', 'BLOCK', '0', 'STREAMS', key!, '$')
    await serverShows(pool.servers[0]!, 'blocked_clients', 1)
    await talk!.say('CLIENT', 'UNBLOCK', id)
    expect(await waiter!.hear(1)).toEqual(['*-1\r\n'])
    next!.send('BLPOP', key!, '0')
    await serverShows(pool.servers[0]!, 'blocked_clients', 1)
    expect(await talk!.say('CLIENT', 'UNBLOCK', id)).toBe(':0\r\n')
    await talk!.say('RPUSH', key!, 'v')
    expect(await next!.hear(1)).toEqual([`*2\r\n$${key!.length}\r\n${key}\r\n$1\r\nv\r\n`])
    waiter!.send('WAIT', '1', '0')
    await serverShows(pool.servers[2]!, 'blocked_clients', 1)
    await talk!.say('CLIENT', 'UNBLOCK', id)
    expect(await waiter!.hear(1)).toEqual([':0\r\n'])
  })
})

test('wrong arguments get Redis’s words', async () => {
  const talk = await pool.talk()
  const server = await direct()
  for (const request of [
    ['LIST', 'TYPE', 'foo'],
    ['LIST', 'ID'],
    ['LIST', 'ID', '0'],
    ['LIST', 'ID', 'abc'],
    ['LIST', 'FOO'],
    ['LIST', 'TYPE', 'normal', 'x'],
    ['INFO', 'x'],
    ['KILL'],
    ['KILL', '1.2.3.4:5'],
    ['KILL', 'ID', 'abc'],
    ['KILL', 'ID', '0'],
    ['KILL', 'ID', '999999999'],
    ['KILL', 'TYPE', 'foo'],
    ['KILL', 'TYPE', 'master'],
    ['KILL', 'USER', 'foo'],
    ['KILL', 'ID', '1', 'FOO'],
    ['KILL', 'FOO', 'bar'],
    ['KILL', 'SKIPME', 'maybe'],
    ['UNBLOCK'],
    ['UNBLOCK', 'abc'],
    ['UNBLOCK', '0'],
    ['UNBLOCK', '-1'],
    ['UNBLOCK', '1', 'FOO'],
    ['UNBLOCK', '1', 'TIMEOUT', 'x'],
  ]) {
    expect([request, await talk.say('CLIENT', ...request)]).toEqual([request, await server.say('CLIENT', ...request)])
  }
})

test('a pipeline of commands about all workers is answered in its order', async () => {
  const talk = await pool.talk()
  talk.sendAll(['PING'], ['CLIENT', 'LIST', 'ID', '0'], ['ECHO', 'a'], ['CLIENT', 'UNBLOCK', '0'], ['GET', 'none'])
  expect(await talk.hear(5)).toEqual(['+PONG\r\n', '$0\r\n\r\n', '$1\r\na\r\n', ':0\r\n', '$-1\r\n'])
})

test('INFO counts the pool’s clients, not the proxy’s connections', async () => {
  const talks = await namedTalks()
  const info = await talks[0]!.say('INFO', 'clients')
  expect(info).toContain(`\r\nconnected_clients:${TALKS}\r\n`)
})

describe('CLIENT REPLY', () => {
  test('OFF and SKIP do not silence subscriptions', async () => {
    for (const mode of ['OFF', 'SKIP']) {
      const talk = await pool.talk()
      const publisher = await pool.talk()
      talk.sendAll(['CLIENT', 'REPLY', mode], ['SUBSCRIBE', 'ch'])
      expect(await talk.hear(1)).toEqual(['*3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n'])
      expect(await publisher.say('PUBLISH', 'ch', 'hi')).toBe(':1\r\n')
      expect(await talk.hear(1)).toEqual(['*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$2\r\nhi\r\n'])
      talk.send('PING')
      if (mode === 'SKIP') expect(await talk.hear(1)).toEqual(['*2\r\n$4\r\npong\r\n$0\r\n\r\n'])
      talk.send('UNSUBSCRIBE')
      expect(await talk.hear(1)).toEqual(['*3\r\n$11\r\nunsubscribe\r\n$2\r\nch\r\n:0\r\n'])
    }
  })

  test('OFF silences PUBLISH', async () => {
    const talk = await pool.talk()
    const listener = await pool.talk()
    await listener.say('SUBSCRIBE', 'quiet')
    talk.sendAll(['CLIENT', 'REPLY', 'OFF'], ['PUBLISH', 'quiet', 'x'], ['CLIENT', 'REPLY', 'ON'])
    expect(await talk.hear(1)).toEqual(['+OK\r\n'])
    expect(await listener.hear(1)).toEqual(['*3\r\n$7\r\nmessage\r\n$5\r\nquiet\r\n$1\r\nx\r\n'])
  })
})
