/**
 * Mutated client streams against a running proxy: it must answer with whole replies or close, let go of every client that has finished,
 * stay alive in bounded memory, and never give one client what belongs to another.
 */

import { readFileSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { afterAll, describe, expect, test } from 'vitest'
import { listen } from '../support/fakes/open-server.ts'
import { MemcacheOwner } from '../support/owner/memcache-owner.ts'
import { RedisOwner } from '../support/owner/redis-owner.ts'
import { type Address, stopAll } from '../support/processes/child.ts'
import { poolYml, type RunningProxy, serverEntry, startProxy } from '../support/processes/proxy.ts'
import { startMemcached, startRedis, type TestServer } from '../support/processes/servers.ts'
import { Random, runSeed } from '../support/random.ts'
import { memcacheReplyEnd } from '../support/wire/memcache-wire.ts'
import { printable, replyEnd } from '../support/wire/resp.ts'
import { type EndOf, Wire } from '../support/wire/wire.ts'
import { loadCorpus, mutate } from './mutate.ts'

/** Mutated streams a protocol; the full suite asks for more. */
const ROUNDS = Number(process.env.FUZZ_ROUNDS ?? 4_000)
const FUZZERS = 8
const WITNESSES = 4
const WITNESS_NAME = 'witness'
const CLOSE_TIMEOUT_MS = 10_000
const MOST_RESIDENT_KB = 600 * 1024

const seed = runSeed()

afterAll(stopAll)

interface Target {
  readonly protocol: 'redis' | 'memcache'
  readonly startServer: () => Promise<TestServer>
  readonly endOf: EndOf
  readonly witness: (
    index: number,
    random: Random,
    address: Address,
  ) => { run(pipelines: number): Promise<void>; checked: number }
}

const TARGETS: readonly Target[] = [
  {
    protocol: 'redis',
    startServer: () => startRedis(),
    endOf: replyEnd,
    witness: (index, random, address) => new RedisOwner(`${WITNESS_NAME}-${index}`, random, address),
  },
  {
    protocol: 'memcache',
    startServer: () => startMemcached(),
    endOf: memcacheReplyEnd,
    witness: (index, random, address) => new MemcacheOwner(`${WITNESS_NAME}-${index}`, random, address),
  },
]

/** One mutated stream over a connection of its own: cut into segments, then the end of input. */
async function sendStream(
  port: number,
  random: Random,
  stream: Buffer,
  endOf: EndOf,
  closeTimeoutMs = CLOSE_TIMEOUT_MS,
): Promise<void> {
  const wire = await Wire.open({ port })
  try {
    await wire.sendCut(stream, random.chance(0.5) ? [] : random.cuts(stream.length, random.between(2, 8)))
    if (random.chance(0.1)) return
    wire.end()
    const received = await wire.untilClosed(closeTimeoutMs)
    if (received.includes(WITNESS_NAME)) throw new Error(`got what belongs to another client: ${printable(received)}`)
    checkWhole(received, endOf)
  } catch (error) {
    throw new Error(`${error}\nstream (seed ${seed}): ${printable(stream, 4000)}`)
  } finally {
    wire.destroy()
  }
}

/** Everything received must be whole replies. */
function checkWhole(received: Buffer, endOf: EndOf): void {
  for (let at = 0; at < received.length; ) {
    const end = endOf(received, at, received.length)
    if (end < 0) throw new Error(`a reply in part: ${printable(received.subarray(at))}`)
    at = end
  }
}

async function fuzz(target: Target, port: number, random: Random): Promise<void> {
  const corpus = loadCorpus(`${target.protocol}-requests.json`)
  for (let round = 0; round < ROUNDS / FUZZERS; round++)
    await sendStream(port, random, mutate(random, corpus), target.endOf)
}

function residentKb(proxy: RunningProxy): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${proxy.pid}/status`, 'utf8'))?.[1])
}

describe.each(TARGETS)('mutated $protocol client streams', target => {
  test('harm only their senders', async () => {
    const servers = await Promise.all([target.startServer(), target.startServer()])
    const entries = servers.map((server, index) => serverEntry(server, `server-${index}`))
    const keys = { timeout: 5000, ...(target.protocol === 'redis' ? { redis: true } : {}) }
    const proxy = await startProxy({ workers: 2, yml: poolYml({ keys, servers: entries }) })
    const port = proxy.ports[0]!
    const root = new Random(seed)
    const fuzzers = Array.from({ length: FUZZERS }, (_, index) => fuzz(target, port, root.fork(index)))
    let fuzzing = true
    const done = Promise.all(fuzzers).finally(() => {
      fuzzing = false
    })
    const witnesses = Array.from({ length: WITNESSES }, (_, index) =>
      target.witness(index, root.fork(1000 + index), { port }),
    )
    const watched = witnesses.map(async witness => {
      do await witness.run(5)
      while (fuzzing)
    })
    await Promise.all([done, ...watched])

    for (const witness of witnesses) expect(witness.checked).toBeGreaterThan(0)
    expect(proxy.child.alive).toBe(true)
    expect(proxy.log()).not.toMatch(/worker \d+ died|Assertion failed/)
    expect(residentKb(proxy)).toBeLessThan(MOST_RESIDENT_KB)
    await proxy.stop()
  })
})

describe('the checks themselves', () => {
  async function sendTo(answer: (socket: Socket) => void): Promise<void> {
    const sockets: Socket[] = []
    const server = createServer({ allowHalfOpen: true }, socket => {
      sockets.push(socket)
      socket.resume()
      socket.on('error', () => {})
      answer(socket)
    })
    const port = await listen(server)
    try {
      // A seed whose stream is not abandoned.
      await sendStream(port, new Random(1), Buffer.from('*1\r\n$4\r\nPING\r\n'), replyEnd, 500)
    } finally {
      for (const socket of sockets) socket.destroy()
      server.close()
    }
  }

  test('pass a proxy that answers and closes', async () => {
    await sendTo(socket => socket.end('+PONG\r\n'))
  })

  test('catch a proxy that holds on to a client', async () => {
    await expect(sendTo(socket => socket.write('+PONG\r\n'))).rejects.toThrow('the connection to close')
  })

  test('catch a reply in part', async () => {
    await expect(sendTo(socket => socket.end('$5\r\nhel'))).rejects.toThrow('a reply in part')
  })

  test("catch a witness's reply", async () => {
    await expect(sendTo(socket => socket.end(`+${WITNESS_NAME}-0#1;\r\n`))).rejects.toThrow('belongs to another client')
  })
})
