import { afterEach, describe, expect, test } from 'vitest'
import { FAILURE_TEXTS, Failure } from '../../../../src/worker/request/failure.ts'
import { GRACE_MS, SLOW_PATIENCE_MS } from '../../../../src/worker/server/large-reply.ts'
import { waitUntil } from '../../../support/wait.ts'
import { encode } from '../../../support/wire/resp.ts'
import type { Wire } from '../../../support/wire/wire.ts'
import { Harness, type HarnessOptions } from '../../../support/worker/harness.ts'
import { answerWithKey, bulk, silent } from '../../../support/worker/scripted-server.ts'

const TIMEOUT_MS = 50_000

let harness: Harness

async function start(options?: HarnessOptions): Promise<void> {
  harness = await Harness.start(options)
}

afterEach(() => harness.stop())

async function texts(wire: Wire, count: number): Promise<string[]> {
  return (await wire.redisReplies(count)).map(reply => reply.toString('latin1'))
}

describe('pairing', () => {
  test.each([1, 2, 3, 7, 100, 4096, 65_536])('replies cut into pieces of %i bytes are paired in order', async size => {
    await start({ answer: silent })
    const wire = await harness.wire()
    const count = size < 10 ? 12 : 60
    const replies = Array.from({ length: count }, (_, i) =>
      i % 3 === 0 ? `:${i}\r\n` : bulk(`${i}`.repeat((i * 7) % 400)),
    )
    wire.send(Buffer.concat(replies.map((_, i) => encode('GET', i))))
    await harness.server.received(count)
    const stream = Buffer.from(replies.join(''), 'latin1')
    const received = texts(wire, count)
    for (let at = 0; at < stream.length; at += size) {
      const read = harness.connectionTo(0).socket.bytesRead
      const piece = stream.subarray(at, at + size)
      harness.server.peer.send(piece)
      await waitUntil(() => harness.connectionTo(0).socket.bytesRead === read + piece.length, 'the piece to be read')
    }
    expect(await received).toEqual(replies)
  })

  test('clients share a connection, and each gets its own replies', async () => {
    await start()
    const wires = await Promise.all(Array.from({ length: 20 }, () => harness.wire()))
    for (const [i, wire] of wires.entries()) {
      wire.send(Buffer.concat(Array.from({ length: 50 }, (_, j) => encode('GET', `${i}-${j}`))))
    }
    for (const [i, wire] of wires.entries()) {
      expect(await texts(wire, 50)).toEqual(Array.from({ length: 50 }, (_, j) => bulk(`value-of-${i}-${j}`)))
    }
    expect(harness.server.peers.length).toBe(1)
  })

  test('server_connections are opened one by one and then used in turn', async () => {
    await start({ pool: { serverConnections: 3 } })
    const wire = await harness.wire()
    for (let i = 0; i < 9; i++) {
      wire.send(encode('GET', i))
      await wire.redisReplies(1)
    }
    expect(harness.server.peers.map(peer => peer.requests.length)).toEqual([3, 3, 3])
    expect(harness.serverStat(0, 'server_connections')).toBe(3)
  })

  test('a reply that nobody asked for closes the connection; the next request opens another', async () => {
    await start()
    const wire = await harness.wire()
    wire.send(encode('GET', 'a'))
    await wire.redisReplies(1)
    harness.server.peer.send('+stray\r\n')
    await waitUntil(() => harness.server.peer.ended, 'the connection to be closed')
    expect(harness.serverStat(0, 'server_err')).toBe(1)
    wire.send(encode('GET', 'b'))
    expect(await texts(wire, 1)).toEqual([bulk('value-of-b')])
    expect(harness.server.peers.length).toBe(2)
  })

  test('a stray reply behind one that was due closes the connection after that is delivered', async () => {
    await start({ answer: silent })
    const wire = await harness.wire()
    wire.send(encode('GET', 'a'))
    await harness.server.received(1)
    harness.server.peer.send('+due\r\n+stray\r\n')
    expect(await texts(wire, 1)).toEqual(['+due\r\n'])
    await waitUntil(() => harness.server.peer.ended, 'the connection to be closed')
  })

  test('a malformed reply fails all that wait on the connection', async () => {
    await start({ answer: silent })
    const wire = await harness.wire()
    const other = await harness.wire()
    wire.send(encode('GET', 'a'))
    other.send(encode('GET', 'b'))
    await harness.server.received(2)
    harness.server.peer.send('$-1\r\n_\r\n')
    const replies = [await texts(wire, 1), await texts(other, 1)].flat().sort()
    expect(replies).toEqual(['$-1\r\n', '-ERR Invalid argument\r\n'])
  })
})

