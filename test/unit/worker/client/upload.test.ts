import { afterEach, describe, expect, test, vi } from 'vitest'
import { retireClient } from '../../../../src/worker/client/client-ending.ts'
import { waitUntil } from '../../../support/wait.ts'
import { encode } from '../../../support/wire/resp.ts'
import type { Wire } from '../../../support/wire/wire.ts'
import { Harness, type HarnessOptions } from '../../../support/worker/harness.ts'
import { answerWithKey, bulk, silent } from '../../../support/worker/scripted-server.ts'

/** The kernel takes so much less of each write of a body than it is given, when the test says so. */
let withheldBytes = 0

vi.mock('node:fs', async real => {
  const fs = await real<typeof import('node:fs')>()
  const writeSync = (fd: number, buf: Uint8Array, offset: number, length: number): number =>
    fs.writeSync(fd, buf, offset, Math.min(length, Math.max(1, length - withheldBytes)))
  return { ...fs, writeSync }
})

/** As `server.ts` has it. */
const MAX_BULK_CONNECTIONS = 32

let harness: Harness

async function start(options?: HarnessOptions): Promise<void> {
  harness = await Harness.start(options)
}

afterEach(() => {
  withheldBytes = 0
  return harness.stop()
})

async function texts(wire: Wire, count: number): Promise<string[]> {
  return (await wire.redisReplies(count)).map(reply => reply.toString('latin1'))
}

function answerLength(request: readonly string[]): string {
  return request[0] === 'SET' ? `:${request[2]!.length}\r\n` : answerWithKey(request)
}

/** A SET of `bytes`, and where its value begins. */
function largeSet(key: string, bytes: number): { request: Buffer; bodyAt: number } {
  const request = encode('SET', key, Buffer.alloc(bytes, key))
  return { request, bodyAt: request.length - bytes - 2 }
}

/** Sends the beginning of a large SET, and waits until it is passing through. */
async function begin(wire: Wire, request: Buffer, bytes: number): Promise<void> {
  const before = harness.server.peers.length
  wire.send(request.subarray(0, bytes))
  await waitUntil(() => harness.server.peers.length > before, 'the connection of the upload')
  await waitUntil(() => harness.server.peer.receivedBytes > bytes / 2, 'the upload to be on its way')
}

test.each([1, 1000, 65_535, 65_536, 65_537, 1_000_000])('pieces of %i bytes arrive as one request', async size => {
  await start({ answer: answerLength })
  const wire = await harness.wire()
  const bytes = 500_000
  const { request, bodyAt } = largeSet('k', bytes)
  const stream = Buffer.concat([encode('GET', 'a'), request, encode('GET', 'b'), encode('PING')])
  const edges =
    size > 1 ? [] : [...Array(60).keys()].map(i => i + 1).concat([...Array(60).keys()].map(i => bodyAt + bytes + i))
  const cuts = size > 1 ? Array.from({ length: Math.ceil(stream.length / size) - 1 }, (_, i) => (i + 1) * size) : edges
  await wire.sendCut(stream, cuts)
  expect(await texts(wire, 4)).toEqual([bulk('value-of-a'), `:${bytes}\r\n`, bulk('value-of-b'), '+PONG\r\n'])
  const [set] = harness.server.requests.filter(([name]) => name === 'SET')
  expect(set![2]).toBe('k'.repeat(bytes))
  expect(harness.serverStat(0, 'request_bytes')).toBe(request.length + 2 * encode('GET', 'a').length)
})

test('it goes over a connection of its own: others are not held up by a slow sender', async () => {
  await start({ answer: answerLength })
  const slow = await harness.wire()
  const other = await harness.wire()
  const { request } = largeSet('s', 1_000_000)
  await begin(slow, request, 600_000)
  other.send(encode('GET', 'a'))
  expect(await texts(other, 1)).toEqual([bulk('value-of-a')])
  slow.send(request.subarray(600_000))
  expect(await texts(slow, 1)).toEqual([':1000000\r\n'])
  expect(harness.server.peers.length).toBe(2)
})

test.each([1, 1_000, 40_000, 200_000])('the kernel takes all of a piece but its last %i bytes', async bytes => {
  withheldBytes = bytes
  await start({ answer: answerLength })
  const wire = await harness.wire()
  for (const key of ['a', 'b', 'c']) wire.send(largeSet(key, 3_000_000).request)
  expect(await texts(wire, 3)).toEqual(Array(3).fill(':3000000\r\n'))
})

test('several large values in one request, and one behind the other', async () => {
  await start({ answer: request => `:${request.reduce((sum, arg) => sum + arg.length, 0)}\r\n` })
  const wire = await harness.wire()
  const value = Buffer.alloc(700_000, 'v')
  const requests = [
    encode('RPUSH', 'k', value, value, 'x', value),
    encode('RPUSH', 'k', value),
    encode('RPUSH', 'k', 'y'),
  ]
  wire.send(Buffer.concat(requests))
  expect(await texts(wire, 3)).toEqual([':2100007\r\n', ':700006\r\n', ':7\r\n'])
})

