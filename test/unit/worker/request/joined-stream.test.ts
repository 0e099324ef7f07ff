/** MGET whose values are too large to be gathered: they go out in the order of the keys while they arrive. */

import { afterEach, describe, expect, test } from 'vitest'
import { Random, runSeed } from '../../../support/random.ts'
import { waitUntil } from '../../../support/wait.ts'
import { encode } from '../../../support/wire/resp.ts'
import type { Wire } from '../../../support/wire/wire.ts'
import { Harness, type HarnessOptions } from '../../../support/worker/harness.ts'
import { bulk, silent } from '../../../support/worker/scripted-server.ts'

const MIB = 1_048_576
const seed = runSeed()

let harness: Harness

afterEach(() => harness.stop())

/** Servers that have values of the size that a key names: `<size>:<label>`; `nil:` has none. */
function answerMget(request: readonly string[]): string {
  if (request[0]!.toUpperCase() !== 'MGET') return bulk(textOf(request[1]!))
  const values = request.slice(1).map(key => (key.startsWith('nil') ? '$-1\r\n' : bulk(textOf(key))))
  return `*${values.length}\r\n${values.join('')}`
}

function textOf(key: string): string {
  return key.slice(-1).repeat(Number.parseInt(key, 10))
}

function replyTo(keys: readonly string[]): Buffer {
  return Buffer.from(answerMget(['MGET', ...keys]), 'latin1')
}

async function start(options: HarnessOptions = {}): Promise<Wire> {
  harness = await Harness.start({ servers: 2, answer: answerMget, ...options })
  return harness.wire()
}

/** A key on a server whose value is so large. */
function keyOn(server: number, size: number | 'nil', label: string): string {
  for (let i = 0; ; i++) {
    const key = `${size}:${i}${label}`
    const bytes = Buffer.from(key, 'latin1')
    if (harness.pool.router.route(bytes, 0, bytes.length) === server) return key
  }
}

async function reply(wire: Wire): Promise<Buffer> {
  return (await wire.redisReplies(1, { timeoutMs: 20_000 }))[0]!
}

describe('values that arrive', () => {
  test('in any order and size make one reply in the order of the keys', { timeout: 60_000 }, async () => {
    const random = new Random(seed)
    const wire = await start({ servers: 3 })
    for (let round = 0; round < 20; round++) {
      const keys = Array.from({ length: 2 + random.below(12) }, (_, i) => {
        const size = random.pick(['nil', 0, 7, 5_000, 40_000, 300_000, 300_000, 2_000_000] as const)
        return keyOn(random.below(3), size, String.fromCharCode(97 + i))
      })
      wire.send(Buffer.concat([encode('MGET', ...keys), encode('PING')]))
      expect((await reply(wire)).equals(replyTo(keys)), keys.join(' ')).toBe(true)
      expect(String(await reply(wire))).toBe('+PONG\r\n')
    }
  })

  test('in pieces of any size', { timeout: 30_000 }, async () => {
    const wire = await start({ answer: silent })
    const keys = [keyOn(0, 300_000, 'a'), keyOn(1, 'nil', 'b'), keyOn(1, 300_000, 'c'), keyOn(0, 12, 'd')]
    const replies = [replyTo([keys[0]!, keys[3]!]), replyTo([keys[1]!, keys[2]!])]
    for (const size of [1_003, 100_001]) {
      const before = harness.servers.map(server => server.peers[0]?.requests.length ?? 0)
      wire.send(encode('MGET', ...keys))
      for (const [i, server] of harness.servers.entries()) await server.received(before[i]! + 1)
      for (let at = 0; at < replies[0]!.length; at += size) {
        for (const [i, server] of harness.servers.entries()) {
          const piece = replies[i]!.subarray(at, at + size)
          const read = harness.connectionTo(i).socket.bytesRead
          server.peer.send(piece)
          await waitUntil(
            () => harness.connectionTo(i).socket.bytesRead === read + piece.length,
            'the piece to be read',
          )
        }
      }
      expect((await reply(wire)).equals(replyTo(keys))).toBe(true)
    }
  })

  test('go out before the last one has come', async () => {
    const wire = await start({ answer: silent })
    const keys = [keyOn(0, 400_000, 'a'), keyOn(1, 400_000, 'b')]
    wire.send(encode('MGET', ...keys))
    for (const server of harness.servers) await server.received(1)
    const [first, second] = keys.map(key => replyTo([key]))
    harness.servers[1]!.peer.send(second!.subarray(0, 300_000))
    harness.servers[0]!.peer.send(first!)
    await waitUntil(() => wire.received.length > 400_000 + 280_000, 'the first value and a part of the second')
    harness.servers[1]!.peer.send(second!.subarray(300_000))
    expect((await reply(wire)).equals(replyTo(keys))).toBe(true)
  })

  test('wait behind the replies that come first, and pushes of requests behind them keep their place', async () => {
    const wire = await start({ answer: silent })
    const [early, ...keys] = [keyOn(0, 5, 'x'), keyOn(1, 400_000, 'a'), keyOn(0, 400_000, 'b')]
    wire.send(Buffer.concat([encode('GET', early!), encode('MGET', ...keys), encode('PING'), encode('MGET', ...keys)]))
    for (const server of harness.servers) await server.received(server === harness.server ? 3 : 2)
    for (const _ of [1, 2]) harness.servers[1]!.peer.send(replyTo([keys[0]!]))
    await waitUntil(() => harness.client.heldBytes > 400_000, 'the values to be kept')
    harness.servers[0]!.peer.send(Buffer.concat([Buffer.from(bulk('first')), replyTo([keys[1]!]), replyTo([keys[1]!])]))
    expect(String(await reply(wire))).toBe(bulk('first'))
    expect((await reply(wire)).equals(replyTo(keys))).toBe(true)
    expect(String(await reply(wire))).toBe('+PONG\r\n')
    expect((await reply(wire)).equals(replyTo(keys))).toBe(true)
    expect(harness.client.heldBytes).toBe(0)
  })
})