describe('the end of a connection', () => {
  test.each([
    ['FIN', '-ERR Server closed the connection\r\n'],
    ['RST', '-ERR Connection reset by peer\r\n'],
  ])('a %s fails what waits, in the order of each client', async (how, error) => {
    await start({ servers: 2, answer: silent })
    const wire = await harness.wire()
    const [a, b] = [harness.keyFor(0), harness.keyFor(1)]
    wire.send(
      Buffer.concat([encode('GET', a), encode('GET', b), encode('GET', a), encode('MGET', a, b), encode('PING')]),
    )
    await harness.servers[0]!.received(3)
    await harness.servers[1]!.received(2)
    if (how === 'FIN') harness.servers[0]!.peer.socket.end('$10\r\nhalf')
    else harness.servers[0]!.peer.socket.resetAndDestroy()
    await waitUntil(() => harness.client.pending === 4, 'the failure to be seen')
    harness.servers[1]!.peer.send(`${bulk('b')}*1\r\n${bulk('b')}`)
    expect(await texts(wire, 5)).toEqual([error, bulk('b'), error, error, '+PONG\r\n'])
    expect(harness.poolStat('forward_error')).toBe(3)
  })

  test('a refused connection fails what waits for it', async () => {
    await start()
    await harness.server.stop()
    const wire = await harness.wire()
    wire.send(Buffer.concat([encode('GET', 'a'), encode('GET', 'b')]))
    expect(await texts(wire, 2)).toEqual(['-ERR Connection refused\r\n', '-ERR Connection refused\r\n'])
    expect(harness.serverStat(0, 'server_err')).toBe(1)
    expect(harness.serverStat(0, 'server_connections')).toBe(0)
  })

  test.each([
    ['tooManyFiles', 0],
    ['noAddress', 0],
    ['noMemory', 0],
    ['reset', 1],
  ] as const)('what this machine lacks is no failure of the server (%s)', async (failure, failures) => {
    await start({ answer: silent, pool: { autoEjectHosts: true, serverFailureLimit: 3 } })
    const wire = await harness.wire()
    wire.send(encode('GET', 'a'))
    await harness.server.received(1)
    harness.connectionTo(0).fail(Failure[failure])
    expect(await texts(wire, 1)).toEqual([`-ERR ${FAILURE_TEXTS[Failure[failure]]}\r\n`])
    expect(harness.failures(0)).toBe(failures)
  })

  test('an idle connection that the server closes is no failure', async () => {
    await start({ pool: { autoEjectHosts: true, serverFailureLimit: 1 } })
    const wire = await harness.wire()
    wire.send(encode('GET', 'a'))
    await wire.redisReplies(1)
    harness.server.peer.socket.end()
    await waitUntil(() => harness.serverStat(0, 'server_eof') === 1, 'the end to be seen')
    expect(harness.failures(0)).toBe(0)
    expect(harness.posts).toEqual([])
  })

  test('requests that failed and their clients leave nothing behind, whoever goes first', async () => {
    await start({ servers: 2, answer: silent })
    const [a, b] = [harness.keyFor(0), harness.keyFor(1)]
    const wires = await Promise.all(Array.from({ length: 10 }, () => harness.wire()))
    for (const wire of wires) wire.send(Buffer.concat([encode('DEL', a, b), encode('GET', a), encode('MGET', b, a)]))
    await harness.servers[0]!.received(30)
    await harness.servers[1]!.received(20)
    for (const wire of wires.slice(0, 5)) wire.reset()
    await waitUntil(() => harness.clients.members.size === 5, 'half of the clients to be gone')
    harness.servers[0]!.peer.socket.resetAndDestroy()
    await waitUntil(() => harness.serverOf(0).connectionCount === 0, 'the reset to be seen')
    harness.servers[1]!.peer.send(`:1\r\n*1\r\n${bulk('b')}`.repeat(10))
    for (const wire of wires.slice(5)) {
      expect(await texts(wire, 3)).toEqual(Array.from({ length: 3 }, () => '-ERR Connection reset by peer\r\n'))
    }
  })
})

