/** How clients begin and what they ask about themselves: HELLO, AUTH, CLIENT, INFO, RESET; real clients with their defaults. */

import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { Action, COMMANDS } from '../../../src/protocol/redis/commands.ts'
import { stopAll } from '../../support/processes/child.ts'
import { poolYml, serverEntry, startProxy } from '../../support/processes/proxy.ts'
import { ask, startRedis, type TestServer } from '../../support/processes/servers.ts'
import { closeTalks, keysByServer, type RedisPool, startRedisPool, Talk } from '../../support/wire/redis-pool.ts'
import { decode, encode } from '../../support/wire/resp.ts'
import { Wire } from '../../support/wire/wire.ts'

const PASSWORD = 'open sesame'

let pool: RedisPool
/** Wants a password. */
let locked: Talk[]
let lockedPort: number
/** The server behind it. */
let lockedServer: TestServer

beforeAll(async () => {
  pool = await startRedisPool()
  lockedServer = await startRedis({ password: PASSWORD })
  const keys = { redis: true, redis_auth: `"${PASSWORD}"` }
  const servers = [serverEntry(lockedServer, 'a')]
  const proxy = await startProxy({ kind: 'pistachio', yml: poolYml({ keys, servers }) })
  lockedPort = proxy.ports[0]!
  locked = []
})

afterEach(closeTalks)
afterAll(stopAll)

async function lockedTalk(): Promise<Talk> {
  const talk = new Talk(await Wire.open({ port: lockedPort }))
  locked.push(talk)
  return talk
}

/** redis-server's own answer, with what differs from connection to connection left out. */
function withoutId(reply: string): string {
  return reply.replace(/(\$2\r\nid\r\n):\d+/, '$1:ID')
}

describe('HELLO', () => {
  test.each([[], ['2'], ['3'], ['3', 'SETNAME', 'me'], ['2', 'AUTH', 'default', 'anything']])(
    'answers as a server does: %s %s %s %s',
    async (...args) => {
      const talk = await pool.talk()
      const direct = new Talk(await Wire.open({ port: pool.servers[0]!.port }))
      expect(withoutId(await talk.say('HELLO', ...args))).toBe(withoutId(await direct.say('HELLO', ...args)))
      expect(await talk.say('CLIENT', 'GETNAME')).toBe(await direct.say('CLIENT', 'GETNAME'))
    },
  )

  test.each([
    ['x'],
    ['4'],
    ['1'],
    ['3', 'AUTH', 'default'],
    ['3', 'NONSENSE'],
    ['3', 'SETNAME'],
    ['3', 'SETNAME', 'two words'],
    ['3', 'AUTH', 'nobody', 'anything'],
  ])('refuses as a server does: %s %s %s %s', async (...args) => {
    const talk = await pool.talk()
    const direct = new Talk(await Wire.open({ port: pool.servers[0]!.port }))
    expect(await talk.say('HELLO', ...args)).toBe(await direct.say('HELLO', ...args))
    expect(await talk.say('GET', 'none')).toBe('$-1\r\n')
  })

  test('keeps the order of replies when the protocol changes in the middle of a pipeline', async () => {
    const keys = (await keysByServer(pool, 'order', 1)).flat()
    const talk = await pool.talk()
    talk.sendAll(
      ...keys.map(key => ['SET', key, key]),
      ['HELLO', '3'],
      ...keys.map(key => ['GET', key]),
      ['GET', 'none'],
      ['HELLO', '2'],
      ['GET', 'none'],
    )
    const replies = await talk.hear(9)
    expect(replies.slice(0, 3)).toEqual(['+OK\r\n', '+OK\r\n', '+OK\r\n'])
    expect(replies.slice(4, 7)).toEqual(keys.map(key => `$${key.length}\r\n${key}\r\n`))
    expect([replies[3]![0], replies[7], replies[8]![0]]).toEqual(['%', '_\r\n', '*'])
    expect(await talk.hear(1)).toEqual(['$-1\r\n'])
  })

  test('is answered while a server is down, and while all are', async () => {
    const own = await startRedisPool({}, 1)
    await own.servers[0]!.stop()
    const first = await own.talk()
    expect(await first.say('HELLO', 3)).toContain('$7\r\nversion\r\n')
    const other = await startRedisPool({}, 1)
    for (const server of other.servers) await server.stop()
    const second = await other.talk()
    expect(await second.say('HELLO', 3)).toMatch(/^%7\r\n/)
    expect(await second.say('GET', 'a')).toMatch(/^-ERR /)
  })
})

