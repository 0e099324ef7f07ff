/** MULTI, EXEC, DISCARD, WATCH and UNWATCH through the proxy. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { stopAll } from '../../support/processes/child.ts'
import { ask } from '../../support/processes/servers.ts'
import { closeTalks, keysByServer, type RedisPool, startRedisPool } from '../../support/wire/redis-pool.ts'

const OK = '+OK\r\n'
const QUEUED = '+QUEUED\r\n'
const STILL_OPEN = '-CROSSSLOT the proxy has refused a request of this transaction: send EXEC or DISCARD to end it\r\n'
const CROSSSLOT = expect.stringMatching(
  /^-CROSSSLOT Keys in request don't hash to the same server: '.+' and '.+', hash_tag is \{\}\r\n$/,
)
const ABORTED = '-EXECABORT Transaction discarded because of previous errors.\r\n'

let pool: RedisPool
/** Two keys of each server. */
let keys: string[][]

beforeAll(async () => {
  pool = await startRedisPool()
  keys = await keysByServer(pool, 'tx', 2)
})

afterEach(closeTalks)
afterAll(stopAll)

describe('MULTI and EXEC', () => {
  test('run on the server of the first key, whichever it is', async () => {
    for (const [key, other] of keys) {
      const talk = await pool.talk()
      expect(await talk.say('MULTI')).toBe(OK)
      expect(await talk.say('SET', key!, '1')).toBe(QUEUED)
      expect(await talk.say('INCRBY', other!, '5')).toBe(QUEUED)
      expect(await talk.say('MGET', key!, other!)).toBe(QUEUED)
      expect(await talk.say('DEL', key!, other!)).toBe(QUEUED)
      expect(await talk.say('EXEC')).toBe('*4\r\n+OK\r\n:5\r\n*2\r\n$1\r\n1\r\n$1\r\n5\r\n:2\r\n')
    }
  })

  test('in one packet, with requests before and after, keep their order', async () => {
    const talk = await pool.talk()
    const [key] = keys[1]!
    talk.sendAll(
      ['SET', key!, '1'],
      ['MULTI'],
      ['INCR', key!],
      ['EXEC'],
      ['GET', key!],
      ['MULTI'],
      ['DEL', key!],
      ['EXEC'],
    )
    expect(await talk.hear(8)).toEqual([OK, OK, QUEUED, '*1\r\n:2\r\n', '$1\r\n2\r\n', OK, QUEUED, '*1\r\n:1\r\n'])
  })

  test('what comes before the first key is run with it', async () => {
    const talk = await pool.talk()
    talk.sendAll(
      ['MULTI'],
      ['PING'],
      ['ECHO', 'e'],
      ['SELECT', '0'],
      ['SELECT', '16'],
      ['SET', keys[2]![0]!, 'v'],
      ['EXEC'],
    )
    expect(await talk.hear(7)).toEqual([
      OK,
      ...Array.from({ length: 5 }, () => QUEUED),
      '*5\r\n+PONG\r\n$1\r\ne\r\n+OK\r\n-ERR DB index is out of range\r\n+OK\r\n',
    ])
    expect(await talk.say('DEL', keys[2]![0]!)).toBe(':1\r\n')
  })

  test('without any key they run too, and without anything at all', async () => {
    const talk = await pool.talk()
    talk.sendAll(['MULTI'], ['PING'], ['EXEC'], ['MULTI'], ['EXEC'])
    expect(await talk.hear(5)).toEqual([OK, QUEUED, '*1\r\n+PONG\r\n', OK, '*0\r\n'])
  })

  test('a key of another server is refused, and EXEC runs nothing', async () => {
    const talk = await pool.talk()
    const [first, second] = [keys[0]![0]!, keys[1]![0]!]
    talk.sendAll(
      ['MULTI'],
      ['SET', first, 'a'],
      ['SET', second, 'b'],
      ['GET', first],
      ['EXEC'],
      ['MGET', first, second],
    )
    expect(await talk.hear(6)).toEqual([OK, QUEUED, CROSSSLOT, STILL_OPEN, ABORTED, '*2\r\n$-1\r\n$-1\r\n'])
    talk.sendAll(['MULTI'], ['DEL', first, second], ['EXEC'])
    expect(await talk.hear(3)).toEqual([OK, CROSSSLOT, ABORTED])
  })

  test('what only all servers could answer is refused, and aborts', async () => {
    const talk = await pool.talk()
    const refusal = (name: string): string => `-ERR the proxy does not support '${name}' in a transaction\r\n`
    for (const request of [
      ['FLUSHALL'],
      ['DBSIZE'],
      ['SCAN', '0'],
      ['SUBSCRIBE', 'c'],
      ['WAIT', '0', '0'],
      ['HELLO', '3'],
    ]) {
      talk.sendAll(['MULTI'], request, ['EXEC'], ['PING'])
      expect(await talk.hear(4)).toEqual([OK, refusal(request[0]!.toLowerCase()), ABORTED, '+PONG\r\n'])
    }
  })

  test('mistakes get the words of Redis', async () => {
    const talk = await pool.talk()
    talk.sendAll(['EXEC'], ['DISCARD'], ['UNWATCH'], ['MULTI'], ['MULTI'], ['WATCH', 'a'], ['EXEC'])
    expect(await talk.hear(7)).toEqual([
      '-ERR EXEC without MULTI\r\n',
      '-ERR DISCARD without MULTI\r\n',
      OK,
      OK,
      '-ERR MULTI calls can not be nested\r\n',
      '-ERR WATCH inside MULTI is not allowed\r\n',
      '*0\r\n',
    ])
    for (const [request, reply] of [
      [['GET'], "-ERR wrong number of arguments for 'get' command\r\n"],
      [['NOSUCH', 'x'], "-ERR unknown command 'NOSUCH', with args beginning with: 'x' \r\n"],
    ] as const) {
      talk.sendAll(['MULTI'], ['SET', keys[0]![0]!, 'a'], request, ['EXEC'])
      expect(await talk.hear(4)).toEqual([OK, QUEUED, reply, ABORTED])
    }
  })

  test('DISCARD runs nothing', async () => {
    const talk = await pool.talk()
    const [key] = keys[0]!
    talk.sendAll(['MULTI'], ['SET', key!, 'a'], ['DISCARD'], ['GET', key!], ['MULTI'], ['DISCARD'], ['EXEC'])
    expect(await talk.hear(7)).toEqual([OK, QUEUED, OK, '$-1\r\n', OK, OK, '-ERR EXEC without MULTI\r\n'])
  })

  test('many clients at once neither mix nor wait for each other', async () => {
    const [key] = keys[1]!
    const idle = await pool.talk()
    expect(await idle.say('MULTI')).toBe(OK)
    expect(await idle.say('SET', key!, 'idle')).toBe(QUEUED)
    const talks = await Promise.all(Array.from({ length: 40 }, () => pool.talk()))
    for (let round = 0; round < 5; round++) {
      for (const talk of talks) talk.sendAll(['MULTI'], ['INCR', key!], ['DECR', key!], ['EXEC'])
      const replies = await Promise.all(talks.map(talk => talk.hear(4)))
      expect(replies.every(reply => reply[3] === '*2\r\n:1\r\n:0\r\n')).toBe(true)
    }
    expect(await idle.say('EXEC')).toBe('*1\r\n+OK\r\n')
    expect(await idle.say('DEL', key!)).toBe(':1\r\n')
  })
})