describe('expiry', () => {
  async function expired(key = 'a'): Promise<Wire> {
    await start({ answer: silent, pool: { timeoutMs: TIMEOUT_MS, autoEjectHosts: true, serverFailureLimit: 10 } })
    const wire = await harness.wire()
    wire.send(encode('GET', key))
    await harness.server.received(1)
    return wire
  }

  test('an expired request gets its error, and its late reply is swallowed', async () => {
    const wire = await expired()
    // Something came from the server since: the connection lives on.
    const other = await harness.wire()
    other.send(encode('GET', 'b'))
    await harness.server.received(2)
    const connection = harness.connectionTo(0) as unknown as { head: { deadlineMs: number } }
    connection.head.deadlineMs = 1
    harness.passTime(0)
    expect(await texts(wire, 1)).toEqual(['-ERR Connection timed out\r\n'])
    expect(harness.serverStat(0, 'request_timeouts')).toBe(1)
    expect(harness.serverStat(0, 'out_queue')).toBe(1)
    harness.server.peer.send(`${bulk('late')}${bulk('b')}`)
    expect(await texts(other, 1)).toEqual([bulk('b')])
    expect(harness.serverStat(0, 'responses')).toBe(1)
    wire.send(encode('GET', 'c'))
    await harness.server.received(3)
    harness.server.peer.send(bulk('c'))
    expect(await texts(wire, 1)).toEqual([bulk('c')])
    expect(harness.server.peers.length).toBe(1)
  })

  test('a late reply does not make up for the failure', async () => {
    const wire = await expired()
    wire.send(encode('GET', 'b'))
    await harness.server.received(2)
    const { head } = harness.connectionTo(0)
    head!.serverNext!.deadlineMs = 0x3fff_fff0
    harness.passTime(TIMEOUT_MS)
    expect(await texts(wire, 1)).toEqual(['-ERR Connection timed out\r\n'])
    expect(harness.failures(0)).toBe(1)
    harness.server.peer.send(bulk('late'))
    await waitUntil(() => harness.connectionTo(0).head?.serverNext === null, 'the late reply to be read')
    expect(harness.failures(0)).toBe(1)
    harness.server.peer.send(bulk('b'))
    expect(await texts(wire, 1)).toEqual([bulk('b')])
    expect(harness.failures(0)).toBe(0)
  })

  test('a connection on which nobody but expired requests waits is closed, and counts as one failure', async () => {
    const wire = await expired()
    harness.passTime(TIMEOUT_MS)
    expect(await texts(wire, 1)).toEqual(['-ERR Connection timed out\r\n'])
    await waitUntil(() => harness.server.peer.ended, 'the connection to be closed')
    expect(harness.failures(0)).toBe(1)
    expect(harness.serverStat(0, 'server_timedout')).toBe(1)
  })

  test('a server that falls silent after a part of its replies is counted when its connection is given up', async () => {
    const wire = await expired()
    wire.send(encode('GET', 'b'))
    await harness.server.received(2)
    // Both deadlines are near when the first reply comes: no silence of a whole timeout when the second request expires.
    const { head } = harness.connectionTo(0)
    head!.serverNext!.deadlineMs = 1
    harness.server.peer.send(bulk('a'))
    expect(await texts(wire, 1)).toEqual([bulk('a')])
    harness.passTime(1)
    expect(await texts(wire, 1)).toEqual(['-ERR Connection timed out\r\n'])
    expect(harness.failures(0)).toBe(0)
    harness.passTime(TIMEOUT_MS + 1000)
    await waitUntil(() => harness.server.peer.ended, 'the connection to be closed')
    expect(harness.failures(0)).toBe(1)
    expect(harness.serverStat(0, 'server_timedout')).toBe(1)
  })

  test('a stalled connection is closed after three timeouts even where younger requests wait', async () => {
    const wire = await expired()
    wire.send(encode('GET', 'b'))
    await harness.server.received(2)
    harness.connectionTo(0).head!.serverNext!.deadlineMs = 0x3fff_fff0
    harness.passTime(TIMEOUT_MS)
    expect(await texts(wire, 1)).toEqual(['-ERR Connection timed out\r\n'])
    harness.passTime(2 * TIMEOUT_MS)
    expect(harness.server.peer.ended).toBe(false)
    harness.passTime(3 * TIMEOUT_MS)
    expect(await texts(wire, 1)).toEqual(['-ERR Connection timed out\r\n'])
    expect(harness.failures(0)).toBe(1)
  })

  test('a deadline can be put off, also when the clock has run for weeks', async () => {
    const wire = await expired()
    const { head } = harness.connectionTo(0)
    head!.deadlineMs = 2_000_000_000
    harness.connectionTo(0).extendDeadline(5_000)
    expect(head!.deadlineMs).toBe(2_000_005_000)
    harness.connectionTo(0).extendDeadline(-1)
    harness.passTime(10 * TIMEOUT_MS)
    harness.server.peer.send(bulk('a'))
    expect(await texts(wire, 1)).toEqual([bulk('a')])
  })

  test('fragments expire with their request, and late replies of theirs are swallowed', async () => {
    await start({ servers: 2, answer: silent, pool: { timeoutMs: TIMEOUT_MS } })
    const wire = await harness.wire()
    const [a, b] = [harness.keyFor(0), harness.keyFor(1)]
    wire.send(Buffer.concat([encode('MGET', a, b), encode('GET', a)]))
    await harness.servers[0]!.received(2)
    await harness.servers[1]!.received(1)
    harness.connectionTo(0).head!.deadlineMs = 1
    harness.passTime(0)
    expect(harness.client.pending).toBe(2)
    harness.servers[0]!.peer.send(`*1\r\n${bulk('late')}${bulk('a')}`)
    await waitUntil(() => harness.client.heldBytes > 0, 'the reply behind it')
    harness.servers[1]!.peer.send(`*1\r\n${bulk('b')}`)
    expect(await texts(wire, 2)).toEqual(['-ERR Connection timed out\r\n', bulk('a')])
  })

  test('a client that leaves before its request expires', async () => {
    const wire = await expired()
    wire.reset()
    await waitUntil(() => harness.clients.members.size === 0, 'the client to be gone')
    harness.passTime(TIMEOUT_MS)
    await waitUntil(() => harness.server.peer.ended, 'the connection to be closed')
    await harness.expectAtRest()
  })

  test('many requests expire at once while their clients close', async () => {
    await start({ servers: 2, answer: silent, pool: { timeoutMs: TIMEOUT_MS } })
    const [a, b] = [harness.keyFor(0), harness.keyFor(1)]
    const wires = await Promise.all(Array.from({ length: 20 }, () => harness.wire()))
    for (const wire of wires)
      wire.send(Buffer.concat([encode('GET', a), encode('MGET', a, b), encode('GET', b), encode('QUIT')]))
    await harness.servers[0]!.received(40)
    await harness.servers[1]!.received(40)
    await waitUntil(() => [...harness.clients.members].every(client => client.pending === 4), 'QUIT to be read')
    harness.passTime(TIMEOUT_MS)
    for (const wire of wires) {
      expect(String(await wire.untilClosed())).toBe(`${'-ERR Connection timed out\r\n'.repeat(3)}+OK\r\n`)
    }
  })
})

