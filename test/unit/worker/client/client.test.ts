import type { Socket } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { PONG } from '../../../../src/protocol/redis/replies.ts'
import { LINGER_MS } from '../../../../src/worker/client/client-ending.ts'
import { REQUEST_STALL_MS } from '../../../../src/worker/client/client-input.ts'
import { answerLocally } from '../../../../src/worker/request/delivery.ts'
import { CloseReason } from '../../../../src/worker/request/reply-target.ts'
import { waitUntil } from '../../../support/wait.ts'
import { encode } from '../../../support/wire/resp.ts'
import type { Wire } from '../../../support/wire/wire.ts'
import { Harness, type HarnessOptions } from '../../../support/worker/harness.ts'
import { bulk, silent } from '../../../support/worker/scripted-server.ts'

let harness: Harness

async function start(options?: HarnessOptions): Promise<void> {
  harness = await Harness.start(options)
}

afterEach(() => harness.stop())

function repeat(count: number, make: (i: number) => Buffer): Buffer {
  return Buffer.concat(Array.from({ length: count }, (_, i) => make(i)))
}

async function texts(wire: Wire, count: number): Promise<string[]> {
  return (await wire.redisReplies(count)).map(reply => reply.toString('latin1'))
}

/** Sends a reply that the worker reads in two parts, so that it is gathered and then goes out without a copy. */
async function sendInHalves(reply: string): Promise<void> {
  const half = reply.length >> 1
  harness.server.peer.send(reply.slice(0, half))
  await waitUntil(() => harness.connectionTo(0).input.isIncomplete, 'half a reply')
  harness.server.peer.send(reply.slice(half))
}

describe('order', () => {
  test('replies leave in the order of the requests, whichever server is slow', async () => {
    await start({ servers: 3, answer: silent })
    const wire = await harness.wire()
    const keys = [0, 1, 2, 0].map((server, i) => harness.keyFor(server, i))
    const requests = [...keys.map(key => encode('GET', key)), encode('PING'), encode('SAVE'), encode('DEL', ...keys)]
    wire.send(Buffer.concat(requests))
    await harness.servers[0]!.received(3)
    await harness.servers[1]!.received(2)
    await harness.servers[2]!.received(2)
    harness.servers[2]!.peer.send('$1\r\n2\r\n:1\r\n')
    harness.servers[1]!.peer.send('$1\r\n1\r\n:1\r\n')
    await waitUntil(() => harness.client.heldBytes > 0, 'early replies to be held')
    expect(wire.received.length).toBe(0)
    harness.servers[0]!.peer.send('$1\r\n0\r\n$1\r\n3\r\n:2\r\n')
    expect(await texts(wire, 7)).toEqual([
      '$1\r\n0\r\n',
      '$1\r\n1\r\n',
      '$1\r\n2\r\n',
      '$1\r\n3\r\n',
      '+PONG\r\n',
      "-ERR unsupported command 'save'\r\n",
      ':4\r\n',
    ])
    expect(harness.client.heldBytes).toBe(0)
    expect(harness.client.pending).toBe(0)
  })

  test('an early reply of any size arrives whole and in its place', async () => {
    await start({ servers: 2, answer: silent })
    const wire = await harness.wire()
    const sizes = [0, 1, 100, 16_384, 16_385, 70_000, 300_000, 3_000_000]
    const first = harness.keyFor(0)
    const second = harness.keyFor(1)
    wire.send(Buffer.concat([encode('GET', first), ...sizes.map(() => encode('GET', second))]))
    await harness.servers[0]!.received(1)
    await harness.servers[1]!.received(sizes.length)
    const values = sizes.map((size, i) => bulk(String.fromCharCode(97 + i).repeat(size)))
    harness.servers[1]!.peer.send(values.join(''))
    await waitUntil(() => harness.client.heldBytes === values.join('').length, 'all early replies to be held')
    harness.servers[0]!.peer.send(bulk('first'))
    expect(await texts(wire, 1 + sizes.length)).toEqual([bulk('first'), ...values])
  })

  test('a million pipelined requests through one connection', { timeout: 120_000 }, async () => {
    const total = 1_000_000
    const digits = (i: number): string => String(i).padStart(7, '0')
    const request = encode('GET', digits(0))
    const requests = repeat(total, i => encode('GET', digits(i)))
    await start({ sockets: socket => socket.on('data', echoDigits(request.length, request.indexOf('0000000'))) })
    const wire = await harness.wire()
    wire.send(requests)
    let mostPending = 0
    for (let answered = 0; answered < total; answered += 10_000) {
      const expected = Array.from({ length: 10_000 }, (_, i) => bulk(digits(answered + i))).join('')
      const received = await wire.take(expected.length)
      if (received.toString('latin1') !== expected) expect(received.toString('latin1')).toBe(expected)
      mostPending = Math.max(mostPending, harness.client.pending)
    }
    expect(mostPending).toBeLessThanOrEqual(harness.config.clientMaxPending)
  })
})