describe('a pool with a password', () => {
  test('lets nobody in without it, and tells what is no command all the same', async () => {
    const talk = await lockedTalk()
    expect(await talk.say('GET', 'a')).toBe('-NOAUTH Authentication required\r\n')
    expect(await talk.say('CLIENT', 'LIST')).toBe('-NOAUTH Authentication required\r\n')
    expect(await talk.say('KEYS', '*')).toBe('-NOAUTH Authentication required\r\n')
    expect(await talk.say('HELLO', 3)).toMatch(/^-NOAUTH HELLO must be called/)
    expect(await talk.say('NONSENSE')).toMatch(/^-ERR unknown command/)
  })

  test.each([[['AUTH', PASSWORD]], [['AUTH', 'default', PASSWORD]], [['HELLO', '3', 'AUTH', 'default', PASSWORD]]])(
    'lets in with %s',
    async request => {
      const talk = await lockedTalk()
      expect(await talk.say(...request)).toMatch(/^(\+OK|%7)\r\n/)
      expect(await talk.say('GET', 'a')).toMatch(/^(\$-1|_)\r\n$/)
    },
  )

  test.each([
    [['AUTH', 'default', 'wrong']],
    [['AUTH', 'root', PASSWORD]],
    [['HELLO', '3', 'AUTH', 'default', 'wrong']],
  ])('does not with %s', async request => {
    const talk = await lockedTalk()
    expect(await talk.say(...request)).toMatch(/^-WRONGPASS /)
    expect(await talk.say('GET', 'a')).toMatch(/^-NOAUTH /)
  })

  test('RESET asks for it again', async () => {
    const talk = await lockedTalk()
    await talk.say('AUTH', PASSWORD)
    expect(await talk.say('RESET')).toBe('+RESET\r\n')
    expect(await talk.say('GET', 'a')).toMatch(/^-NOAUTH /)
  })
})

describe('CLIENT', () => {
  test('ID is unique over the workers', async () => {
    const talks = await Promise.all(Array.from({ length: 12 }, () => pool.talk()))
    const ids = await Promise.all(talks.map(talk => talk.say('CLIENT', 'ID')))
    expect(new Set(ids).size).toBe(12)
    expect(await talks[0]!.say('CLIENT', 'ID')).toBe(ids[0])
  })

  test('INFO and LIST show what the client told of itself', async () => {
    const talk = await pool.talk()
    await talk.say('CLIENT', 'SETNAME', 'me')
    await talk.say('CLIENT', 'SETINFO', 'LIB-NAME', 'mylib')
    await talk.say('CLIENT', 'SETINFO', 'lib-ver', '1.2')
    const port = talk.wire.socket.localPort
    const wanted = new RegExp(`id=\\d+ addr=127.0.0.1:${port} .*name=me .*resp=2\n`)
    expect(await talk.say('CLIENT', 'INFO')).toMatch(wanted)
    expect(await talk.say('CLIENT', 'LIST')).toMatch(wanted)
    expect(await talk.say('CLIENT', 'LIST', 'TYPE', 'pubsub')).toBe('$0\r\n\r\n')
  })

  test('refuses texts that would forge its list', async () => {
    const talk = await pool.talk()
    expect(await talk.say('CLIENT', 'SETNAME', 'a b')).toMatch(/^-ERR Client names cannot contain/)
    expect(await talk.say('CLIENT', 'SETINFO', 'LIB-NAME', 'a\nid=1')).toMatch(/^-ERR lib-name cannot contain/)
    expect(await talk.say('CLIENT', 'SETINFO', 'x', 'y')).toMatch(/^-ERR Unrecognized option/)
  })

  test('unknown subcommands and wrong argument counts get Redis’s words', async () => {
    const talk = await pool.talk()
    const direct = new Talk(await Wire.open({ port: pool.servers[0]!.port }))
    for (const request of [
      ['CLIENT'],
      ['CLIENT', 'FOO'],
      ['CLIENT', 'SETNAME'],
      ['CLIENT', 'ID', 'x'],
      ['CLIENT', 'REPLY'],
    ]) {
      expect(await talk.say(...request)).toBe(await direct.say(...request))
    }
  })
})

