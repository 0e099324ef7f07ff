/** Connections that must begin with a PROXY header: what the client gets of them, and what becomes of those without one. */

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { LINES_PER_INTERVAL } from '../../../../src/log/limited-log.ts'
import { GREETING_MS, type ProxyGreeting } from '../../../../src/worker/client/proxy-greeting.ts'
import { CloseReason } from '../../../../src/worker/request/reply-target.ts'
import { waitUntil } from '../../../support/wait.ts'
import { encode } from '../../../support/wire/resp.ts'
import { Harness } from '../../../support/worker/harness.ts'

const HEADER = Buffer.from('PROXY TCP4 10.0.0.7 10.0.0.1 51234 6379\r\n')
const PING = encode('PING')

let harness: Harness

beforeEach(async () => {
  harness = await Harness.start({ pool: { proxyProtocol: true } })
})
afterEach(() => harness.stop())

function greetings(): Set<ProxyGreeting> {
  return (harness.clients.watches.greetings as unknown as { items: Set<ProxyGreeting> }).items
}

test('the header and requests may come in one piece', async () => {
  const wire = await harness.wire()
  wire.send(Buffer.concat([HEADER, PING, PING]))
  expect(String(await wire.take(14))).toBe('+PONG\r\n+PONG\r\n')
  expect(harness.client.address).toBe('10.0.0.7:51234')
})

test('the header may come byte by byte, and the last byte with half a request', async () => {
  const wire = await harness.wire()
  const bytes = Buffer.concat([HEADER, PING])
  for (let at = 0; at < HEADER.length - 1; at++) {
    wire.send(bytes.subarray(at, at + 1))
    await waitUntil(() => harness.client.socket.bytesRead === at + 1, `byte ${at}`)
  }
  wire.send(bytes.subarray(HEADER.length - 1, HEADER.length + 5))
  await waitUntil(() => harness.client.socket.bytesRead === HEADER.length + 5, 'half a request')
  wire.send(bytes.subarray(HEADER.length + 5))
  expect(String(await wire.take(7))).toBe('+PONG\r\n')
})

test('without an address in the header the connection’s own is the client’s', async () => {
  const wire = await harness.wire()
  wire.send(Buffer.concat([Buffer.from('PROXY UNKNOWN\r\n'), PING]))
  await wire.take(7)
  expect(harness.client.address).toBe(`127.0.0.1:${wire.socket.localPort}`)
})

test('a second header is a request like any other', async () => {
  const wire = await harness.wire()
  wire.send(Buffer.concat([HEADER, Buffer.from('PROXY UNKNOWN\r\n')]))
  await wire.redisReplies(1)
  // The pool has one server, which gets what the proxy does not know.
  expect(harness.server.requests).toContainEqual(['PROXY', 'UNKNOWN'])
})

describe('a connection that is refused', () => {
  async function refused(bytes: Uint8Array, end = false): Promise<string> {
    const wire = await harness.wire()
    wire.send(bytes)
    if (end) wire.end()
    expect(await wire.untilClosed()).toHaveLength(0)
    await waitUntil(() => harness.clients.members.size === 0, 'the client to be gone')
    expect(harness.server.requests).toEqual([])
    expect(harness.poolStat('client_err')).toBe(1)
    return `${harness.logs.messages().at(-1)}`.replace(`${wire.socket.localPort}`, 'PORT')
  }

  test('has no header', async () => {
    expect(await refused(encode('SET', 'a', 'b'))).toBe("refused c 127.0.0.1:PORT of pool 'p': no PROXY header")
  })

  test('has a forged one', async () => {
    const forged = Buffer.from('PROXY TCP4 10.0.0.7 10.0.0.1 051234 6379\r\n')
    expect(await refused(Buffer.concat([forged, encode('SET', 'a', 'b')]))).toContain(': malformed line')
  })

  test('ends before the header does', async () => {
    expect(await refused(HEADER.subarray(0, 20), true)).toContain(': the connection ended within the PROXY header')
  })

  test('is late', async () => {
    const wire = await harness.wire()
    wire.send(HEADER.subarray(0, 20))
    await waitUntil(() => harness.clients.members.size === 1 && harness.client.socket.bytesRead === 20, 'a part')
    const [greeting] = greetings()
    const nowMs = harness.context.turn.nowMs
    expect(greeting!.checkTime(nowMs + GREETING_MS - 1_000)).toBe(true)
    expect(greeting!.checkTime(nowMs + GREETING_MS)).toBe(false)
    await wire.untilClosed()
    expect(harness.logs.messages().at(-1)).toContain(`: no PROXY header within ${GREETING_MS} ms`)
  })
})

test('a flood of refused connections is a few lines in the log', async () => {
  for (let i = 0; i < 20; i++) {
    const wire = await harness.wire()
    wire.send(PING)
    await wire.untilClosed()
  }
  await waitUntil(() => harness.poolStat('client_err') === 20, 'all to be counted')
  expect(harness.logs.messages().filter(line => line.startsWith('refused'))).toHaveLength(LINES_PER_INTERVAL)
})

test('who connects and leaves without a word is no error', async () => {
  const wire = await harness.wire()
  wire.end()
  await waitUntil(() => harness.poolStat('client_eof') === 1, 'the end')
  expect(harness.poolStat('client_err')).toBe(0)
  expect(harness.logs.messages()).toEqual([])
})

test('nobody waits for a header that has come, or whose connection is gone', async () => {
  const here = await harness.wire()
  here.send(HEADER)
  await waitUntil(() => harness.client.socket.bytesRead === HEADER.length, 'the header')
  const gone = await harness.wire()
  await waitUntil(() => greetings().size > 0 && harness.clients.members.size === 2, 'a greeting')
  gone.destroy()
  await waitUntil(() => harness.clients.members.size === 1, 'its end')
  await waitUntil(() => greetings().size === 0, 'nobody to be waited for')
})

test('the end of the process finds those that have not said a word', async () => {
  const wire = await harness.wire()
  await waitUntil(() => harness.clients.members.size === 1, 'the client')
  harness.context.drain(10_000)
  expect(await wire.untilClosed()).toHaveLength(0)
  await waitUntil(() => harness.posts.length > 0, 'the worker to report')
})

test('a header that comes after the end has begun changes nothing', async () => {
  const wire = await harness.wire()
  await waitUntil(() => harness.clients.members.size === 1, 'the client')
  const { client } = harness
  client.closeAfterReplies(CloseReason.none)
  wire.send(Buffer.concat([HEADER, encode('SET', 'a', 'b')]))
  await wire.untilClosed()
  await waitUntil(() => client.socket.bytesRead > 0 || client.closed, 'the header to be read')
  expect(client.announced).toBe('')
  expect(harness.server.requests).toEqual([])
})