/** Answers each request of `size` bytes with the seven that stand at `at`, without looking at the rest. */
function echoDigits(size: number, at: number): (this: Socket, chunk: Buffer) => void {
  let rest = Buffer.alloc(0)
  return function answer(this: Socket, chunk: Buffer): void {
    rest = Buffer.concat([rest, chunk])
    const count = Math.trunc(rest.length / size)
    const replies = Buffer.alloc(count * 13, '$7\r\n.......\r\n')
    for (let i = 0; i < count; i++) rest.copy(replies, i * 13 + 4, i * size + at, i * size + at + 7)
    rest = rest.subarray(count * size)
    this.write(replies)
  }
}

describe('bounds', () => {
  test('has no more requests under way than client_max_pending', async () => {
    await start({ answer: silent, pool: { clientMaxPending: 10 } })
    const wire = await harness.wire()
    wire.send(repeat(100, i => encode('GET', i)))
    for (let answered = 0; answered < 100; answered++) {
      await harness.server.received(answered + 1)
      expect(harness.server.requests.length).toBeLessThanOrEqual(answered + 10)
      expect(harness.client.pending).toBeLessThanOrEqual(10)
      harness.server.peer.send(`:${answered}\r\n`)
    }
    expect(await texts(wire, 100)).toEqual(Array.from({ length: 100 }, (_, i) => `:${i}\r\n`))
  })

  test('a client whose replies are large has few requests under way', async () => {
    await start({ answer: () => bulk('x'.repeat(100_000)), pool: { clientQueueBytes: 1_000_000 } })
    const wire = await harness.wire()
    wire.send(encode('GET', 'a'))
    await wire.redisReplies(1)
    for (let i = 0; i < 5; i++) {
      wire.send(encode('GET', 'a'))
      await wire.redisReplies(1)
    }
    harness.server.answer = silent
    const before = harness.server.requests.length
    wire.send(repeat(200, () => encode('GET', 'a')))
    await waitUntil(() => !harness.client.socket.reading, 'the client to be full')
    await harness.server.received(before + harness.client.pending)
    expect(harness.client.pending).toBeLessThanOrEqual(12)
  })

  test('reads on when the last of its output was written within the flush of a turn', async () => {
    // Each reply alone fills the queue of 8 KB, and the kernel takes it at once: only the flush can tell that there is room.
    await start({ answer: silent, pool: { clientQueueBytes: 8192 } })
    const wire = await harness.wire()
    wire.send(repeat(60, i => encode('GET', i)))
    await harness.server.received(1)
    harness.stopTicking()
    for (let answered = 0; answered < 60; answered++) {
      await harness.server.received(answered + 1)
      await sendInHalves(bulk('x'.repeat(20_000)))
    }
    await wire.redisReplies(60)
  })

  test('a client that does not read is not read, and reads on when it does', async () => {
    await start({ answer: () => bulk('x'.repeat(10_000)), pool: { clientQueueBytes: 100_000 } })
    const wire = await harness.wire()
    wire.socket.pause()
    const total = 3000
    wire.send(repeat(total, i => encode('GET', i)))
    await waitUntil(() => harness.client.socket.queuedBytes >= 100_000, 'output to pile up')
    await waitUntil(() => harness.client.pending === 0, 'what is under way to be answered')
    expect(harness.client.socket.reading).toBe(false)
    // The requests of a window may be under way when the mark is reached.
    expect(harness.client.socket.pendingBytes).toBeLessThan(400_000)
    wire.socket.resume()
    const replies = await wire.redisReplies(total)
    expect(replies.every(reply => reply.length === 10_010)).toBe(true)
  })

  test('answers of its own count as output that is not read', async () => {
    await start({ pool: { clientQueueBytes: 50_000 } })
    const wire = await harness.wire()
    wire.socket.pause()
    const ping = encode('PING')
    const pings = repeat(10_000, () => ping)
    while (harness.client.socket.reading) {
      wire.send(pings)
      await waitUntil(() => wire.socket.writableLength === 0 || !harness.client.socket.reading, 'the worker to read')
    }
    expect(harness.client.socket.queuedBytes).toBeGreaterThanOrEqual(50_000)
    expect(harness.client.socket.pendingBytes).toBeLessThan(50_000 + 65_536)
    // Such a client is watched: one that never reads again is closed some day.
    harness.client.output.checkWrites(harness.context.turn.nowMs)
    harness.client.output.checkWrites(harness.context.turn.nowMs + 70_000)
    expect(harness.poolStat('client_overrun')).toBe(1)
  })

  test('a client above four times client_queue_bytes is closed', async () => {
    await start({ answer: silent, pool: { clientQueueBytes: 8192 } })
    const wire = await harness.wire()
    wire.socket.pause()
    const client = harness.client
    client.socket.writable = false
    harness.context.turn.begin()
    for (let i = 0; i < 8; i++) client.socket.append(Buffer.alloc(8192), 0, 8192)
    expect(client.output.checkWrites(harness.context.turn.nowMs)).toBe(false)
    expect(harness.poolStat('client_overrun')).toBe(1)
    expect(harness.logs.messages().join()).toMatch(
      /closed: it does not read its replies: 65536 bytes are buffered, it read nothing for 0 ms and has 0 requests in flight; .* 8192 bytes, .* 32768 bytes/,
    )
  })
})