describe('failures of a server by its own word', () => {
  test.each(['-OOM command not allowed\r\n', '-BUSY\r\n', '-LOADING Redis is loading\r\n'])(
    '%j counts and is passed on',
    async error => {
      await start({ answer: () => error, pool: { autoEjectHosts: true, serverFailureLimit: 2 } })
      const wire = await harness.wire()
      wire.send(encode('GET', 'a'))
      expect(await texts(wire, 1)).toEqual([error])
      expect(harness.failures(0)).toBe(1)
      wire.send(encode('GET', 'a'))
      expect(await texts(wire, 1)).toEqual([error])
      expect(harness.posts).toEqual([{ type: 'ejected', pool: 0, server: 0, reason: 'the server said so' }])
    },
  )

  test.each(['-OOMX no\r\n', '-ERR OOM\r\n', '-BUSYKEY no\r\n', '-O\r\n', '-\r\n'])('%j does not', async error => {
    await start({ answer: () => error, pool: { autoEjectHosts: true, serverFailureLimit: 2 } })
    const wire = await harness.wire()
    wire.send(encode('GET', 'a'))
    expect(await texts(wire, 1)).toEqual([error])
    expect(harness.failures(0)).toBe(0)
  })

  test('strict: the connection is closed, and what waits on it fails', async () => {
    await start({ answer: () => '-LOADING Redis is loading\r\n', pool: { strict: true } })
    const wire = await harness.wire()
    wire.send(encode('GET', 'a'))
    expect(await texts(wire, 1)).toEqual(['-ERR Invalid argument\r\n'])
  })
})