test('a request that must be whole first is gathered: MSET, DEL', async () => {
  await start({ servers: 2, answer: request => (request[0] === 'mset' ? '+OK\r\n' : answerWithKey(request)) })
  const wire = await harness.wire()
  const [a, b] = [harness.keyFor(0), harness.keyFor(1)]
  const value = 'v'.repeat(3_000_000)
  wire.send(Buffer.concat([encode('MSET', a, value, b, value), encode('GET', a)]))
  expect(await texts(wire, 2)).toEqual(['+OK\r\n', bulk(`value-of-${a}`)])
  for (const [i, key] of [a, b].entries()) expect(harness.servers[i]!.requests[0]).toEqual(['mset', key, value])
})

test('a client that writes everything before it reads anything', async () => {
  await start({ answer: request => (request[0] === 'GET' ? bulk('g'.repeat(8_000)) : answerLength(request)) })
  const wire = await harness.wire()
  wire.socket.pause()
  const gets = Array.from({ length: 600 }, (_, i) => encode('GET', i))
  const { request } = largeSet('k', 600_000)
  wire.send(Buffer.concat([...gets, request, encode('PING')]))
  await waitUntil(
    () => harness.server.requests.some(([name]) => name === 'SET') || wire.socket.writableLength === 0,
    'all to be sent',
  )
  wire.socket.resume()
  const replies = await texts(wire, gets.length + 2)
  expect(replies.slice(-2)).toEqual([':600000\r\n', '+PONG\r\n'])
})

describe('faults', () => {
  test('the server answers before it has read all, and the client is read on', async () => {
    await start({ answer: silent })
    const wire = await harness.wire()
    const { request } = largeSet('k', 30_000_000)
    await begin(wire, request, 300_000)
    harness.server.peer.socket.pause()
    wire.send(request.subarray(300_000))
    await waitUntil(() => !harness.client.socket.reading, 'the upload to be paused')
    harness.server.peer.send('-OOM command not allowed\r\n')
    expect(await texts(wire, 1)).toEqual(['-OOM command not allowed\r\n'])
    // The rest of the value is read and dropped.
    wire.send(encode('PING'))
    expect(await texts(wire, 1)).toEqual(['+PONG\r\n'])
    await waitUntil(
      () => harness.serverOf(0).connectionCount === 0,
      'the connection, in the middle of a request, to be closed',
    )
  })

  test('the server ends: the request fails, the rest of it is dropped, the next one is served', async () => {
    await start({ answer: answerLength })
    const wire = await harness.wire()
    const { request } = largeSet('k', 2_000_000)
    await begin(wire, request, 1_000_000)
    harness.server.peer.socket.resetAndDestroy()
    expect(await texts(wire, 1)).toEqual([expect.stringMatching(/^-ERR (Connection reset by peer|Broken pipe)\r\n$/)])
    wire.send(Buffer.concat([request.subarray(1_000_000), encode('GET', 'a')]))
    expect(await texts(wire, 1)).toEqual([bulk('value-of-a')])
    expect(harness.server.requests).toEqual([['GET', 'a']])
  })

  test('the client leaves: half a request does not stay on a connection', async () => {
    await start({ answer: answerLength })
    const wire = await harness.wire()
    const { request } = largeSet('k', 2_000_000)
    await begin(wire, request, 1_000_000)
    wire.reset()
    await waitUntil(() => harness.server.peer.ended, 'the connection to be closed')
    await waitUntil(() => harness.serverOf(0).connectionCount === 0, 'the connection to be gone')
    await harness.expectAtRest()
  })

  test('the client half-closes in the middle: there is nothing to answer', async () => {
    await start({ answer: answerLength })
    const wire = await harness.wire()
    const { request } = largeSet('k', 2_000_000)
    await begin(wire, request, 1_000_000)
    wire.end()
    expect(String(await wire.untilClosed())).toBe('-ERR Server closed the connection\r\n')
  })

  test('a value that does not end in CR LF: the error, then the close', async () => {
    await start({ answer: answerLength })
    const wire = await harness.wire()
    const { request } = largeSet('k', 500_000)
    request.write('xx', request.length - 2)
    wire.send(request)
    expect(String(await wire.untilClosed())).toMatch(/-ERR Protocol error: [^\r]*\r\n$/)
    expect(harness.server.requests).toEqual([])
  })

  test('the same while the worker drains', async () => {
    await start({ answer: answerLength })
    const wire = await harness.wire()
    const { request } = largeSet('k', 500_000)
    request.write('xx', request.length - 2)
    await begin(wire, request, 400_000)
    retireClient(harness.client)
    wire.send(request.subarray(400_000))
    await wire.untilClosed()
    expect(harness.server.requests).toEqual([])
  })

  test('a sender that stops is closed after a while', async () => {
    await start({ answer: answerLength })
    const wire = await harness.wire()
    await begin(wire, largeSet('k', 500_000).request, 400_000)
    harness.passTime(25_000)
    expect(wire.closed).toBe(false)
    harness.passTime(31_000)
    await wire.untilClosed()
  })

  test('the timeout of the reply begins when all is sent, also while the greeting is not answered', async () => {
    await start({ answer: silent, pool: { redisAuth: 'pw', timeoutMs: 5_000 } })
    const wire = await harness.wire()
    wire.send(Buffer.concat([encode('AUTH', 'pw'), largeSet('k', 500_000).request]))
    await harness.server.received(2)
    harness.passTime(5_100)
    expect(await texts(wire, 2)).toEqual(['+OK\r\n', '-ERR Connection timed out\r\n'])
  })

  test('above max_message_bytes it is refused at once', async () => {
    await start({ answer: answerLength, pool: { maxMessageBytes: 1_000_000 } })
    const wire = await harness.wire()
    const { request } = largeSet('k', 2_000_000)
    wire.send(request.subarray(0, 10_000))
    expect(String(await wire.untilClosed())).toMatch(/^-ERR Protocol error: request is larger/)
    expect(harness.server.peers.length).toBe(0)
  })
})

