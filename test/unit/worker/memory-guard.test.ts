import { afterEach, expect, test } from 'vitest'
import { ProcessStat } from '../../../src/shared/stat-fields.ts'
import { waitUntil } from '../../support/wait.ts'
import { encode } from '../../support/wire/resp.ts'
import { Harness, type HarnessOptions } from '../../support/worker/harness.ts'
import { bulk, silent } from '../../support/worker/scripted-server.ts'

const MIB = 1_048_576
const LIMIT_BYTES = 8 * MIB
const GET = encode('GET', 'k')
const NIL = '$-1\r\n'

let harness: Harness

async function start(options: HarnessOptions = {}): Promise<void> {
  const pool = { clientMaxPending: 65_536, clientQueueBytes: 16 * MIB, serverQueueBytes: 64 * MIB }
  harness = await Harness.start({ memoryLimitBytes: LIMIT_BYTES, pool, ...options })
}

afterEach(() => harness.stop())

function lentBytes(): number {
  const { messages, turn } = harness.context
  return turn.memory.lent.totalBytes + messages.outstandingBytes
}

function repeat(count: number, bytes: Buffer): Buffer {
  return Buffer.concat(Array.from({ length: count }, () => bytes))
}

/** The beginning of a request of two values for two servers: it is gathered as a whole. */
function partOfMset(bytes: number): Buffer {
  const [first, second] = [harness.keyFor(0), harness.keyFor(1)]
  return encode('MSET', first, 'x'.repeat(bytes), second, 'y').subarray(0, bytes)
}

function logged(what: string): boolean {
  return harness.logs.messages().some(message => message.includes(what))
}

function pauses(): number {
  return harness.context.row[ProcessStat.memoryPauses]!
}

/** Lets the coarse timer do its part, so much later. */
function tick(ms: number): void {
  const { context } = harness
  context.turn.begin()
  context.memory.tick(context.turn.nowMs + ms)
}

test('clients are not read while memory is short, and read again when there is enough', async () => {
  await start({ answer: silent })
  harness.stopTicking()
  const [greedy, modest] = [await harness.wire(), await harness.wire()]
  // Replies that are known to be small open the window.
  greedy.send(repeat(60, GET))
  await harness.server.received(60)
  harness.server.peer.send(NIL.repeat(60))
  await greedy.redisReplies(60)
  greedy.send(repeat(60_000, GET))
  await waitUntil(() => harness.context.memory.pressed, 'memory to be short')
  expect(
    logged('MB of data are buffered in this worker: the worker stops reading from clients until there is less'),
  ).toBe(true)
  expect(pauses()).toBe(1)
  modest.send(GET)
  const taken = 60 + [...harness.clients.members].reduce((sum, client) => sum + client.pending, 0)
  await harness.server.received(taken)
  expect(taken).toBeLessThan(60_000)
  harness.server.answer = () => NIL
  harness.server.peer.send(NIL.repeat(harness.server.requestCount - 60))
  expect(await greedy.redisReplies(60_000)).toHaveLength(60_000)
  expect(String(await modest.redisReplies(1))).toBe(NIL)
  expect(harness.context.memory.pressed).toBe(false)
  expect(harness.poolStat('client_memory')).toBe(0)
})

test('over the limit those who have most are closed at once, until there is enough', async () => {
  await start({ servers: 2, answer: () => NIL })
  harness.stopTicking()
  const [small, large, larger] = [await harness.wire(), await harness.wire(), await harness.wire()]
  small.send(partOfMset(MIB))
  large.send(partOfMset(2 * MIB))
  await waitUntil(() => lentBytes() >= 3 * MIB, 'the first requests to arrive')
  larger.send(partOfMset(12 * MIB))
  await waitUntil(() => lentBytes() > LIMIT_BYTES || harness.context.memory.pressed, 'the last one to arrive')
  // Its input stops at three quarters; what came before is more than that by one read and the growth of its buffer.
  await waitUntil(() => pauses() === 1, 'the pause')
  tick(1_100)
  await larger.untilClosed()
  expect(large.closed).toBe(false)
  expect(small.closed).toBe(false)
  expect(harness.poolStat('client_memory')).toBe(1)
  expect(logged("of pool 'p' closed to free memory: it held")).toBe(true)
  small.send(encode('MSET', harness.keyFor(0), 'x'.repeat(MIB), harness.keyFor(1), 'y').subarray(MIB))
  harness.servers[0]!.answer = () => '+OK\r\n'
  harness.servers[1]!.answer = () => '+OK\r\n'
  expect(String(await small.redisReplies(1))).toBe('+OK\r\n')
})

test('a server that takes nothing is given up when its queue is what takes the memory', async () => {
  await start({ servers: 2, answer: silent })
  harness.stopTicking()
  const wires = await Promise.all(Array.from({ length: 4 }, () => harness.wire()))
  const set = encode('SET', harness.keyFor(0), 'v'.repeat(200_000))
  const first = wires[0]!
  first.send(set)
  await harness.servers[0]!.received(1)
  harness.servers[0]!.peer.socket.pause()
  for (const wire of wires) wire.send(repeat(20, set))
  await waitUntil(() => harness.context.memory.pressed, 'memory to be short')
  expect(harness.serverOf(0).allConnections()[0]!.memoryBytes).toBeGreaterThan(4 * MIB)
  tick(1_100)
  expect(String(await first.redisReplies(1))).toBe('-ERR Cannot allocate memory\r\n')
  expect(logged("a connection to server '127.0.0.1:")).toBe(true)
  expect(wires.some(wire => wire.closed)).toBe(false)
})

test('without a limit nobody is held back', async () => {
  await start({ servers: 2, answer: silent, memoryLimitBytes: 0 })
  const wire = await harness.wire()
  wire.send(partOfMset(12 * MIB))
  await waitUntil(() => lentBytes() > 12 * MIB - 65_536, 'the request to arrive')
  expect(harness.context.memory.pressed).toBe(false)
})

test('when a burst is over, the kept buffers are given up', async () => {
  await start({ answer: () => bulk('x'.repeat(100_000)), memoryLimitBytes: 0 })
  harness.stopTicking()
  const wires = await Promise.all(Array.from({ length: 3 }, () => harness.wire()))
  for (const wire of wires) wire.socket.pause()
  for (const wire of wires) wire.send(repeat(200, GET))
  await waitUntil(() => lentBytes() > 20 * MIB, 'replies to pile up')
  tick(0)
  for (const wire of wires) wire.socket.resume()
  for (const wire of wires) await wire.redisReplies(200)
  await waitUntil(() => lentBytes() < MIB, 'all replies to be written')
  const pool = harness.context.turn.memory.slabs
  const slab = pool.acquire()
  pool.release(slab)
  for (const ms of [1_000, 2_000, 3_000]) tick(ms)
  // The slab that was given last comes first, and the sixteen that stay are the oldest.
  const slabs = Array.from({ length: 16 }, () => pool.acquire())
  expect(slabs).not.toContain(slab)
  for (const each of slabs) pool.release(each)
})