describe('large replies', () => {
  test.each([262_000, 262_144, 300_000, 5_000_000])('a reply of %i bytes passes through', async size => {
    await start({ answer: request => bulk(request[1]!.repeat(size)) })
    const wire = await harness.wire()
    wire.send(Buffer.concat([encode('GET', 'a'), encode('GET', 'b'), encode('PING')]))
    expect(await texts(wire, 3)).toEqual([bulk('a'.repeat(size)), bulk('b'.repeat(size)), '+PONG\r\n'])
    expect(harness.serverStat(0, 'responses')).toBe(2)
  })

  test('a server that ends in the middle of it closes the client, whose reply cannot be made whole', async () => {
    await start({ answer: silent })
    const wire = await harness.wire()
    wire.send(Buffer.concat([encode('GET', 'a'), encode('GET', 'b')]))
    await harness.server.received(2)
    harness.server.peer.send(`$1000000\r\n${'x'.repeat(400_000)}`)
    await waitUntil(() => wire.received.length >= 300_000, 'a part of the reply')
    harness.server.peer.socket.end()
    const received = await wire.untilClosed()
    expect(received.length).toBe(400_010)
    expect(received.indexOf('ERR')).toBe(-1)
  })

  test('a client that leaves in the middle of it does not disturb the others on the connection', async () => {
    await start({ answer: silent })
    const wire = await harness.wire()
    const other = await harness.wire()
    wire.send(encode('GET', 'a'))
    await harness.server.received(1)
    other.send(encode('GET', 'b'))
    await harness.server.received(2)
    const reply = bulk('x'.repeat(1_000_000))
    harness.server.peer.send(reply.slice(0, 400_000))
    await waitUntil(() => wire.received.length >= 300_000, 'a part of the reply')
    wire.reset()
    await waitUntil(() => harness.clients.members.size === 1, 'the client to be gone')
    harness.server.peer.send(reply.slice(400_000) + bulk('b'))
    expect(await texts(other, 1)).toEqual([bulk('b')])
    expect(harness.server.peers.length).toBe(1)
  })

  test('a slow reader of it pauses the server; others use another connection; it gets all in the end', async () => {
    await start({ answer: request => (request[1] === 'a' ? bulk('x'.repeat(30_000_000)) : answerWithKey(request)) })
    const wire = await harness.wire()
    const other = await harness.wire()
    wire.socket.pause()
    wire.send(encode('GET', 'a'))
    await waitUntil(
      () => [...harness.clients.members].some(client => client.source !== null),
      'the server to be paused',
    )
    other.send(encode('GET', 'b'))
    expect(await texts(other, 1)).toEqual([bulk('value-of-b')])
    const pendingBytes = [...harness.clients.members].map(client => client.socket.pendingBytes)
    expect(Math.max(...pendingBytes)).toBeLessThan(2_000_000)
    wire.socket.resume()
    const [reply] = await wire.redisReplies(1)
    expect(reply!.length).toBe(30_000_000 + 13)
  })

  test('a client that is gone while its server is paused sets the server free', async () => {
    await start({ answer: request => (request[1] === 'a' ? bulk('x'.repeat(30_000_000)) : answerWithKey(request)) })
    const wire = await harness.wire()
    wire.socket.pause()
    wire.send(encode('GET', 'a'))
    await waitUntil(() => harness.client.source !== null, 'the server to be paused')
    wire.reset()
    await waitUntil(() => harness.clients.members.size === 0, 'the client to be gone')
    await harness.expectAtRest()
  })
})

