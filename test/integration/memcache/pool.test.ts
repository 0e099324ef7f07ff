/** A memcached pool over several servers, some of them scripted: what one server alone could not show. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type FakeServer, type Script, startFakeServer } from '../../support/fakes/fake-server.ts'
import { stopAll } from '../../support/processes/child.ts'
import { freePort } from '../../support/processes/ports.ts'
import { poolYml, type RunningProxy, serverEntry, startProxy } from '../../support/processes/proxy.ts'
import { startMemcached, type TestServer } from '../../support/processes/servers.ts'
import { Random, runSeed } from '../../support/random.ts'
import { waitUntil } from '../../support/wait.ts'
import { Wire } from '../../support/wire/wire.ts'

const SERVERS = 3
/** Spreads a dozen keys over two servers. */
const SPREAD = { hash: 'crc32a', distribution: 'modula' }

/** `~` stands for CR LF. */
function bytes(text: string): Buffer {
  return Buffer.from(text.replaceAll('~', '\r\n'), 'latin1')
}

/** Sends the text; what has come back when it ends with `end` (both with `~`). */
async function ask(port: number, text: string, end = '~'): Promise<string> {
  const wire = await Wire.open({ port })
  try {
    wire.send(bytes(text))
    const tail = bytes(end).toString('latin1')
    return tilde(await wire.until(reply => wire.closed || reply.endsWith(tail), `${end} after ${text.slice(0, 60)}`))
  } finally {
    wire.destroy()
  }
}

function tilde(reply: Buffer): string {
  return reply.toString('latin1').replaceAll('\r\n', '~')
}

function startPool(
  ports: readonly number[],
  keys: Record<string, string | number | boolean> = {},
): Promise<RunningProxy> {
  const servers = ports.map((port, index) => `127.0.0.1:${port}:1 s${index}`)
  return startProxy({ kind: 'pistachio', yml: poolYml({ keys: { ...SPREAD, timeout: 5000, ...keys }, servers }) })
}

const fakes: FakeServer[] = []

async function fake(script: Script): Promise<FakeServer> {
  const server = await startFakeServer('memcache', script)
  fakes.push(server)
  return server
}

function say(text: string): ReturnType<Script> {
  return { do: 'reply', bytes: bytes(text) }
}

/** Words of a request's line. */
function words(request: Buffer): string[] {
  return request.toString('latin1').split('\r\n')[0]!.trim().split(/ +/)
}

afterEach(async () => {
  await Promise.all(fakes.splice(0).map(server => server.stop()))
})
afterAll(stopAll)

