/** `max_message_bytes`: what is larger is met wherever it comes from and in whatever pieces, costs nobody anything, and hits nobody else. */

import { afterEach, describe, expect, test } from 'vitest'
import { waitUntil } from '../../support/wait.ts'
import { encode } from '../../support/wire/resp.ts'
import type { Wire } from '../../support/wire/wire.ts'
import { Harness, type HarnessOptions } from '../../support/worker/harness.ts'
import { bulk, silent } from '../../support/worker/scripted-server.ts'

const LIMIT = 10_000
const REFUSED = '-ERR reply is larger than max_message_bytes\r\n'
const REFUSED_MEMCACHE = 'SERVER_ERROR reply is larger than max_message_bytes\r\n'

let harness: Harness

async function start(options: HarnessOptions = {}): Promise<void> {
  harness = await Harness.start({ answer: silent, ...options, pool: { maxMessageBytes: LIMIT, ...options.pool } })
}

afterEach(() => harness.stop())

function array(...values: readonly string[]): string {
  return `*${values.length}\r\n${values.join('')}`
}

/** Sends the server's bytes in pieces, each of which is read by itself. */
async function sendInPieces(bytes: string, size: number): Promise<void> {
  for (let at = 0; at < bytes.length; at += size) {
    const piece = bytes.slice(at, at + size)
    const { bytesRead } = harness.connectionTo(0).socket
    harness.server.peer.send(piece)
    await waitUntil(() => harness.connectionTo(0).socket.bytesRead === bytesRead + piece.length, 'the piece to be read')
  }
}

const LARGE_REPLIES: readonly (readonly [string, string])[] = [
  ['a bulk', bulk('x'.repeat(20_000))],
  ['a bulk of a byte too much', bulk('x'.repeat(LIMIT - 8))],
  ['a list of small values', array(...Array.from({ length: 1_000 }, (_, i) => bulk(`value-${i}`)))],
  ['a list with a large value', array(bulk('a'), array(bulk('x'.repeat(20_000)), ':1\r\n'), bulk('b'))],
  ['a list that ends in one', array('+OK\r\n', bulk('x'.repeat(20_000)))],
  ['lists in lists', array(array(array(bulk('x'.repeat(9_990)), bulk('y'.repeat(9_990))), '$-1\r\n'), array())],
  ['a line', `+${'x'.repeat(20_000)}\r\n`],
  ['a large error', `-ERR ${'x'.repeat(20_000)}\r\n`],
]

describe.each(LARGE_REPLIES)('%s', (_, reply) => {
  test.each([997, 4_096, 10_000, 15_000, 1_000_000])('in pieces of %i bytes is replaced by an error', async size => {
    await start()
    const wire = await harness.wire()
    const other = await harness.wire()
    wire.send(encode('GET', 'a'))
    await harness.server.received(1)
    other.send(encode('GET', 'b'))
    await harness.server.received(2)
    wire.send(encode('GET', 'c'))
    await harness.server.received(3)
    const rest = bulk('b') + reply
    await sendInPieces(reply + rest, size)
    expect(String(await wire.redisReplies(2))).toBe(`${REFUSED},${REFUSED}`)
    expect(String(await other.redisReplies(1))).toBe(bulk('b'))
    expect(harness.server.peers.length).toBe(1)
    expect(harness.serverStat(0, 'reply_too_large')).toBe(2)
    expect(harness.logs.messages().join()).toMatch(
      /reply of \d+ bytes from server '\S+' rejected: above max_message_bytes of pool 'p'/,
    )
    expect(harness.connectionTo(0).input.isIncomplete).toBe(false)
  })
})

test('replies of exactly the limit pass', async () => {
  const value = bulk('x'.repeat(LIMIT - 9))
  expect(value.length).toBe(LIMIT)
  await start({ answer: () => value })
  const wire = await harness.wire()
  wire.send(Buffer.concat(Array.from({ length: 20 }, () => encode('GET', 'a'))))
  for (const reply of await wire.redisReplies(20)) expect(reply.length).toBe(LIMIT)
  expect(harness.serverStat(0, 'reply_too_large')).toBe(0)
})

test('a part of an MGET that is too large fails the whole of it', async () => {
  await start({ servers: 2 })
  harness.servers[0]!.answer = () => array(bulk('a'))
  harness.servers[1]!.answer = () => array(bulk('x'.repeat(20_000)))
  const wire = await harness.wire()
  wire.send(Buffer.concat([encode('MGET', harness.keyFor(0), harness.keyFor(1)), encode('GET', harness.keyFor(0))]))
  harness.servers[0]!.answer = request => (request[0] === 'GET' ? bulk('b') : array(bulk('a')))
  expect(String(await wire.redisReplies(2))).toBe(`${REFUSED},${bulk('b')}`)
})