describe('a client that has begun a request', () => {
  function check(ms: number): boolean {
    return harness.client.checkRequest(harness.context.turn.nowMs + ms)
  }

  test('and does not go on is closed after a minute, and is no other client', async () => {
    await start()
    const wire = await harness.wire()
    wire.send(encode('SET', 'k', 'x'.repeat(1_000)).subarray(0, 500))
    await waitUntil(() => harness.client.memoryBytes > 0, 'the beginning')
    expect(check(REQUEST_STALL_MS - 1_000)).toBe(true)
    expect(check(REQUEST_STALL_MS)).toBe(false)
    await wire.untilClosed()
    expect(harness.poolStat('client_stalled')).toBe(1)
    expect(harness.logs.messages().join()).toMatch(
      /c \S+ of pool 'p' closed: it sent 500 bytes of a request and then nothing for/,
    )
  })

  test('waits as long as it likes for the reply to an earlier one', async () => {
    await start({ answer: silent })
    const wire = await harness.wire()
    wire.send(Buffer.concat([encode('GET', 'a'), encode('GET', 'b').subarray(0, 10)]))
    await waitUntil(() => harness.client.memoryBytes > 0, 'the beginning')
    expect(check(REQUEST_STALL_MS * 10)).toBe(true)
    await harness.server.received(1)
    harness.server.peer.send(bulk('a'))
    expect(String(await wire.redisReplies(1))).toBe(bulk('a'))
    wire.send(encode('GET', 'b').subarray(10))
    await harness.server.received(2)
    harness.server.peer.send(bulk('b'))
    expect(String(await wire.redisReplies(1))).toBe(bulk('b'))
    expect(check(REQUEST_STALL_MS * 10)).toBe(false)
    expect(wire.closed).toBe(false)
  })
})