describe('over real servers', () => {
  let servers: TestServer[]
  let port: number

  beforeAll(async () => {
    servers = await Promise.all(Array.from({ length: SERVERS }, () => startMemcached()))
    const entries = servers.map((server, index) => serverEntry(server, `s${index}`))
    const proxy = await startProxy({ kind: 'pistachio', yml: poolYml({ keys: { timeout: 5000 }, servers: entries }) })
    port = proxy.ports[0]!
  })

  /** How many items each server has. */
  async function items(): Promise<number[]> {
    const counts = await Promise.all(servers.map(server => ask(server.port, 'stats~', 'END~')))
    return counts.map(text => Number(/STAT curr_items (\d+)/.exec(text)?.[1]))
  }

  test('mn is answered when every quiet command before it is done on every server', async () => {
    for (let round = 0; round < 20; round++) {
      const keys = Array.from({ length: 200 }, (_, i) => `barrier:${round}:${i}`)
      const sets = keys.map((key, i) => (i % 2 === 0 ? `ms ${key} 1 q~x~` : `set ${key} 0 0 1 noreply~x~`))
      expect(await ask(port, `${sets.join('')}mn~`, 'MN~')).toBe('MN~')
      const found = await Promise.all(servers.map(server => ask(server.port, `get ${keys.join(' ')}~`, 'END~')))
      expect(found.join('').match(/VALUE /g)?.length).toBe(keys.length)
    }
  })

  test('quiet gets tell the hits, in order, by opaque and by key', async () => {
    await ask(port, 'set quiet:3 0 0 1~x~')
    const gets = Array.from({ length: 6 }, (_, i) => `mg quiet:${i} v q k O${i}~`)
    expect(await ask(port, `${gets.join('')}mn~`, 'MN~')).toBe('VA 1 kquiet:3 O3~x~MN~')
  })

  test('flush_all reaches every server', async () => {
    const sets = Array.from({ length: 100 }, (_, i) => `set flush:${i} 0 0 1~x~`)
    await ask(port, `${sets.join('')}mn~`, 'MN~')
    expect((await items()).every(count => count > 0)).toBe(true)
    expect(await ask(port, 'flush_all~')).toBe('OK~')
    for (const server of servers) expect(await ask(server.port, 'get flush:1 flush:2~')).toBe('END~')
    expect(await ask(port, `get ${Array.from({ length: 100 }, (_, i) => `flush:${i}`).join(' ')}~`)).toBe('END~')
  })

  test('stats are the sum over the servers', async () => {
    const counts = async (): Promise<number> =>
      Number(/STAT cmd_touch (\d+)~/.exec(await ask(port, 'stats~', 'END~'))?.[1])
    const before = await counts()
    const touches = Array.from({ length: 50 }, (_, i) => `touch stats:${i} 0~`)
    await ask(port, `${touches.join('')}mn~`, 'MN~')
    expect((await counts()) - before).toBe(50)
    expect(await ask(port, 'stats settings~', 'END~')).toMatch(/STAT s0:maxbytes \d+~.*STAT s2:maxbytes \d+~/)
  })

  test('gat takes more keys than a line of memcached has room for', async () => {
    const keys = Array.from({ length: 1000 }, (_, i) => `gat:some-longer-name:${i}`)
    await ask(port, `${keys.map(key => `set ${key} 0 0 ${key.length}~${key}~`).join('')}mn~`, 'MN~')
    const reply = await ask(port, `gat 100 ${keys.join(' ')}~`, 'END~')
    expect(reply).toBe(`${keys.map(key => `VALUE ${key} 0 ${key.length}~${key}~`).join('')}END~`)
    expect(await ask(port, `mg ${keys[7]} t~`)).toMatch(/^HD t(9\d|100)~$/)
  })

  test('a binary key and its plain spelling are the same key', async () => {
    for (let i = 0; i < 20; i++) {
      const encoded = Buffer.from(`same:${i}`).toString('base64')
      expect(await ask(port, `ms ${encoded} 2 b~hi~`)).toBe('HD~')
      expect(await ask(port, `get same:${i}~`, 'END~')).toBe(`VALUE same:${i} 0 2~hi~END~`)
    }
  })

  test('large values pass, also without a reply and in a list', async () => {
    const random = new Random(runSeed())
    const wire = await Wire.open({ port })
    const values = [100, 300_000, 20_000_000].map(length => random.bytes(length))
    for (const [i, value] of values.entries()) {
      wire.send(bytes(`set large:${i} ${i} 0 ${value.length}${i === 1 ? '' : ' noreply'}~`))
      wire.send(Buffer.concat([value, bytes('~')]))
    }
    expect(tilde(await wire.take(8))).toBe('STORED~')
    wire.send(bytes('get large:0 large:1 large:2~'))
    for (const [i, value] of values.entries()) {
      const head = bytes(`VALUE large:${i} ${i} ${value.length}~`)
      expect((await wire.take(head.length)).equals(head)).toBe(true)
      expect((await wire.take(value.length, 30_000)).equals(value), `seed ${random.seed}`).toBe(true)
      expect(tilde(await wire.take(2))).toBe('~')
    }
    expect(tilde(await wire.take(5))).toBe('END~')
    wire.destroy()
  })

  test('what a server says of a value that is too large for it is the reply, or swallowed after noreply', async () => {
    const small = await startMemcached({ args: ['-I', '1m'] })
    const proxy = await startPool([small.port])
    const value = 'x'.repeat(2_000_000)
    expect(await ask(proxy.ports[0]!, `set k 0 0 ${value.length} noreply~${value}~get k~`)).toBe('END~')
    const refused = 'SERVER_ERROR object too large for cache~END~'
    expect(await ask(proxy.ports[0]!, `set k 0 0 ${value.length}~${value}~get k~`, 'END~')).toBe(refused)
  })
})