describe('large lists', () => {
  const VALUE = bulk('v'.repeat(400_000))
  const LIST = `*4\r\n${VALUE}*2\r\n:1\r\n${VALUE}$-1\r\n*3\r\n+a\r\n${bulk('')}${VALUE}`
  const OF_SMALL = `*100000\r\n${bulk('small').repeat(100_000)}`

  test.each([
    ['of large values', LIST],
    ['of many small values', OF_SMALL],
  ])('%s pass through, and what comes behind is paired', async (_name, list) => {
    await start({ answer: request => (request[0] === 'LRANGE' ? list : answerWithKey(request)) })
    const wire = await harness.wire()
    for (let i = 0; i < 3; i++) {
      wire.send(Buffer.concat([encode('LRANGE', 'a', 0, -1), encode('GET', 'b'), encode('LRANGE', 'c', 0, -1)]))
      expect(await texts(wire, 3)).toEqual([list, bulk('value-of-b'), list])
    }
    expect(harness.serverStat(0, 'responses')).toBe(9)
    expect(harness.server.peers.length).toBe(1)
  })

  test.each([99_991, 262_144])('in pieces of %i bytes', async size => {
    await start({ answer: silent })
    const wire = await harness.wire()
    wire.send(Buffer.concat([encode('LRANGE', 'a', 0, -1), encode('GET', 'b')]))
    await harness.server.received(2)
    const stream = Buffer.from(LIST + bulk('b'), 'latin1')
    for (let at = 0; at < stream.length; at += size) {
      const piece = stream.subarray(at, at + size)
      const read = harness.connectionTo(0).socket.bytesRead
      harness.server.peer.send(piece)
      await waitUntil(() => harness.connectionTo(0).socket.bytesRead === read + piece.length, 'the piece to be read')
    }
    expect(await texts(wire, 2)).toEqual([LIST, bulk('b')])
  })

  test('that their client reads slowly stay with the server', async () => {
    const large = `*2\r\n${bulk('x'.repeat(20_000_000))}${bulk('y'.repeat(20_000_000))}`
    await start({ answer: request => (request[0] === 'LRANGE' ? large : answerWithKey(request)) })
    const wire = await harness.wire()
    const other = await harness.wire()
    wire.socket.pause()
    wire.send(encode('LRANGE', 'a', 0, -1))
    await waitUntil(
      () => [...harness.clients.members].some(client => client.source !== null),
      'the server to be paused',
    )
    expect(Math.max(...[...harness.clients.members].map(client => client.memoryBytes))).toBeLessThan(3_000_000)
    other.send(encode('GET', 'b'))
    expect(await texts(other, 1)).toEqual([bulk('value-of-b')])
    wire.socket.resume()
    expect((await wire.redisReplies(1))[0]!.length).toBe(large.length)
  })

  test.each([
    ['ends', (peer: { socket: { end(): void } }) => void peer.socket.end()],
    ['sends what is no value', (peer: { send(text: string): void }) => peer.send('?\r\n')],
  ])('whose server %s in the middle end the client', async (_name, act) => {
    await start({ answer: silent })
    const wire = await harness.wire()
    wire.send(Buffer.concat([encode('LRANGE', 'a', 0, -1), encode('GET', 'b')]))
    await harness.server.received(2)
    harness.server.peer.send(`*3\r\n${VALUE}`)
    await waitUntil(() => wire.received.length > 300_000, 'a part of the reply')
    act(harness.server.peer)
    expect((await wire.untilClosed()).indexOf('ERR')).toBe(-1)
  })

  test('whose client leaves in the middle are read to their end for the others', async () => {
    await start({ answer: silent })
    const [wire, other] = [await harness.wire(), await harness.wire()]
    wire.send(encode('LRANGE', 'a', 0, -1))
    await harness.server.received(1)
    other.send(encode('GET', 'b'))
    await harness.server.received(2)
    harness.server.peer.send(LIST.slice(0, 500_000))
    await waitUntil(() => wire.received.length > 300_000, 'a part of the reply')
    wire.reset()
    await waitUntil(() => harness.poolStat('client_connections') === 1, 'the client to be gone')
    harness.server.peer.send(LIST.slice(500_000) + bulk('b'))
    expect(await texts(other, 1)).toEqual([bulk('b')])
    expect(harness.server.peers.length).toBe(1)
  })
})