describe('CLIENT REPLY', () => {
  test('OFF silences every reply until ON, and the requests are done', async () => {
    const keys = (await keysByServer(pool, 'off', 1)).flat()
    const talk = await pool.talk()
    talk.sendAll(
      ['CLIENT', 'REPLY', 'OFF'],
      ...keys.map(key => ['SET', key, 'done']),
      ['MGET', ...keys],
      ['PING'],
      ['NONSENSE'],
      ['KEYS', '*'],
      ['CLIENT', 'REPLY', 'ON'],
      ['MGET', ...keys],
    )
    expect(await talk.hear(2)).toEqual(['+OK\r\n', `*3\r\n${'$4\r\ndone\r\n'.repeat(3)}`])
  })

  test('SKIP silences the next reply only, also behind requests that are under way', async () => {
    const talk = await pool.talk()
    await talk.say('SET', 'skipped', '0')
    talk.sendAll(['GET', 'skipped'], ['CLIENT', 'REPLY', 'SKIP'], ['INCR', 'skipped'], ['GET', 'skipped'], ['PING'])
    expect(await talk.hear(3)).toEqual(['$1\r\n0\r\n', '$1\r\n1\r\n', '+PONG\r\n'])
  })

  test('a transaction cannot go unanswered: the connection ends, and says so in the log', async () => {
    const talk = await pool.talk()
    talk.sendAll(['CLIENT', 'REPLY', 'OFF'], ['MULTI'])
    expect(`${await talk.wire.untilClosed()}`).toBe('')
    expect(pool.proxy.log()).toContain('MULTI needs a reply')
  })

  test('RESET is answered, and turns it on', async () => {
    const talk = await pool.talk()
    talk.sendAll(['CLIENT', 'REPLY', 'OFF'], ['PING'], ['RESET'], ['PING'])
    expect(await talk.hear(2)).toEqual(['+RESET\r\n', '+PONG\r\n'])
  })
})