describe('values belong to their keys', () => {
  const keys = Array.from({ length: 12 }, (_, i) => `key${i}`)
  const blockOf = (key: string): string => `VALUE ${key} 0 ${key.length}~${key}~`
  const list = `get ${keys.join(' ')}~`

  test('reordered and missing values stay with their keys', async () => {
    const backwards: Script = request => {
      const asked = words(request).slice(1)
      return say(
        `${asked
          .filter(key => key !== 'key3')
          .reverse()
          .map(blockOf)
          .join('')}END~`,
      )
    }
    const servers = [await fake(backwards), await fake(backwards)]
    const proxy = await startPool(servers.map(server => server.port))
    const reply = await ask(proxy.ports[0]!, list, 'END~')
    expect(servers.every(server => server.requests.length === 1)).toBe(true)
    expect(reply.match(/VALUE key\d+ 0 \d+~key\d+~/g)?.sort()).toEqual(
      keys
        .filter(key => key !== 'key3')
        .map(blockOf)
        .sort(),
    )
  })

  test('a value that was not asked for breaks its server connection and reaches nobody', async () => {
    const honest: Script = request => say(`${words(request).slice(1).map(blockOf).join('')}END~`)
    const servers = [await fake(honest), await fake(() => say(`${blockOf('secret')}END~`))]
    const proxy = await startPool(servers.map(server => server.port))
    const reply = await ask(proxy.ports[0]!, list, 'END~')
    expect(reply).not.toContain('secret')
    const honestKeys = words(servers[0]!.requests[0]!).slice(1)
    expect(reply).toBe(
      `${keys
        .filter(key => honestKeys.includes(key))
        .map(blockOf)
        .join('')}END~`,
    )
  })

  test('a list in which a server fails has the values of the others', async () => {
    const server = await fake(request => say(`${words(request).slice(1).map(blockOf).join('')}END~`))
    const proxy = await startPool([server.port, await freePort()])
    const reply = await ask(proxy.ports[0]!, `${list}version~`, 'END~')
    const found = words(server.requests[0]!).slice(1)
    expect(found.length).toBeGreaterThan(0)
    expect(reply.startsWith(`${found.map(blockOf).join('')}END~`)).toBe(true)
  })

  test('in a strict pool one failed server fails the list and closes the client', async () => {
    const server = await fake(request => say(`${words(request).slice(1).map(blockOf).join('')}END~`))
    const proxy = await startPool([server.port, await freePort()], { strict: true })
    const wire = await Wire.open({ port: proxy.ports[0]! })
    wire.send(bytes(list))
    expect(tilde(await wire.untilClosed())).toBe('SERVER_ERROR Connection refused~')
    wire.destroy()
  })

  test('a list of which every server fails is an error, and the client stays', async () => {
    const proxy = await startPool([await freePort(), await freePort()])
    const refused = 'SERVER_ERROR Connection refused~'
    expect(await ask(proxy.ports[0]!, `${list}get key1~mn~`, 'MN~')).toBe(`${refused}${refused}MN~`)
  })
})