test('a server that ends in the middle of it hits those behind only', async () => {
  await start()
  const wire = await harness.wire()
  wire.send(Buffer.concat([encode('GET', 'a'), encode('GET', 'b')]))
  await harness.server.received(2)
  harness.server.peer.send(bulk('x'.repeat(20_000)).slice(0, 15_000))
  expect(String(await wire.redisReplies(1))).toBe(REFUSED)
  harness.server.peer.socket.end()
  expect(String(await wire.redisReplies(1))).toBe('-ERR Server closed the connection\r\n')
})

describe('memcached', () => {
  const value = (key: string, bytes: number): string => `VALUE ${key} 0 ${bytes}\r\n${'x'.repeat(bytes)}\r\n`

  async function begin(...requests: readonly string[]): Promise<{ wire: Wire; peer: (bytes: string) => void }> {
    let peer: ((bytes: string) => void) | null = null
    let received = ''
    await start({
      pool: { redis: false },
      sockets: socket => {
        socket.on('error', () => {})
        socket.on('data', data => {
          received += data.toString('latin1')
        })
        peer = bytes => void socket.write(Buffer.from(bytes, 'latin1'))
      },
    })
    const wire = await harness.wire()
    for (const request of requests) {
      const { length } = received
      wire.send(Buffer.from(request))
      await waitUntil(() => received.length > length, 'the request to arrive')
    }
    return { wire, peer: bytes => peer!(bytes) }
  }

  test.each([997, 10_000, 1_000_000])('a value that is too large, in pieces of %i bytes', async size => {
    const { wire, peer } = await begin('get a\r\n', 'mg b v\r\n', 'get c\r\n')
    const bytes = `${value('a', 20_000)}END\r\nVA 20000\r\n${'y'.repeat(20_000)}\r\n${value('c', 5)}END\r\n`
    for (let at = 0; at < bytes.length; at += size) {
      const { bytesRead } = harness.connectionTo(0).socket
      const piece = bytes.slice(at, at + size)
      peer(piece)
      await waitUntil(() => harness.connectionTo(0).socket.bytesRead === bytesRead + piece.length, 'the piece')
    }
    const replies = await wire.memcacheReplies(3)
    expect(replies.map(String)).toEqual([REFUSED_MEMCACHE, REFUSED_MEMCACHE, `${value('c', 5)}END\r\n`])
    expect(harness.serverStat(0, 'reply_too_large')).toBe(2)
  })

  test('requests that share a line share the limit of each', async () => {
    const { wire, peer } = await begin('get a\r\nget b\r\nget c\r\n')
    peer(`${value('a', 6_000)}${value('b', 6_000)}${value('c', 6_000)}END\r\n`)
    const replies = await wire.memcacheReplies(3)
    expect(replies.map(String)).toEqual(['a', 'b', 'c'].map(key => `${value(key, 6_000)}END\r\n`))
  })
})

describe('a request', () => {
  const REQUEST_REFUSED = /^(?::1\r\n)*-ERR Protocol error: request is larger than max_message_bytes\r\n$/

  test.each([
    ['a byte too large', encode('SET', 'k', 'x'.repeat(LIMIT - 28))],
    ['much too large', encode('SET', 'k', 'x'.repeat(100_000))],
    ['with many small arguments', encode('DEL', ...Array.from({ length: 2_000 }, (_, i) => `key-${i}`))],
  ])('%s is refused also when it is here as a whole', async (_, request) => {
    for (const before of [0, 1, 100]) {
      await start({ answer: () => ':1\r\n' })
      const wire = await harness.wire()
      wire.send(Buffer.concat([...Array.from({ length: before }, () => encode('DEL', 'k')), request, encode('PING')]))
      expect(String(await wire.untilClosed())).toMatch(REQUEST_REFUSED)
      expect(harness.server.requests.length).toBe(before)
      if (before < 100) await harness.stop()
    }
  })

  test('of exactly the limit passes, among others', async () => {
    await start({ answer: request => `:${request[2]?.length ?? 0}\r\n` })
    const wire = await harness.wire()
    const largest = encode('SET', 'k', 'x'.repeat(LIMIT - 29))
    expect(largest.length).toBe(LIMIT)
    wire.send(Buffer.concat([encode('GET', 'a'), largest, encode('GET', 'b'), largest, largest, encode('GET', 'c')]))
    const lengths = (await wire.redisReplies(6)).map(String)
    const full = `:${LIMIT - 29}\r\n`
    expect(lengths).toEqual([':0\r\n', full, ':0\r\n', full, full, ':0\r\n'])
  })
})
