/**
 * Everything at once: clients that pipeline, cut, leave and reset; servers that answer slowly, in pieces, late, wrongly or not at all; reloads
 * in between. Each reply must be the one of its request or an error that the faults explain, and in the end nothing may be lent any more.
 */

import type { Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { Random, runSeed } from '../../support/random.ts'
import { decode, encode, printable, replyEnd } from '../../support/wire/resp.ts'
import type { Wire } from '../../support/wire/wire.ts'
import { Harness } from '../../support/worker/harness.ts'
import { bulk } from '../../support/worker/scripted-server.ts'

const CLIENTS = 24
const SESSIONS = 25
const TIMEOUT_MS = 250

/** What clients may get in place of a reply while servers fail. */
const FAILURES = new RegExp(
  `^-ERR (${[
    'Server closed the connection',
    'Connection refused',
    'Connection timed out',
    'Connection reset by peer',
    'Invalid argument',
    'Broken pipe',
    // No server has told of its commands.
    'the proxy does not know .*',
  ].join('|')})\r\n$`,
)

let harness: Harness

afterEach(() => harness.stop())

/** Size of the value of a key: most are small. */
function sizeOf(key: string): number {
  const digits = Number(key.replace(/\D/g, ''))
  if (digits % 97 === 0) return 300_000 + digits
  if (digits % 23 === 0) return 15_000 + digits
  return digits % 50
}

function valueUnder(key: string): string {
  return bulk(`<${key}>`.padEnd(sizeOf(key), `.${key}`))
}

function answer([name, ...args]: readonly string[]): string {
  switch (name!.toUpperCase()) {
    case 'GET':
      return valueUnder(args[0]!)
    case 'MGET':
      return `*${args.length}\r\n${args.map(valueUnder).join('')}`
    case 'DEL':
      return `:${args.length}\r\n`
    default:
      return '+OK\r\n'
  }
}

/** Serves a connection with faults. */
function serve(random: Random, socket: Socket): void {
  let pending = Buffer.alloc(0)
  let chain = Promise.resolve()
  socket.on('data', chunk => {
    pending = Buffer.concat([pending, chunk])
    for (let end = replyEnd(pending, 0, pending.length); end >= 0; end = replyEnd(pending, 0, pending.length)) {
      const request = decode(pending.subarray(0, end)) as string[]
      pending = pending.subarray(end)
      const reply = Buffer.from(answer(request), 'latin1')
      chain = chain.then(() => send(random, socket, reply))
      if (pending.length === 0) break
    }
  })
  socket.on('end', () => socket.destroy())
}

async function send(random: Random, socket: Socket, reply: Buffer): Promise<void> {
  if (socket.destroyed) return
  const dice = random.below(4000)
  if (dice < 4) socket.resetAndDestroy()
  else if (dice < 8) socket.end(reply.subarray(0, random.below(reply.length)))
  else if (dice < 10) socket.write('?garbage\r\n')
  else if (dice < 13) await new Promise(resolve => setTimeout(resolve, TIMEOUT_MS * random.pick([1, 2, 5])))
  for (let turns = random.pick([0, 0, 0, 1, 3]); turns > 0; turns--) await nextTurn()
  let from = 0
  for (const cut of random.chance(0.1) ? random.cuts(reply.length, 4) : []) {
    socket.write(reply.subarray(from, cut))
    from = cut
    await nextTurn()
  }
  if (!socket.destroyed) socket.write(reply.subarray(from))
}

interface Asked {
  readonly request: Buffer
  readonly reply: string
  /** The reply may break off: it goes to its client as it comes. */
  readonly streams: boolean
}

function ask(random: Random): Asked {
  const key = (): string => `key:${random.below(20_000)}`
  const dice = random.below(100)
  if (dice < 50) {
    const name = key()
    return { request: encode('GET', name), reply: valueUnder(name), streams: sizeOf(name) >= 200_000 }
  }
  if (dice < 65) {
    const keys = Array.from({ length: random.between(1, 12) }, key)
    return {
      request: encode('MGET', ...keys),
      reply: keys.length === 1 ? answer(['MGET', ...keys]) : `*${keys.length}\r\n${keys.map(valueUnder).join('')}`,
      streams: false,
    }
  }
  if (dice < 75) {
    const keys = Array.from({ length: random.between(1, 8) }, key)
    return { request: encode('DEL', ...keys), reply: `:${keys.length}\r\n`, streams: false }
  }
  if (dice < 90) {
    const bytes = random.chance(0.03) ? random.between(200_000, 900_000) : random.below(300)
    return { request: encode('SET', key(), Buffer.alloc(bytes, 'v')), reply: '+OK\r\n', streams: false }
  }
  if (dice < 96) return { request: encode('PING'), reply: '+PONG\r\n', streams: false }
  if (dice < 98) {
    return { request: Buffer.from('ping\r\n'), reply: '+PONG\r\n', streams: false }
  }
  return {
    request: encode('NOSUCH'),
    reply: "-ERR unknown command 'NOSUCH', with args beginning with: \r\n",
    streams: false,
  }
}

function check(asked: Asked, reply: string, where: string): void {
  if (reply === asked.reply || FAILURES.test(reply)) return
  const what = printable(asked.request, 100)
  expect(printable(Buffer.from(reply, 'latin1'), 200), `${where}: reply to ${what}`).toBe(
    printable(Buffer.from(asked.reply, 'latin1'), 200),
  )
}

/** One connection from its first request to its end, by whatever way. */
async function session(random: Random, where: string): Promise<{ replies: number; failures: number }> {
  const wire: Wire = await harness.connect()
  let replies = 0
  let failures = 0
  for (let burst = random.between(1, 6); burst > 0; burst--) {
    const asked = Array.from({ length: random.pick([1, 1, 5, 20, 120]) }, () => ask(random))
    const stream = Buffer.concat(asked.map(each => each.request))
    if (random.chance(0.1)) wire.socket.pause()
    await wire.sendCut(stream, random.chance(0.3) ? random.cuts(stream.length, 6) : [])
    if (random.chance(0.05)) {
      if (random.chance(0.5)) wire.reset()
      else wire.end()
      return { replies, failures }
    }
    wire.socket.resume()
    for (const each of asked) {
      const [reply] = await wire.redisReplies(1, { timeoutMs: 20_000 }).catch((error: Error) => {
        // Only a reply that was on its way piece by piece may break off.
        if (each.streams && wire.closed) return [null]
        throw new Error(`${where}: ${error.message} to ${printable(each.request, 100)}`)
      })
      if (reply === null) {
        expect(each.reply.startsWith(wire.received.toString('latin1'))).toBe(true)
        return { replies, failures: failures + 1 }
      }
      const text = reply!.toString('latin1')
      check(each, text, where)
      replies++
      if (text !== each.reply) failures++
    }
  }
  if (random.chance(0.5)) {
    wire.send(encode('QUIT'))
    expect(String(await wire.untilClosed())).toBe('+OK\r\n')
  } else {
    wire.destroy()
  }
  return { replies, failures }
}

test('no reply is wrong, crossed or lost, and nothing stays behind', { timeout: 240_000 }, async () => {
  const seed = runSeed()
  const random = new Random(seed)
  let served = 0
  harness = await Harness.start({
    servers: 3,
    pool: { timeoutMs: TIMEOUT_MS, serverConnections: 2, clientQueueBytes: 200_000, serverConnectTimeoutMs: 2000 },
    sockets: socket => serve(random.fork(1_000_000 + served++), socket),
  })
  const { servers } = harness.config
  let running = CLIENTS
  let replies = 0
  let failures = 0
  const clients = Array.from({ length: CLIENTS }, async (_, client) => {
    const own = random.fork(client)
    for (let i = 0; i < SESSIONS; i++) {
      const result = await session(own, `seed ${seed}, client ${client}, session ${i}`)
      replies += result.replies
      failures += result.failures
    }
  }).map(done => done.finally(() => running--))
  const reloads = async (): Promise<void> => {
    const own = random.fork(CLIENTS)
    while (running > 0) {
      for (let i = 0; i < 300; i++) await nextTurn()
      harness.reload({
        timeoutMs: own.pick([TIMEOUT_MS, TIMEOUT_MS * 2]),
        serverConnections: own.between(1, 3),
        redisDb: own.pick([0, 0, 1]),
        clientQueueBytes: own.pick([50_000, 200_000, 1_000_000]),
        servers: own.chance(0.5) ? servers : [servers[2]!, servers[0]!, servers[1]!],
      })
    }
  }
  await Promise.all([...clients, reloads()])
  console.log(`${replies} replies, ${failures} of them failures, ${served} connections to servers`)
  // The faults are neither without effect nor overwhelming.
  expect(replies).toBeGreaterThan(CLIENTS * SESSIONS * 20)
  expect(failures).toBeGreaterThan(20)
  expect(failures).toBeLessThan(replies * 0.8)
})