describe('one request, one reply', () => {
  test('a request without a reply is sent as one with a reply, which is dropped', async () => {
    const server = await fake(request => say(words(request)[0] === 'get' ? 'VALUE k 0 1~x~END~' : 'ERROR~'))
    const proxy = await startPool([server.port])
    const sent = 'delete k noreply~incr k 1 noreply~touch k 1 noreply~get k~'
    expect(await ask(proxy.ports[0]!, sent, 'END~')).toBe('VALUE k 0 1~x~END~')
    expect(server.requests.map(request => tilde(request))).toEqual(['delete k~', 'incr k 1~', 'touch k 1~', 'get k~'])
  })

  test('a second answer to a storage command is never paired with the next request', async () => {
    let stored = 0
    const server = await fake(request => {
      if (words(request)[0] !== 'set') return say('VALUE k 0 1~x~END~')
      // A server that does not know the command takes its data for another one.
      return say(stored++ === 0 ? 'ERROR~ERROR~' : 'STORED~')
    })
    const proxy = await startPool([server.port])
    const wire = await Wire.open({ port: proxy.ports[0]! })
    wire.send(bytes('set k 0 0 1~x~get k~'))
    expect(tilde(await wire.until(text => text.split('\r\n').length > 2, 'two replies'))).toBe(
      'SERVER_ERROR Invalid argument~SERVER_ERROR Invalid argument~',
    )
    wire.send(bytes('get k~'))
    expect(tilde(await wire.until(text => text.endsWith('END\r\n'), 'END'))).toBe('VALUE k 0 1~x~END~')
    wire.destroy()
  })

  test('a failure says nothing to a request without a reply', async () => {
    const proxy = await startPool([await freePort()])
    const sent = 'set k 0 0 1 noreply~x~flush_all noreply~get k~mn~'
    expect(await ask(proxy.ports[0]!, sent, 'MN~')).toBe('SERVER_ERROR Connection refused~MN~')
  })

  test('a timeout says nothing to a request without a reply, and mn waits for it', async () => {
    const proxy = await startPool([(await fake(() => ({ do: 'stall' }))).port], { timeout: 200 })
    const begun = performance.now()
    expect(await ask(proxy.ports[0]!, 'set k 0 0 1 noreply~x~ms k 1 q~x~mn~', 'MN~')).toBe(
      'SERVER_ERROR Connection timed out~MN~',
    )
    expect(performance.now() - begun).toBeGreaterThanOrEqual(180)
  })

  test('refused requests are answered in their turn among forwarded ones', async () => {
    const server = await fake(() => say('VALUE k 0 1~x~END~'))
    const proxy = await startPool([server.port])
    const sent = 'get k~foo~get k~incr k~set k 0 x 1~y~get k~mn~'
    const value = 'VALUE k 0 1~x~END~'
    expect(await ask(proxy.ports[0]!, sent, 'MN~')).toBe(
      `${value}ERROR~${value}ERROR~CLIENT_ERROR bad command line format~${value}MN~`,
    )
  })

  test('flush_all is not OK while a server has not flushed', async () => {
    const server = await fake(() => say('OK~'))
    const proxy = await startPool([server.port, await freePort()])
    expect(await ask(proxy.ports[0]!, 'flush_all~mn~', 'MN~')).toBe('SERVER_ERROR Connection refused~MN~')
  })

  test('stats leave out a server that is down', async () => {
    const server = await fake(() => say('STAT curr_items 3~END~'))
    const proxy = await startPool([server.port, server.port, await freePort()])
    expect(await ask(proxy.ports[0]!, 'stats~', 'END~')).toBe('STAT curr_items 6~END~')
  })
})

