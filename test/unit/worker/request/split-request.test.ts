import { afterEach, describe, expect, test } from 'vitest'
import { WorkerMemory } from '../../../../src/worker/memory/worker-memory.ts'
import { Failure } from '../../../../src/worker/request/failure.ts'
import { MessagePool } from '../../../../src/worker/request/message.ts'
import type { ReplyTarget } from '../../../../src/worker/request/reply-target.ts'
import { NO_FAILURE, SplitRequest } from '../../../../src/worker/request/split-request.ts'
import { Random, runSeed } from '../../../support/random.ts'
import { waitUntil } from '../../../support/wait.ts'
import { encode } from '../../../support/wire/resp.ts'
import type { Wire } from '../../../support/wire/wire.ts'
import { Harness, type HarnessOptions } from '../../../support/worker/harness.ts'
import { answerWithKey, bulk, silent } from '../../../support/worker/scripted-server.ts'
import { AT_REST, WatchedMemory } from '../../../support/worker/watched-memory.ts'

describe('SplitRequest', () => {
  const messages = new MessagePool(new WorkerMemory())
  const joiner = { partial: false, closesWhenStrict: false, accept: () => true, write: () => {} }
  const pool = { row: new Float64Array(100), statBase: 0 }
  const client = { messages, pool, push: () => {} } as unknown as ReplyTarget

  test.each([
    ['none', [], NO_FAILURE],
    ['one', [Failure.reset], Failure.reset],
    ['the first known one decides', [Failure.refused, Failure.timedOut], Failure.refused],
    ['an unknown one gives way', [Failure.closed, Failure.timedOut, Failure.reset], Failure.timedOut],
    ['unknown only', [Failure.closed, Failure.closed], Failure.closed],
  ])('failures: %s', (_, failures, decides) => {
    const split = new SplitRequest(client, joiner)
    for (const failure of failures) split.fail(failure)
    expect(split.failure).toBe(decides)
    expect(split.failed).toBe(failures.length > 0)
    expect(split.failedFragments).toBe(failures.length)
  })

  test('gives back fragments that no connection has; the others are free to go when their reply comes', () => {
    const watched = new WatchedMemory(messages.memory)
    const before = messages.outstanding
    const split = new SplitRequest(client, joiner)
    const fragments = [0, 1, 2].map(() => split.addFragment())
    expect(fragments.map(({ split: of, fragmentIndex }) => [of, fragmentIndex])).toEqual([0, 1, 2].map(i => [split, i]))
    fragments[1]!.queued = true
    split.release()
    split.release()
    expect(messages.outstanding - before).toBe(2)
    expect(fragments[1]!.split).toBe(null)
    expect(watched.balance().faults).toEqual([])
  })
})