describe('a client that takes a large reply slowly', () => {
  const LARGE = bulk('x'.repeat(30_000_000))
  const KEPT_BYTES = 4_000_000

  async function startSlow(options: HarnessOptions = {}): Promise<{ slow: Wire; other: Wire }> {
    const answer = (request: readonly string[]) => (request[1]!.startsWith('large') ? LARGE : answerWithKey(request))
    await start({ answer, ...options, pool: { clientQueueBytes: 65_536, ...options.pool } })
    const slow = await harness.wire()
    slow.socket.pause()
    return { slow, other: await harness.wire() }
  }

  /** Sends both clients' requests so that the server has them before it answers. */
  async function askTogether(slow: Wire, other: Wire): Promise<void> {
    const { answer } = harness.server
    harness.server.answer = silent
    slow.send(encode('GET', 'large'))
    await harness.server.received(1)
    other.send(encode('GET', 'b'))
    await harness.server.received(2)
    harness.server.answer = answer
    harness.server.peer.send(LARGE + bulk('value-of-b'))
  }

  function pendingBytes(): number {
    return Math.max(...[...harness.clients.members].map(client => client.socket.pendingBytes + client.heldBytes))
  }

  function pausedClients(): number {
    return [...harness.clients.members].filter(client => client.source !== null).length
  }

  function isPaused(): boolean {
    return pausedClients() > 0
  }

  test('and has others behind it is closed when they have waited for a second; they get their replies', async () => {
    const { slow, other } = await startSlow()
    await askTogether(slow, other)
    await waitUntil(isPaused, 'the server to be paused for a moment')
    expect(pendingBytes()).toBeLessThan(2_000_000)
    harness.passTime(GRACE_MS)
    expect(isPaused()).toBe(false)
    await waitUntil(isPaused, 'the server to be paused at the limit')
    expect(pendingBytes()).toBeGreaterThan(2_000_000)
    expect(pendingBytes()).toBeLessThan(KEPT_BYTES)
    harness.passTime(SLOW_PATIENCE_MS / 2)
    expect(harness.poolStat('client_overrun')).toBe(0)
    harness.passTime(SLOW_PATIENCE_MS + 100)
    expect(harness.poolStat('client_overrun')).toBe(1)
    expect(harness.logs.messages().join()).toContain('it does not read')
    expect(await texts(other, 1)).toEqual([bulk('value-of-b')])
    expect(harness.server.peers.length).toBe(1)
    await harness.expectAtRest()
  })

  test('and has others behind it gets all of it if it is soon ready', async () => {
    const { slow, other } = await startSlow()
    await askTogether(slow, other)
    await waitUntil(isPaused, 'the server to be paused')
    slow.socket.resume()
    expect((await slow.redisReplies(1))[0]!.length).toBe(LARGE.length)
    expect(await texts(other, 1)).toEqual([bulk('value-of-b')])
    expect(harness.server.peers.length).toBe(1)
  })

  test('and only its own requests behind it may take its time, and they keep their order', async () => {
    const { slow, other } = await startSlow()
    const set: string[] = []
    harness.server.answer = request => {
      if (request[0] === 'SET') set.push(request[2]!)
      return request[0] === 'SET' ? '+OK\r\n' : LARGE
    }
    slow.send(
      Buffer.concat([encode('GET', 'large'), encode('SET', 'k', 1), encode('GET', 'large'), encode('SET', 'k', 2)]),
    )
    await waitUntil(isPaused, 'the server to be paused')
    slow.send(encode('SET', 'k', 3))
    other.send(encode('SET', 'other', 'o'))
    expect(await texts(other, 1)).toEqual(['+OK\r\n'])
    harness.passTime(30_000)
    expect(pendingBytes()).toBeLessThan(KEPT_BYTES)
    slow.socket.resume()
    const replies = await slow.redisReplies(5)
    expect(replies.map(reply => reply.length)).toEqual([LARGE.length, 5, LARGE.length, 5, 5])
    expect(set.filter(value => value !== 'o')).toEqual(['1', '2', '3'])
  })

  test('and takes nothing of it for a minute is closed, though nobody waits for it', async () => {
    const { slow } = await startSlow()
    slow.send(encode('GET', 'large'))
    await waitUntil(isPaused, 'the server to be paused')
    const [client] = [...harness.clients.members].filter(each => each.source !== null)
    client!.output.checkWrites(harness.context.turn.nowMs)
    client!.output.checkWrites(harness.context.turn.nowMs + 70_000)
    expect(harness.poolStat('client_overrun')).toBe(1)
    await harness.expectAtRest()
  })

  test('does not use up the time of those behind it: a deadline is for the server', async () => {
    const timeoutMs = SLOW_PATIENCE_MS - 400
    const { slow, other } = await startSlow({ pool: { timeoutMs } })
    await askTogether(slow, other)
    // The slow client is closed after its patience, which is longer than the timeout.
    expect(await texts(other, 1)).toEqual([bulk('value-of-b')])
    expect(harness.poolStat('client_overrun')).toBe(1)
    expect(harness.serverStat(0, 'request_timeouts')).toBe(0)
  })

  test('and a server that stops in the middle of it has the timeout from then on', async () => {
    await start({ answer: silent, pool: { timeoutMs: 300 } })
    const [wire, other] = [await harness.wire(), await harness.wire()]
    wire.send(encode('GET', 'large'))
    await harness.server.received(1)
    other.send(encode('GET', 'b'))
    await harness.server.received(2)
    harness.server.peer.send(LARGE.slice(0, 400_000))
    await wire.untilClosed()
    expect(await texts(other, 1)).toEqual(['-ERR Connection timed out\r\n'])
  })

  test('is one of many: beyond a number of connections the next one has to hurry', { timeout: 30_000 }, async () => {
    const { other } = await startSlow()
    for (let i = 0; i < 33; i++) {
      const wire = await harness.wire()
      wire.socket.pause()
      wire.send(encode('GET', `large${i}`))
      await waitUntil(() => pausedClients() === i + 1, 'another pause')
    }
    expect(pendingBytes()).toBeLessThan(KEPT_BYTES)
    other.send(encode('GET', 'b'))
    expect(await texts(other, 1)).toEqual([bulk('value-of-b')])
    expect(harness.poolStat('client_overrun')).toBe(1)
    expect(harness.server.peers.length).toBe(33)
  })
})