describe('memory', () => {
  test('values before their turn stay with their server where no other client waits behind them', async () => {
    const wire = await start()
    harness.servers[0]!.answer = silent
    const keys = [keyOn(0, 400_000, 'a'), keyOn(1, 20_000_000, 'b')]
    wire.send(encode('MGET', ...keys))
    await waitUntil(() => harness.connectionTo(1) === undefined, 'the server to wait')
    expect(harness.client.memoryBytes).toBeLessThan(3 * MIB)
    const other = await harness.wire()
    other.send(encode('GET', keyOn(1, 5, 'c')))
    expect(String(await reply(other))).toBe(bulk('ccccc'))
    await harness.server.received(1)
    harness.server.peer.send(replyTo([keys[0]!]))
    expect((await reply(wire)).equals(replyTo(keys))).toBe(true)
  })

  test('a client that reads slowly pauses the server, and gets all in the end', async () => {
    const wire = await start()
    wire.socket.pause()
    const keys = [keyOn(0, 15_000_000, 'a'), keyOn(1, 15_000_000, 'b'), keyOn(0, 15_000_000, 'c')]
    wire.send(encode('MGET', ...keys))
    await waitUntil(() => harness.client.source !== null, 'the server to be paused')
    expect(harness.client.memoryBytes).toBeLessThan(4 * MIB)
    wire.socket.resume()
    expect((await reply(wire)).equals(replyTo(keys))).toBe(true)
  })

  test('a client that leaves sets the servers free', async () => {
    const wire = await start()
    wire.socket.pause()
    const keys = [keyOn(0, 15_000_000, 'a'), keyOn(1, 15_000_000, 'b')]
    wire.send(encode('MGET', ...keys))
    await waitUntil(() => harness.client.source !== null, 'the server to be paused')
    wire.reset()
    await waitUntil(() => harness.poolStat('client_connections') === 0, 'its end')
    await harness.expectAtRest()
    const other = await harness.wire()
    other.send(encode('MGET', keyOn(0, 5, 'x'), keyOn(1, 5, 'y')))
    expect(String(await reply(other))).toBe(`*2\r\n${bulk('xxxxx')}${bulk('yyyyy')}`)
  })

  test('two clients with the same servers do not wait for each other for ever', { timeout: 30_000 }, async () => {
    const wires = [await start(), await harness.wire(), await harness.wire()]
    const keys = [
      keyOn(0, 3_000_000, 'a'),
      keyOn(1, 3_000_000, 'b'),
      keyOn(0, 3_000_000, 'c'),
      keyOn(1, 3_000_000, 'd'),
    ]
    const orders = [keys, [...keys].reverse(), [keys[1]!, keys[0]!, keys[3]!, keys[2]!]]
    for (const [i, wire] of wires.entries()) {
      wire.send(Buffer.concat([encode('MGET', ...orders[i]!), encode('MGET', ...orders[i]!)]))
    }
    for (const [i, wire] of wires.entries()) {
      for (const _ of [1, 2]) expect((await reply(wire)).equals(replyTo(orders[i]!))).toBe(true)
    }
  })
})