describe('requests over several servers', () => {
  let harness: Harness

  async function start(options?: HarnessOptions): Promise<Wire> {
    harness = await Harness.start({ servers: 3, ...options })
    return harness.wire()
  }

  afterEach(() => harness.stop())

  async function texts(wire: Wire, count: number): Promise<string[]> {
    return (await wire.redisReplies(count)).map(reply => reply.toString('latin1'))
  }

  test('each server gets its keys in order, doubles included, and the values come back in theirs', async () => {
    const wire = await start()
    const keys = [2, 0, 1, 0, 2, 2].map((server, i) => harness.keyFor(server, i))
    keys.push(keys[0]!)
    wire.send(encode('mGeT', ...keys))
    expect(await texts(wire, 1)).toEqual([`*7\r\n${keys.map(key => bulk(`value-of-${key}`)).join('')}`])
    expect(harness.servers.map(server => server.requests)).toEqual([
      [['mget', keys[1], keys[3]]],
      [['mget', keys[2]]],
      [['mget', keys[0], keys[4], keys[5], keys[6]]],
    ])
    expect(harness.poolStat('fragments')).toBe(3)
  })

  test('pairs stay together', async () => {
    const wire = await start()
    const keys = [1, 0, 1].map((server, i) => harness.keyFor(server, i))
    wire.send(encode('MSET', ...keys.flatMap((key, i) => [key, `v${i}`])))
    expect(await texts(wire, 1)).toEqual(['+OK\r\n'])
    expect(harness.servers[0]!.requests).toEqual([['mset', keys[1], 'v1']])
    expect(harness.servers[1]!.requests).toEqual([['mset', keys[0], 'v0', keys[2], 'v2']])
  })

  test.each([':1\r\n:2\r\n:3\r\n', ':-1\r\n:2\r\n:3\r\n'])(
    'integers are summed, signs passed over: %j',
    async replies => {
      const [a, b, c] = replies.split(/(?<=\n)/)
      const wire = await start({
        answer: request =>
          [a, b, c][harness.servers.findIndex(server => server.requests.includes(request as string[]))]!,
      })
      wire.send(encode('DEL', ...[0, 1, 2].map(server => harness.keyFor(server))))
      expect(await texts(wire, 1)).toEqual([':6\r\n'])
    },
  )

  test('a sum of more than 31 bits is shown as nutcracker shows it', async () => {
    const wire = await start({ answer: () => ':1073741824\r\n' })
    wire.send(encode('DEL', ...[0, 1].map(server => harness.keyFor(server))))
    expect(await texts(wire, 1)).toEqual([':-2147483648\r\n'])
  })

  test('values of all sizes, binary and empty, nulls', async () => {
    const random = new Random(runSeed())
    const values = new Map<string, string>()
    const wire = await start({
      answer: ([name, ...keys]) =>
        name!.toLowerCase() === 'mget'
          ? Buffer.from(
              `*${keys.length}\r\n${keys.map(key => (values.has(key) ? bulk(values.get(key)!) : '$-1\r\n')).join('')}`,
              'latin1',
            )
          : null,
    })
    for (let round = 0; round < 40; round++) {
      const keys = Array.from({ length: random.between(2, 30) }, (_, i) =>
        harness.keyFor(random.below(3), `${round}-${i}`),
      )
      for (const key of keys) {
        const bytes = random.pick([0, 1, 10, 100, 1000, 20_000, 300_000])
        if (random.chance(0.9)) values.set(key, random.bytes(bytes).toString('latin1'))
      }
      wire.send(encode('MGET', ...keys))
      const expected = `*${keys.length}\r\n${keys.map(key => (values.has(key) ? bulk(values.get(key)!) : '$-1\r\n')).join('')}`
      const [reply] = await texts(wire, 1)
      if (reply !== expected) expect(reply).toBe(expected)
      values.clear()
    }
  })

  test('replies that are kept count as held, and their size is learnt', async () => {
    const wire = await start({ answer: silent })
    wire.send(encode('MGET', harness.keyFor(0), harness.keyFor(1)))
    await harness.servers[0]!.received(1)
    await harness.servers[1]!.received(1)
    const reply = `*1\r\n${bulk('x'.repeat(100_000))}`
    harness.servers[0]!.peer.send(reply)
    await waitUntil(() => harness.client.heldBytes > 0, 'a reply to be held')
    expect(harness.client.heldBytes).toBe(reply.length)
    const { client } = harness
    harness.servers[1]!.peer.send('*1\r\n$-1\r\n')
    await wire.redisReplies(1)
    expect(client.heldBytes).toBe(0)
    expect(client.window.meanReplyBytes).toBeGreaterThan(40_000)
  })

  test.each([
    ['too few values', '*1\r\n$1\r\na\r\n'],
    ['too many values', '*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n'],
    ['no values', '*0\r\n'],
    ['null', '*-1\r\n'],
    ['another type', ':2\r\n'],
  ])('MGET, a server answers with %s: the request fails, and nothing of others leaks', async (_, reply) => {
    const wire = await start({ answer: request => (request.length === 3 ? reply : answerWithKey(request)) })
    wire.send(encode('MGET', harness.keyFor(0, 'a'), harness.keyFor(1), harness.keyFor(0, 'b')))
    wire.send(encode('PING'))
    expect(await texts(wire, 2)).toEqual(['-ERR Invalid argument\r\n', '+PONG\r\n'])
  })

  test('MGET, a server answers with nested values: they stay whole', async () => {
    const value = '*3\r\n:1\r\n*2\r\n$1\r\nx\r\n*-1\r\n$-1\r\n'
    const wire = await start({ answer: request => `*${request.length - 1}\r\n${value.repeat(request.length - 1)}` })
    wire.send(
      Buffer.concat([encode('MGET', ...[0, 1, 0].map((server, i) => harness.keyFor(server, i))), encode('PING')]),
    )
    expect(await texts(wire, 2)).toEqual([`*3\r\n${value.repeat(3)}`, '+PONG\r\n'])
  })

  test.each([
    ['DEL', '$5\r\nhello\r\n', '-ERR Invalid argument\r\n'],
    ['MSET', ':1\r\n', '-ERR Invalid argument\r\n'],
    ['DEL', '-READONLY no\r\n', '-READONLY no\r\n'],
    ['MSET', '-NOAUTH no\r\n', '-NOAUTH no\r\n'],
    ['MGET', '-ERR no\r\n', '-ERR no\r\n'],
  ])('%s, a server answers %j: the client gets %j', async (name, reply, error) => {
    const wire = await start({ answer: () => reply })
    const keys = [harness.keyFor(0), harness.keyFor(1)]
    wire.send(encode(name, ...(name === 'MSET' ? keys.flatMap(key => [key, 'v']) : keys)))
    expect(await texts(wire, 1)).toEqual([error])
  })

  test('a client that leaves while some fragments are answered and others not', async () => {
    const wire = await start({ answer: silent })
    const keys = [0, 1, 2].map(server => harness.keyFor(server))
    wire.send(Buffer.concat([encode('MGET', ...keys), encode('DEL', ...keys)]))
    for (const server of harness.servers) await server.received(2)
    harness.servers[1]!.peer.send(`*1\r\n${bulk('x'.repeat(50_000))}`)
    await waitUntil(() => harness.client.heldBytes > 0, 'a reply to be held')
    wire.reset()
    await waitUntil(() => harness.clients.members.size === 0, 'the client to be gone')
    harness.servers[0]!.peer.send('*1\r\n$-1\r\n:1\r\n')
    harness.servers[2]!.peer.socket.resetAndDestroy()
    await waitUntil(() => harness.memory.balance().messages === 4, 'MGET and its fragments to be settled')
    harness.servers[1]!.peer.send(':1\r\n')
    await harness.expectAtRest()
    expect(harness.memory.balance()).toEqual(AT_REST)
  })

  test('all servers of a request refuse it at once', async () => {
    const wire = await start({ pool: { autoEjectHosts: true, ejectKeepRing: true } })
    const keys = [0, 1].map(server => harness.keyFor(server))
    const { layout, shared } = harness.pool
    for (const server of [0, 1]) layout.health(shared, 0, server)[0] = 1
    wire.send(
      Buffer.concat([
        encode('PING'),
        encode('MGET', ...keys),
        encode('GET', keys[0]!),
        encode('DEL', ...keys),
        encode('PING'),
      ]),
    )
    const refused = '-ERR Connection refused\r\n'
    expect(await texts(wire, 5)).toEqual(['+PONG\r\n', refused, refused, refused, '+PONG\r\n'])
    for (const server of [0, 1]) layout.health(shared, 0, server)[0] = 0
  })

  test('HELLO is answered also where every server refuses its fragment at once', async () => {
    const wire = await start({ pool: { autoEjectHosts: true, ejectKeepRing: true } })
    const { layout, shared } = harness.pool
    for (const server of [0, 1, 2]) layout.health(shared, 0, server)[0] = 1
    wire.send(Buffer.concat([encode('HELLO', '2'), encode('PING')]))
    const [hello, pong] = await texts(wire, 2)
    expect(hello).toContain('$7\r\nversion\r\n$5\r\n7.0.0\r\n')
    expect(pong).toBe('+PONG\r\n')
    for (const server of [0, 1, 2]) layout.health(shared, 0, server)[0] = 0
  })

  test('each server that a SCAN goes on to is a fragment', async () => {
    const page = '*2\r\n$1\r\n0\r\n*0\r\n'
    const wire = await start({ answer: () => page })
    wire.send(encode('SCAN', '0'))
    expect(await texts(wire, 1)).toEqual([page])
    expect(harness.servers.map(server => server.requests)).toEqual([0, 1, 2].map(() => [['SCAN', '0']]))
    expect(harness.poolStat('fragments')).toBe(3)
  })

  test('twenty thousand keys in one request', async () => {
    const wire = await start()
    const keys = Array.from({ length: 20_000 }, (_, i) => `key:${i}`)
    wire.send(Buffer.concat([encode('MGET', ...keys), encode('DEL', ...keys)]))
    expect(await texts(wire, 2)).toEqual([
      `*20000\r\n${keys.map(key => bulk(`value-of-${key}`)).join('')}`,
      ':20000\r\n',
    ])
  })
})