describe('gets of one moment share a line', () => {
  const block = (key: string): string => `VALUE ${key} 0 ${key.length}~${key}~`
  const answer = (keys: readonly string[]): string => `${keys.map(block).join('')}END~`

  test('each has its own value or none, and what stands between them keeps its place', async () => {
    const server = await fake(request => {
      const [command, ...keys] = words(request)
      return say(
        command === 'get' ? answer(keys.filter(key => key !== 'none')) : command === 'gets' ? 'END~' : 'DELETED~',
      )
    })
    const proxy = await startPool([server.port])
    const sent = 'get a~get none~get b c~get a~delete x~get d~gets e~mn~'
    const got = `${answer(['a'])}END~${answer(['b', 'c'])}${answer(['a'])}DELETED~${answer(['d'])}END~MN~`
    expect(await ask(proxy.ports[0]!, sent, 'MN~')).toBe(got)
    expect(server.requests.map(request => words(request).join(' '))).toEqual([
      'get a none b c a',
      'delete x',
      'get d',
      'gets e',
    ])
  })

  test('a server may answer a key once for all who asked, and in any order', async () => {
    const server = await fake(request => say(answer([...new Set(words(request).slice(1))].reverse())))
    const proxy = await startPool([server.port])
    const sent = ['a', 'b', 'a', 'c', 'b', 'a'].map(key => `get ${key}~`).join('')
    const reply = await ask(proxy.ports[0]!, `${sent}mn~`, 'MN~')
    for (const [i, part] of reply.split('END~').slice(0, -1).entries())
      expect(['', block('abacba'[i]!)]).toContain(part)
    const once = await fake(request => say(answer([...new Set(words(request).slice(1))])))
    const other = await startPool([once.port])
    expect(await ask(other.ports[0]!, `${sent}mn~`, 'MN~')).toBe(
      `${['a', 'b', 'a', 'c', 'b', 'a'].map(key => answer([key])).join('')}MN~`,
    )
  })

  test('an error of the server is the answer to each', async () => {
    const server = await fake(() => say('SERVER_ERROR out of memory writing get response~'))
    const proxy = await startPool([server.port])
    const error = 'SERVER_ERROR out of memory writing get response~'
    expect(await ask(proxy.ports[0]!, 'get a~get b~get c~mn~', 'MN~')).toBe(`${error.repeat(3)}MN~`)
    expect(server.requests.length).toBe(1)
  })

  test('a value that nobody asked for breaks the connection', async () => {
    const server = await fake(request => say(`${block(words(request)[1]!)}${block('secret')}END~`))
    const proxy = await startPool([server.port])
    const error = 'SERVER_ERROR Invalid argument~'
    expect(await ask(proxy.ports[0]!, 'get a~get b~mn~', 'MN~')).toBe(`${error.repeat(2)}MN~`)
  })

  test('a strict pool sends each as it came', async () => {
    const server = await fake(request => say(answer(words(request).slice(1))))
    const proxy = await startPool([server.port], { strict: true })
    const reply = await ask(proxy.ports[0]!, 'get a~get  b ~', answer(['b']))
    expect(reply).toBe(`${answer(['a'])}${answer(['b'])}`)
    expect(server.requests.map(tilde)).toEqual(['get a~', 'get  b ~'])
  })

  test('every reader gets the value of its key, from many connections, with values of all sizes', async () => {
    const servers = await Promise.all([startMemcached(), startMemcached()])
    const proxy = await startPool(servers.map(server => server.port))
    const random = new Random(runSeed())
    const sizes = [0, 1, 2, 5, 30, 300, 3000, 30_000]
    const values = new Map(
      Array.from({ length: 64 }, (_, i) => [`k${i}`, String.fromCharCode(65 + (i % 26)).repeat(sizes[i % 8]!)]),
    )
    for (const [key, value] of values) await ask(proxy.ports[0]!, `set ${key} 0 0 ${value.length}~${value}~`)
    const names = [...values.keys(), 'none1', 'none2']
    const held = (key: string): string => {
      const value = values.get(key)
      return value === undefined ? '' : `VALUE ${key} 0 ${value.length}~${value}~`
    }
    await Promise.all(
      Array.from({ length: 20 }, async (_, connection) => {
        const own = random.fork(connection)
        const wire = await Wire.open({ port: proxy.ports[0]! })
        for (let round = 0; round < 30; round++) {
          const asked = Array.from({ length: own.between(1, 40) }, () => {
            return Array.from({ length: own.chance(0.8) ? 1 : own.between(2, 6) }, () => own.pick(names))
          })
          const request = bytes(asked.map(keys => `get ${keys.join(' ')}~`).join(''))
          await wire.sendCut(request, own.cuts(request.length, 3))
          const replies = await wire.memcacheReplies(asked.length)
          for (const [i, keys] of asked.entries()) {
            // Over several servers the values of a list with misses come in another order than its keys.
            const got = tilde(replies[i]!)
              .split(/(?=VALUE )|(?=END~$)/)
              .sort()
            expect(got, `seed ${random.seed}`).toEqual([...keys.map(held).filter(text => text !== ''), 'END~'].sort())
          }
        }
        wire.destroy()
      }),
    )
  })
})