describe('failures', () => {
  test('before a part is out the client gets the error, and the connection of the other server lives on', async () => {
    const wire = await start({ answer: silent })
    const keys = [keyOn(0, 400_000, 'a'), keyOn(1, 4_000_000, 'b')]
    wire.send(Buffer.concat([encode('MGET', ...keys), encode('GET', keys[1]!)]))
    await harness.servers[0]!.received(1)
    await harness.servers[1]!.received(2)
    const large = replyTo([keys[1]!])
    harness.servers[1]!.peer.send(large.subarray(0, 3_000_000))
    await waitUntil(() => harness.client.heldBytes > MIB, 'values to be kept')
    harness.servers[0]!.peer.send('-ERR no\r\n')
    harness.servers[1]!.peer.send(Buffer.concat([large.subarray(3_000_000), Buffer.from(bulk('next'))]))
    expect(String(await reply(wire))).toBe('-ERR no\r\n')
    expect(String(await reply(wire))).toBe(bulk('next'))
    expect(harness.servers[1]!.peers.length).toBe(1)
  })

  test.each([
    ['the server whose value goes out', 0],
    ['another server', 1],
  ])('%s ends after a part is out: the client is closed', async (_name, ending) => {
    const wire = await start({ answer: silent })
    const keys = [keyOn(0, 400_000, 'a'), keyOn(1, 400_000, 'b')]
    wire.send(encode('MGET', ...keys))
    for (const [i, server] of harness.servers.entries()) {
      await server.received(1)
      server.peer.send(replyTo([keys[i]!]).subarray(0, 300_000))
    }
    await waitUntil(() => wire.received.length > 200_000, 'a part of the reply')
    harness.servers[ending]!.peer.socket.end()
    expect((await wire.untilClosed()).indexOf('ERR')).toBe(-1)
    harness.servers[1 - ending]!.peer.send(replyTo([keys[1 - ending]!]).subarray(300_000))
    await harness.expectAtRest()
  })

  test('a value that is none ends the connection of its server, and the client that has a part of the reply', async () => {
    const wire = await start({ answer: silent })
    const keys = [keyOn(0, 400_000, 'a'), keyOn(0, 5, 'b'), keyOn(1, 400_000, 'c')]
    wire.send(encode('MGET', ...keys))
    for (const server of harness.servers) await server.received(1)
    harness.servers[1]!.peer.send(replyTo([keys[2]!]))
    harness.servers[0]!.peer.send(`*2\r\n${bulk('a'.repeat(400_000))}:5\r\n`)
    expect((await wire.untilClosed()).indexOf('ERR')).toBe(-1)
    expect(harness.serverStat(0, 'server_err')).toBe(1)
  })

  test('a large part is in time as long as its bytes come; a server that stops has the timeout', async () => {
    const wire = await start({ answer: silent, pool: { timeoutMs: 300 } })
    const keys = [keyOn(0, 400_000, 'a'), keyOn(1, 400_000, 'b')]
    wire.send(encode('MGET', ...keys))
    for (const server of harness.servers) await server.received(1)
    harness.servers[0]!.peer.send(replyTo([keys[0]!]))
    harness.servers[1]!.peer.send(replyTo([keys[1]!]).subarray(0, 300_000))
    await wire.untilClosed()
    expect(harness.serverStat(1, 'server_timedout')).toBe(1)
  })

  test('max_message_bytes refuses the whole, and nothing of it is out', async () => {
    const wire = await start({ pool: { maxMessageBytes: 500_000 } })
    const keys = [keyOn(0, 400_000, 'a'), keyOn(0, 400_000, 'b'), keyOn(1, 400_000, 'c')]
    wire.send(encode('MGET', ...keys))
    expect(String(await reply(wire))).toBe('-ERR reply is larger than max_message_bytes\r\n')
    wire.send(encode('MGET', keys[0]!, keys[2]!))
    expect((await reply(wire)).equals(replyTo([keys[0]!, keys[2]!]))).toBe(true)
  })
})

test('whatever ends in the middle, the others get their replies and nothing stays behind', {
  timeout: 60_000,
}, async () => {
  const random = new Random(seed)
  const steady = await start({ servers: 3, pool: { clientQueueBytes: 1 << 20 } })
  for (let round = 0; round < 25; round++) {
    const ask = (): string[] =>
      Array.from({ length: 2 + random.below(6) }, (_, i) =>
        keyOn(random.below(3), random.pick([10, 50_000, 400_000, 3_000_000]), String.fromCharCode(97 + i)),
      )
    const victims = await Promise.all([0, 1, 2].map(() => harness.wire()))
    for (const victim of victims) {
      if (random.below(2) === 0) victim.socket.pause()
      victim.send(
        Buffer.concat([encode('MGET', ...ask()), encode('GET', keyOn(0, 400_000, 'x')), encode('MGET', ...ask())]),
      )
    }
    const delayed = random.below(40)
    await waitUntil(() => harness.server.peers.length > 0, 'a connection')
    await new Promise(resolve => setTimeout(resolve, delayed))
    for (const victim of victims) victim.reset()
    if (random.below(3) === 0) random.pick(harness.servers).peers.at(-1)?.socket.destroy()
    await harness.expectAtRest()
    const keys = ask()
    steady.send(encode('MGET', ...keys))
    const text = await reply(steady)
    if (text[0] === 0x2d) expect(String(text)).toMatch(/^-ERR /)
    else expect(text.equals(replyTo(keys))).toBe(true)
  }
})