describe('INFO', () => {
  test('sums what servers count, and tells of the proxy and each of them', async () => {
    const talk = await pool.talk()
    await talk.say('FLUSHALL')
    for (let i = 0; i < 60; i++) talk.send('SET', `info${i}`, 'x')
    await talk.hear(60)
    const info = await talk.say('INFO')
    expect(info).toContain('# Keyspace\r\ndb0:keys=60,expires=0,avg_ttl=0\r\n')
    expect(info).toContain('redis_mode:standalone\r\n')
    expect(info).toMatch(/# Proxy\r\nproxy_pool:pool\r\nproxy_servers:3\r\nproxy_workers:2\r\n/)
    expect(info.match(/server\d:name=server\d,address=127\.0\.0\.1:\d+,state=up,.*keys=\d+/g)).toHaveLength(3)
    const each = await Promise.all(pool.servers.map(server => ask(server, ['INFO', 'stats'])))
    const commands = each.map(([reply]) => Number(/total_commands_processed:(\d+)/.exec(`${reply}`)![1]))
    const sum = Number(/total_commands_processed:(\d+)/.exec(info)![1])
    expect(sum).toBeGreaterThan(Math.max(...commands))
    expect(sum).toBeLessThanOrEqual(commands.reduce((total, count) => total + count))
  })

  test('has the sections that are asked for', async () => {
    const talk = await pool.talk()
    expect(await talk.say('INFO', 'keyspace')).toMatch(/^\$\d+\r\n# Keyspace\r\ndb0:[^#]+$/)
    expect(await talk.say('INFO', 'proxy')).toMatch(/^\$\d+\r\n# Proxy\r\n[^#]+# Servers\r\n[^#]+$/)
  })
})

describe('what needs no server', () => {
  test.each([
    [['PING', 'x'], '$1\r\nx\r\n'],
    [['PING', 'x', 'y'], "-ERR wrong number of arguments for 'ping' command\r\n"],
    [['ECHO', 'héllo'], '$6\r\nh\xc3\xa9llo\r\n'],
    [['SELECT', '0'], '+OK\r\n'],
    [['SELECT', '15'], '+OK\r\n'],
    [['SELECT', '16'], '-ERR DB index is out of range\r\n'],
    [['ROLE'], '*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n'],
    [['ACL', 'WHOAMI'], '$7\r\ndefault\r\n'],
    [['CLUSTER', 'INFO'], '-ERR This instance has cluster support disabled\r\n'],
    [['READONLY'], '-ERR This instance has cluster support disabled\r\n'],
    [['REPLICAOF', 'no', 'one'], "-ERR unsupported command 'replicaof'\r\n"],
    [['DEBUG', 'SLEEP', '1'], "-ERR unsupported command 'debug'\r\n"],
  ])('%s', async (request, reply) => {
    const talk = await pool.talk()
    const bytes = request.map(text => Buffer.from(text))
    expect(await talk.say(...bytes)).toBe(reply)
  })

  test('TIME is the clock’s', async () => {
    const talk = await pool.talk()
    const [, seconds, micros] = /^\*2\r\n\$\d+\r\n(\d+)\r\n\$\d+\r\n(\d+)\r\n$/.exec(await talk.say('TIME'))!
    expect(Math.abs(Number(seconds) - Date.now() / 1000)).toBeLessThan(5)
    expect(Number(micros)).toBeLessThan(1_000_000)
  })

  test('COMMAND is any server’s, without what the proxy denies', async () => {
    const talk = await pool.talk()
    const [list] = await ask(pool.servers[0]!, ['COMMAND', 'LIST'])
    const names = decode(list!) as string[]
    const denied = COMMANDS.filter(({ action }) => action === Action.deny).map(({ name }) => name.toLowerCase())
    const served = names.filter(name => !denied.includes(name.split('|', 1)[0]!))
    expect(served.length).toBeLessThan(names.length)
    // Each server has an order of its own.
    expect((decode(Buffer.from(await talk.say('COMMAND', 'LIST'))) as string[]).sort()).toEqual(served.sort())
    const count = served.filter(name => !name.includes('|')).length
    expect(await talk.say('COMMAND', 'COUNT')).toBe(`:${count}\r\n`)
    const [infos] = await ask(pool.servers[0]!, ['COMMAND', 'INFO', 'get', 'nosuch', 'nosuch'])
    expect(await talk.say('COMMAND', 'INFO', 'get', 'debug', 'nosuch')).toBe(`${infos}`)
    expect(await talk.say('COMMAND', 'GETKEYS', 'SET', 'k', 'v')).toBe('*1\r\n$1\r\nk\r\n')
  })
})

describe('real clients with their defaults', () => {
  test('ioredis, and with a name and a password', async () => {
    const client = new Redis({ port: pool.port, connectionName: 'mine' })
    expect(await client.set('ioredis', 'yes')).toBe('OK')
    expect(await client.get('ioredis')).toBe('yes')
    expect(await client.client('GETNAME')).toBe('mine')
    await client.quit()
    const closed = new Redis({ port: lockedPort, password: PASSWORD })
    expect(await closed.ping()).toBe('PONG')
    await closed.quit()
  })

  test('node-redis, and with a name and a password', async () => {
    const client = createClient({ socket: { port: pool.port }, name: 'mine' })
    await client.connect()
    expect(await client.set('node-redis', 'yes')).toBe('OK')
    expect(await client.get('node-redis')).toBe('yes')
    expect(await client.clientGetName()).toBe('mine')
    expect((await client.clientInfo()).name).toBe('mine')
    client.destroy()
    const closed = createClient({ socket: { port: lockedPort }, password: PASSWORD })
    await closed.connect()
    expect(await closed.ping()).toBe('PONG')
    closed.destroy()
  })

  test('telnet', async () => {
    const wire = await Wire.open({ port: pool.port })
    wire.send(Buffer.from('HELLO 3 SETNAME x\r\nCLIENT GETNAME\r\nECHO "a b"\r\n'))
    const replies = (await wire.redisReplies(3)).map(String)
    expect(replies.slice(1)).toEqual(['$1\r\nx\r\n', '$3\r\na b\r\n'])
    wire.destroy()
  })
})

test('a strict pool knows none of it', async () => {
  const strict = await startRedisPool({ strict: true })
  for (const request of [['HELLO', '3'], ['CLIENT', 'ID'], ['INFO'], ['KEYS', '*'], ['XLEN', 'a'], ['SELECT', '0']]) {
    const wire = await Wire.open({ port: strict.port })
    wire.send(encode(...request))
    expect(`${await wire.untilClosed()}`).toBe('')
  }
})

describe('before AUTH', () => {
  const AUTH = encode('AUTH', PASSWORD)

  test.each([
    ['ten arguments', Buffer.concat([encode('DEL', ...'abcdefghi'), encode('QUIT')])],
    ['eleven arguments', encode('DEL', ...'abcdefghij')],
    ['the promise of many', Buffer.from('*1000000\r\n')],
    ['the promise of too many for anybody', Buffer.from('*9999999999\r\n')],
    ['an argument of 16 KB', Buffer.concat([encode('ECHO', 'x'.repeat(16_384)), encode('QUIT')])],
    ['a byte more', encode('ECHO', 'x'.repeat(16_385))],
    ['the promise of 512 MB', Buffer.from('*2\r\n$4\r\nECHO\r\n$536870912\r\n')],
    ['the promise of more', Buffer.from('*2\r\n$4\r\nECHO\r\n$5368709120\r\n')],
    ['much behind AUTH in one packet', Buffer.concat([AUTH, encode('DEL', ...'abcdefghij'), encode('QUIT')])],
    ['much behind a wrong AUTH', Buffer.concat([encode('AUTH', 'default', 'wrong'), encode('DEL', ...'abcdefghij')])],
    ['much behind RESET', Buffer.concat([AUTH, encode('RESET'), encode('DEL', ...'abcdefghij')])],
  ])('%s is answered as by a server', async (_, bytes) => {
    const [proxied, direct] = await Promise.all(
      [lockedPort, lockedServer.port].map(async port => {
        const wire = await Wire.open({ port })
        wire.send(bytes)
        return (await wire.untilClosed()).toString()
      }),
    )
    // nutcracker's words, without the full stop.
    expect(proxied!.replaceAll('-NOAUTH Authentication required\r', '-NOAUTH Authentication required.\r')).toBe(direct)
  })
})