describe('more than there are connections for', () => {
  /** Clients whose uploads have all begun, so that nothing is left for others. */
  async function occupyAll(): Promise<{ wires: Wire[]; request: Buffer }> {
    const { request } = largeSet('k', 400_000)
    const wires: Wire[] = []
    for (let i = 0; i < MAX_BULK_CONNECTIONS; i++) {
      const wire = await harness.wire()
      await begin(wire, request, 300_000)
      wires.push(wire)
    }
    return { wires, request }
  }

  test('the others wait for their turn', async () => {
    await start({ answer: answerLength })
    const { wires, request } = await occupyAll()
    const waiting = await Promise.all(Array.from({ length: 50 }, () => harness.wire()))
    for (const wire of waiting) wire.send(request)
    await waitUntil(
      () => [...harness.clients.members].filter(client => !client.socket.reading).length === 50,
      'all to wait',
    )
    for (const wire of wires) wire.send(request.subarray(300_000))
    for (const wire of [...wires, ...waiting]) expect(await texts(wire, 1)).toEqual([':400000\r\n'])
    expect(harness.server.peers.length).toBe(MAX_BULK_CONNECTIONS)
  })

  test('one that leaves while it waits, or looks twice, does not take the turn of another', async () => {
    await start({ answer: answerLength })
    const { wires, request } = await occupyAll()
    const known = new Set(harness.clients.members)
    const leaver = await harness.wire()
    const client = [...harness.clients.members].find(each => !known.has(each))!
    leaver.send(request)
    await waitUntil(() => !client.socket.reading, 'the first to wait')
    const twice = await harness.wire()
    twice.send(request)
    await waitUntil(
      () => [...harness.clients.members].filter(each => !each.socket.reading).length === 2,
      'the second to wait',
    )
    for (const each of harness.clients.members) if (!each.socket.reading) harness.context.resumeLater(each)
    const last = await harness.wire()
    last.send(request)
    await waitUntil(
      () => [...harness.clients.members].filter(each => !each.socket.reading).length === 3,
      'the third to wait',
    )
    client.close(2)
    harness.stopTicking()
    for (const wire of wires.slice(0, 2)) {
      wire.send(request.subarray(300_000))
      expect(await texts(wire, 1)).toEqual([':400000\r\n'])
    }
    expect(await texts(twice, 1)).toEqual([':400000\r\n'])
    expect(await texts(last, 1)).toEqual([':400000\r\n'])
    for (const wire of wires.slice(2)) wire.send(request.subarray(300_000))
  })
})

test('after a reload with another database no connection of before carries an upload', async () => {
  await start({ answer: answerLength })
  const wire = await harness.wire()
  const { request } = largeSet('k', 400_000)
  await begin(wire, request, 300_000)
  harness.reload({ redisDb: 5 })
  wire.send(request.subarray(300_000))
  expect(await texts(wire, 1)).toEqual([':400000\r\n'])
  await waitUntil(() => harness.server.peer.ended, 'the connection of before to be closed')
  wire.send(request)
  expect(await texts(wire, 1)).toEqual([':400000\r\n'])
  expect(harness.server.peer.requests[0]).toEqual(['SELECT', '5'])
  expect(harness.server.peers.length).toBe(2)
})