describe('WATCH', () => {
  test('a change by another client, or by the client itself, makes EXEC answer nil', async () => {
    const talk = await pool.talk()
    const other = await pool.talk()
    const [key] = keys[0]!
    expect(await talk.say('WATCH', key!)).toBe(OK)
    expect(await other.say('SET', key!, 'theirs')).toBe(OK)
    talk.sendAll(['MULTI'], ['SET', key!, 'mine'], ['EXEC'], ['GET', key!])
    expect(await talk.hear(4)).toEqual([OK, QUEUED, '*-1\r\n', '$6\r\ntheirs\r\n'])
    talk.sendAll(
      ['WATCH', key!],
      ['DEL', key!],
      ['MULTI'],
      ['SET', key!, 'mine'],
      ['EXEC'],
      ['WATCH', key!],
      ['MULTI'],
      ['EXEC'],
    )
    expect(await talk.hear(8)).toEqual([OK, ':1\r\n', OK, QUEUED, '*-1\r\n', OK, OK, '*0\r\n'])
  })

  test('UNWATCH forgets; a key of another server is refused', async () => {
    const talk = await pool.talk()
    const [key] = keys[0]!
    talk.sendAll(
      ['WATCH', key!],
      ['WATCH', keys[1]![0]!],
      ['SET', key!, '1'],
      ['UNWATCH'],
      ['MULTI'],
      ['GET', key!],
      ['EXEC'],
      ['DEL', key!],
    )
    expect(await talk.hear(8)).toEqual([OK, CROSSSLOT, OK, OK, OK, QUEUED, '*1\r\n$1\r\n1\r\n', ':1\r\n'])
    expect(await talk.say('WATCH', key!, keys[1]![0]!)).toEqual(CROSSSLOT)
  })
})

describe('when somebody leaves', () => {
  test('a client in the middle: nothing of its transaction is run, or left to the next one', async () => {
    const [key] = keys[2]!
    const leaver = await pool.talk()
    await leaver.say('WATCH', key!)
    await leaver.say('MULTI')
    expect(await leaver.say('SET', key!, 'lost')).toBe(QUEUED)
    leaver.wire.destroy()
    const talk = await pool.talk()
    talk.sendAll(['MULTI'], ['GET', key!], ['EXEC'])
    expect(await talk.hear(3)).toEqual([OK, QUEUED, '*1\r\n$-1\r\n'])
  })

  test('the server in the middle: the connection ends, and nothing was run', async () => {
    const [key] = keys[2]!
    const talk = await pool.talk()
    expect(await talk.say('MULTI')).toBe(OK)
    expect(await talk.say('SET', key!, 'lost')).toBe(QUEUED)
    await ask(pool.servers[2]!, ['CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'])
    expect(String(await talk.wire.untilClosed())).toBe('')
    expect(await (await pool.talk()).say('GET', key!)).toBe('$-1\r\n')
  })
})