describe('other protocols', () => {
  /** Of `get k` in the binary protocol: opcode 0, opaque 0x01020304. */
  const BINARY_GET = Buffer.from('80000001000000000000000101020304000000000000000' + '06b', 'hex')

  test('a request of the binary protocol has a binary error, and is logged and closed', async () => {
    const proxy = await startPool([await freePort()])
    const wire = await Wire.open({ port: proxy.ports[0]! })
    wire.send(BINARY_GET)
    const reply = await wire.untilClosed()
    expect(reply.toString('hex', 0, 8)).toBe('8100000000000081')
    expect(reply.readUInt32BE(8)).toBe(reply.length - 24)
    expect(reply.toString('hex', 12, 24)).toBe('010203040000000000000000')
    expect(reply.toString('latin1', 24)).toMatch(/binary protocol/)
    await waitUntil(() => proxy.log().includes('speaks the binary protocol'), 'a log line')
    wire.destroy()
  })

  test('a part of a binary header is answered and closed at once', async () => {
    const proxy = await startPool([await freePort()])
    const wire = await Wire.open({ port: proxy.ports[0]! })
    wire.send(BINARY_GET.subarray(0, 4))
    expect((await wire.untilClosed()).toString('hex', 0, 16)).toBe('81000000000000810000004500000000')
  })

  test('TLS is logged and closed', async () => {
    const proxy = await startPool([await freePort()])
    const wire = await Wire.open({ port: proxy.ports[0]! })
    wire.send(bytes('\x16\x03\x01\x02\x00\x01'))
    expect(tilde(await wire.untilClosed())).toBe('')
    await waitUntil(() => proxy.log().includes('it speaks TLS'), 'a log line')
    wire.destroy()
  })

  test.each(['POST', 'GET', 'PUT', 'OPTIONS', 'BREW'])(
    'HTTP by %s is closed, and its body is not executed',
    async method => {
      const server = await startMemcached()
      const proxy = await startPool([server.port])
      const wire = await Wire.open({ port: proxy.ports[0]! })
      wire.send(bytes(`set before 0 0 1~x~${method} / HTTP/1.1~Host: x~~set p 0 0 1~x~`))
      expect(tilde(await wire.untilClosed())).toBe('STORED~')
      expect(await ask(server.port, 'get p~', 'END~')).toBe('END~')
      await waitUntil(() => proxy.log().includes('it speaks HTTP'), 'a log line')
      wire.destroy()
    },
  )
})

describe('a pool of one server', () => {
  test('has the plain names of statistics and settings', async () => {
    const server = await startMemcached()
    const proxy = await startPool([server.port])
    const port = proxy.ports[0]!
    for (const what of ['settings', 'conns', 'items', 'slabs']) {
      const names = (reply: string): string => reply.replace(/(STAT \S+)[^~]*/g, '$1').replace(/STAT \d+:[^~]*~/g, '')
      const direct = names(await ask(server.port, `stats ${what}~`, 'END~'))
      expect(names(await ask(port, `stats ${what}~`, 'END~'))).toBe(direct)
    }
    expect(await ask(port, 'stats settings~', 'END~')).toMatch(/^STAT maxbytes \d+~/)
    expect(await ask(port, 'stats nonsense~')).toMatch(/^(RESET|ERROR|END)/)
  })
})

describe('without some servers', () => {
  test('any live server answers version', async () => {
    const servers = await Promise.all([startMemcached(), startMemcached()])
    const proxy = await startPool(servers.map(server => server.port))
    const port = proxy.ports[0]!
    const version = await ask(port, 'version~')
    expect(version).toMatch(/^VERSION /)
    for (const server of servers) {
      await server.child.stop('SIGKILL')
      const wire = await Wire.open({ port })
      wire.send(bytes('version~mn~version~'))
      const isLast = server === servers.at(-1)
      const failed = 'SERVER_ERROR Connection refused~'
      const expected = isLast ? `${failed}MN~${failed}` : `${version}MN~${version}`
      expect(
        tilde(await wire.until(text => text.replaceAll('\r\n', '~').length >= expected.length, 'the replies')),
      ).toBe(expected)
      wire.destroy()
    }
  })
})