describe('a large reply before its turn', () => {
  const LARGE = bulk('x'.repeat(10_000_000))

  test('beyond what the client may have waiting stays with the server, and comes whole in the end', async () => {
    await start({ servers: 2, answer: silent, pool: { clientQueueBytes: 65_536 } })
    harness.servers[1]!.answer = () => LARGE
    const wire = await harness.wire()
    wire.send(Buffer.concat([encode('GET', harness.keyFor(0)), encode('GET', harness.keyFor(1)), encode('PING')]))
    await waitUntil(() => harness.serverOf(1).connectionCount === 1 && harness.connectionTo(1) === undefined, 'a pause')
    const other = await harness.wire()
    other.send(encode('GET', harness.keyFor(1)))
    expect((await other.redisReplies(1))[0]!.length).toBe(LARGE.length)
    expect(Math.max(...[...harness.clients.members].map(client => client.memoryBytes))).toBeLessThan(4_000_000)
    harness.server.peer.send(bulk('first'))
    const replies = await wire.redisReplies(3)
    expect(replies.map(reply => reply.length)).toEqual([11, LARGE.length, 7])
  })

  test('that keeps others waiting ends its client', async () => {
    await start({ servers: 2, answer: silent, pool: { clientQueueBytes: 65_536 } })
    const wire = await harness.wire()
    const other = await harness.wire()
    wire.send(Buffer.concat([encode('GET', harness.keyFor(0)), encode('GET', harness.keyFor(1))]))
    await harness.servers[1]!.received(1)
    other.send(encode('GET', harness.keyFor(1)))
    await harness.servers[1]!.received(2)
    harness.servers[1]!.peer.send(LARGE + bulk('other'))
    await waitUntil(() => !harness.connectionTo(1).socket.reading, 'a pause')
    harness.passTime(SLOW_PATIENCE_MS + 100)
    expect(await texts(other, 1)).toEqual([bulk('other')])
    expect(harness.poolStat('client_overrun')).toBe(1)
  })

  test('is not kept where its client is gone, or has had an error', async () => {
    await start({ answer: silent, pool: { timeoutMs: TIMEOUT_MS } })
    const wire = await harness.wire()
    const gone = await harness.wire()
    wire.send(encode('GET', 'a'))
    await harness.server.received(1)
    gone.send(encode('GET', 'b'))
    await harness.server.received(2)
    harness.connectionTo(0).extendDeadline(TIMEOUT_MS)
    harness.passTime(TIMEOUT_MS + 10)
    expect(await texts(wire, 1)).toEqual(['-ERR Connection timed out\r\n'])
    gone.reset()
    await waitUntil(() => harness.clients.members.size === 1, 'the client to be gone')
    wire.send(encode('GET', 'c'))
    await harness.server.received(3)
    for (const half of [LARGE.slice(0, 5_000_000), LARGE.slice(5_000_000) + LARGE.slice(0, 4_000_000)]) {
      harness.server.peer.send(half)
    }
    await waitUntil(() => harness.connectionTo(0).socket.bytesRead === LARGE.length + 4_000_000, 'the pieces')
    expect(harness.connectionTo(0).input.isIncomplete).toBe(false)
    harness.server.peer.send(LARGE.slice(4_000_000) + bulk('c'))
    expect(await texts(wire, 1)).toEqual([bulk('c')])
  })

  test('passes through also where its first bytes come alone', async () => {
    await start({ answer: silent })
    const wire = await harness.wire()
    wire.send(encode('GET', 'a'))
    await harness.server.received(1)
    harness.server.peer.send(LARGE.slice(0, 4))
    await waitUntil(() => harness.connectionTo(0).input.isIncomplete, 'the first bytes')
    harness.server.peer.send(LARGE.slice(4, 5_000_000))
    await waitUntil(() => wire.received.length === 5_000_000, 'what is there to be passed on')
    harness.server.peer.send(LARGE.slice(5_000_000))
    expect((await wire.redisReplies(1))[0]!.length).toBe(LARGE.length)
  })
})

describe('greetings', () => {
  test('AUTH and SELECT come first; a refusal is logged; their replies reach nobody', async () => {
    await start({
      answer: request => (request[0] === 'SELECT' ? '-ERR DB index is out of range\r\n' : answerWithKey(request)),
      pool: { redisAuth: 'pw', redisDb: 99 },
    })
    const wire = await harness.wire()
    wire.send(Buffer.concat([encode('AUTH', 'pw'), encode('GET', 'a')]))
    expect(await texts(wire, 2)).toEqual(['+OK\r\n', bulk('value-of-a')])
    expect(harness.server.requests).toEqual([
      ['AUTH', 'pw'],
      ['SELECT', '99'],
      ['GET', 'a'],
    ])
    expect(harness.logs.messages().join()).toContain('SELECT 99 failed on p | s0: ERR DB index is out of range')
    expect(harness.serverStat(0, 'requests')).toBe(1)
    expect(harness.serverStat(0, 'responses')).toBe(1)
  })

  test('the end of a connection that was only greeting reaches nobody', async () => {
    await start({ answer: silent, pool: { redisAuth: 'pw' } })
    harness.pool.preconnect()
    await harness.server.received(1)
    harness.server.peer.socket.resetAndDestroy()
    await waitUntil(() => harness.serverOf(0).connectionCount === 0, 'the reset to be seen')
    await harness.expectAtRest()
  })
})