describe('the end', () => {
  test('a half-close ends the input; what was asked is answered, then the connection closes', async () => {
    await start({ answer: silent })
    const wire = await harness.wire()
    wire.send(Buffer.concat([encode('GET', 'a'), encode('GET', 'b'), Buffer.from('*1\r\n$4\r\nPI')]))
    wire.end()
    await harness.server.received(2)
    await waitUntil(
      () => harness.logs.messages().some(line => line.includes('discarding incomplete req len 10')),
      'the log',
    )
    harness.server.peer.send(bulk('1') + bulk('2'))
    expect(String(await wire.untilClosed())).toBe(bulk('1') + bulk('2'))
    await waitUntil(() => harness.clients.members.size === 0, 'the client to be gone')
    expect(harness.poolStat('client_eof')).toBe(1)
    expect(harness.poolStat('client_err')).toBe(0)
  })

  test('a half-close of a client that must wait is met when its turn comes', async () => {
    await start({ answer: silent, pool: { clientMaxPending: 4 } })
    const wire = await harness.wire()
    wire.send(repeat(20, i => encode('GET', i)))
    wire.end()
    for (let answered = 0; answered < 20; answered++) {
      await harness.server.received(answered + 1)
      harness.server.peer.send(`:${answered}\r\n`)
    }
    expect(String(await wire.untilClosed())).toBe(Array.from({ length: 20 }, (_, i) => `:${i}\r\n`).join(''))
  })

  test('QUIT in the middle: earlier replies, OK, close; what follows is ignored', async () => {
    await start({ answer: silent })
    const wire = await harness.wire()
    wire.send(Buffer.concat([encode('GET', 'a'), encode('QUIT'), encode('SET', 'a', 'b'), encode('GET', 'a')]))
    await harness.server.received(1)
    wire.send(encode('SET', 'a', 'c'))
    await waitUntil(() => harness.client.pending === 2, 'QUIT to be read')
    await sendInHalves(bulk('x'.repeat(20_000)))
    expect(String(await wire.untilClosed())).toBe(`${bulk('x'.repeat(20_000))}+OK\r\n`)
    await waitUntil(() => harness.clients.members.size === 0, 'the client to be gone')
    expect(harness.server.requests).toEqual([['GET', 'a']])
    expect(harness.poolStat('client_eof')).toBe(1)
  })

  test('a reset closes at once; requests on their way are still executed and their replies swallowed', async () => {
    await start({ servers: 2, answer: silent })
    const wire = await harness.wire()
    const other = await harness.wire()
    const keys = [harness.keyFor(0), harness.keyFor(1)]
    wire.send(Buffer.concat([encode('GET', keys[0]!), encode('MGET', ...keys), encode('PING')]))
    await harness.servers[0]!.received(2)
    await harness.servers[1]!.received(1)
    harness.servers[1]!.peer.send('*1\r\n$1\r\nx\r\n')
    wire.reset()
    await waitUntil(() => harness.clients.members.size === 1, 'the worker to see the reset')
    expect(harness.poolStat('client_err')).toBe(1)
    other.send(encode('GET', keys[0]!))
    await harness.servers[0]!.received(3)
    harness.servers[0]!.peer.send('$1\r\na\r\n*1\r\n$1\r\nb\r\n$1\r\nc\r\n')
    expect(await texts(other, 1)).toEqual(['$1\r\nc\r\n'])
  })

  test('a client that leaves while replies are held gives everything back', async () => {
    await start({ servers: 2, answer: silent })
    const wire = await harness.wire()
    const slow = harness.keyFor(0)
    const fast = harness.keyFor(1)
    wire.send(Buffer.concat([encode('GET', slow), ...[1, 2, 3].map(() => encode('GET', fast)), encode('PING')]))
    await harness.servers[1]!.received(3)
    harness.servers[1]!.peer.send(bulk('1') + bulk('x'.repeat(100_000)) + bulk('3'))
    await waitUntil(() => harness.client.heldBytes > 100_000, 'replies to be held')
    wire.reset()
    await waitUntil(() => harness.clients.members.size === 0, 'the worker to see the reset')
    harness.servers[0]!.peer.send('+late\r\n')
    await harness.expectAtRest()
  })

  test('a malformed request is answered after the replies due, then the connection closes', async () => {
    await start({ answer: silent })
    const wire = await harness.wire()
    wire.send(Buffer.concat([encode('GET', 'a'), Buffer.from('*1\r\nPING\r\n'), encode('SET', 'a', 'b')]))
    await harness.server.received(1)
    harness.server.peer.send(bulk('1'))
    expect(String(await wire.untilClosed())).toBe(`${bulk('1')}-ERR Protocol error: expected '$', got 'P'\r\n`)
    await waitUntil(() => harness.clients.members.size === 0, 'the client to be gone')
    expect(harness.poolStat('client_err')).toBe(1)
    expect(harness.server.requests.length).toBe(1)
  })

  test('a TLS client is closed without a reply, and the log says what it speaks', async () => {
    await start()
    const wire = await harness.wire()
    wire.send(Buffer.from('\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 'latin1'))
    expect(String(await wire.untilClosed())).toBe('')
    expect(harness.logs.messages().join()).toContain('it speaks TLS')
  })

  test.each(['POST', 'PATCH', 'GET'])('a web browser that is led here by %s executes nothing', async method => {
    await start()
    const wire = await harness.wire()
    const body = 'SET a b\r\nFLUSHALL\r\n'
    wire.send(Buffer.from(`${method} / HTTP/1.0\r\nContent-Length: ${body.length}\r\n\r\n${body}`))
    expect(String(await wire.untilClosed())).toBe('')
    await waitUntil(() => harness.clients.members.size === 0, 'the browser to be gone')
    const other = await harness.wire()
    other.send(encode('GET', 'a'))
    await other.redisReplies(1)
    expect(harness.server.requests).toEqual([['GET', 'a']])
    expect(harness.logs.messages().join()).toContain('speaks HTTP')
  })

  test('strict: a refused command that comes in two parts closes at once, and nothing behind it is executed', async () => {
    await start({ pool: { strict: true } })
    const wire = await harness.wire()
    const refused = encode('FOO', 'x'.repeat(100))
    wire.send(refused.subarray(0, 50))
    await waitUntil(() => harness.client.socket.bytesRead === 50, 'the first part')
    wire.send(Buffer.concat([refused.subarray(50), encode('SET', 'a', 'b'), encode('SET', 'c', 'd').subarray(0, 12)]))
    expect(String(await wire.untilClosed())).toBe('')
    const other = await harness.wire()
    other.send(encode('GET', 'a'))
    await other.redisReplies(1)
    expect(harness.server.requests).toEqual([['GET', 'a']])
  })

  test('a request above max_message_bytes is refused before it is gathered', async () => {
    await start({ pool: { maxMessageBytes: 10_000 } })
    const wire = await harness.wire()
    wire.send(Buffer.from('*2\r\n$3\r\nDEL\r\n$20000\r\nabc'))
    expect(String(await wire.untilClosed())).toMatch(/^-ERR Protocol error: request is larger/)
  })

  test('input of a closing client is dropped for a while only', async () => {
    await start()
    const wire = await harness.wire()
    wire.send(encode('QUIT'))
    await wire.redisReplies(1)
    const client = harness.client
    // This side stays open: the peer must not be reset while it may still read.
    await waitUntil(() => client.lingerUntilMs > 0, 'the worker to send FIN')
    expect(client.lingerUntilMs - harness.context.turn.nowMs).toBeLessThanOrEqual(LINGER_MS)
    client.close(CloseReason.none)
    expect(harness.poolStat('client_eof')).toBe(1)
  })
})

describe('drain', () => {
  test('idle clients close at once, others once they are answered', async () => {
    await start({ answer: silent })
    const idle = await harness.wire()
    const busy = await harness.wire()
    busy.send(encode('GET', 'a'))
    await harness.server.received(1)
    harness.context.drain(10_000)
    await idle.untilClosed()
    expect(harness.posts).toEqual([])
    harness.server.peer.send(bulk('1'))
    expect(String(await busy.untilClosed())).toBe(bulk('1'))
    busy.destroy()
    await waitUntil(() => harness.posts.length > 0, 'the worker to report')
    expect(harness.posts).toEqual([{ type: 'drained' }])
  })

  test('a client that makes no pause is served until the last call; what it is not answered was not executed', async () => {
    await start({ answer: () => bulk('1') })
    const wire = await harness.wire()
    const startedMs = performance.now()
    harness.context.drain(400)
    let answered = 0
    for (;;) {
      wire.send(encode('GET', 'a'))
      const reply = await wire.redisReplies(1).catch(() => null)
      if (reply === null) break
      expect(String(reply[0])).toBe(bulk('1'))
      answered++
    }
    expect(performance.now() - startedMs).toBeGreaterThan(290)
    expect(harness.server.requests.length).toBe(answered)
    await waitUntil(() => harness.posts.length > 0, 'the worker to report')
  })

  test('an answer that is not written yet is written first', async () => {
    await start()
    const wire = await harness.wire()
    harness.context.turn.begin()
    answerLocally(harness.client, PONG)
    harness.context.drain(10_000)
    expect(String(await wire.untilClosed())).toBe('+PONG\r\n')
    await waitUntil(() => harness.posts.length > 0, 'the worker to report')
    expect(harness.posts).toEqual([{ type: 'drained' }])
  })

  test('a request that has begun to arrive may end, also where the proxy itself answers it', async () => {
    await start()
    const wire = await harness.wire()
    const ping = encode('PING')
    wire.send(ping.subarray(0, 5))
    await waitUntil(() => harness.client.socket.bytesRead === 5, 'a part of a request')
    harness.context.drain(10_000)
    wire.send(ping.subarray(5))
    expect(String(await wire.untilClosed())).toBe('+PONG\r\n')
  })

  test('requests that wait for room are answered', async () => {
    await start({ answer: silent, pool: { clientMaxPending: 4 } })
    const wire = await harness.wire()
    wire.send(repeat(10, i => encode('GET', i)))
    await harness.server.received(4)
    harness.context.drain(10_000)
    for (let answered = 0; answered < 10; answered++) {
      await harness.server.received(answered + 1)
      harness.server.peer.send(`:${answered}\r\n`)
    }
    expect(String(await wire.untilClosed())).toBe(Array.from({ length: 10 }, (_, i) => `:${i}\r\n`).join(''))
  })

  test('a client that arrives while the worker drains is closed', async () => {
    await start()
    harness.context.drain(10_000)
    const wire = await harness.connect()
    await wire.untilClosed()
    await waitUntil(() => harness.clients.members.size === 0, 'the client to be gone')
  })
})

test('parsers that clients used are kept small and few', async () => {
  await start()
  const wires = await Promise.all(Array.from({ length: 80 }, () => harness.wire()))
  const half = encode('PING').subarray(0, 6)
  for (const wire of wires) wire.send(half)
  await waitUntil(() => [...harness.clients.members].every(client => client.socket.bytesRead === 6), 'all to be read')
  for (const wire of wires) wire.send(encode('PING').subarray(6))
  await Promise.all(wires.map(wire => wire.redisReplies(1)))
  wires[0]!.send(encode('DEL', ...Array.from({ length: 20_000 }, (_, i) => i)))
  await wires[0]!.redisReplies(1)
  const parsers = harness.clients.requestParsers as unknown as { args: Int32Array }[]
  expect(parsers.length).toBeGreaterThan(0)
  expect(parsers.length).toBeLessThanOrEqual(64)
  for (const parser of parsers) expect(parser.args.length).toBeLessThan(5000)
})
