/**
 * Mutated server replies: a healthy server and one that answers with damaged bytes, stalls, closes and resets. Clients of the broken
 * server must get one whole reply for each request, requests to the healthy one must not notice, and once the broken server is sane
 * again its clients are served.
 */

import { afterAll, describe, expect, test } from 'vitest'
import { type Action, type FakeServer, startFakeServer } from '../support/fakes/fake-server.ts'
import { MemcacheOwner } from '../support/owner/memcache-owner.ts'
import { RedisOwner } from '../support/owner/redis-owner.ts'
import { type Address, stopAll } from '../support/processes/child.ts'
import { poolYml, serverEntry, startProxy } from '../support/processes/proxy.ts'
import { startMemcached, startRedis, type TestServer } from '../support/processes/servers.ts'
import { Random, runSeed } from '../support/random.ts'
import { waitUntil } from '../support/wait.ts'
import { memcacheReplyEnd } from '../support/wire/memcache-wire.ts'
import { encode, printable, replyEnd } from '../support/wire/resp.ts'
import { type EndOf, Wire } from '../support/wire/wire.ts'
import { loadCorpus, mutate } from './mutate.ts'

/** Requests to the broken server a protocol; the full suite asks for more. */
const ROUNDS = Number(process.env.FUZZ_ROUNDS ?? 2_500)
const CLIENTS = 8
/** Of the pool whose clients ask the broken server, so that its stalls cost little time. */
const SUFFERING_TIMEOUT_MS = 150
/** Of the pool in which nothing may fail, however busy the machine is. */
const WITNESS_TIMEOUT_MS = 20_000
/** A pipeline may meet several stalls in a row, each of which costs the pool's timeout. */
const REPLY_TIMEOUT_MS = 20_000
const TAGS = 64
const WITNESS_NAME = 'witness'
/** A bulk or data block of 100,000 bytes or more, or an array of that many elements. */
const ANNOUNCES_MUCH = /(^|\n)([$*]\d{6,}|VALUE [^ ]+ \d+ \d{6,}( \d+)?)\r\n/

const seed = runSeed()

afterAll(stopAll)

interface Target {
  readonly protocol: 'redis' | 'memcache'
  readonly startServer: () => Promise<TestServer>
  readonly endOf: EndOf
  /** Reads `key`; a server that works answers with `miss`. */
  readonly get: (key: string) => Buffer
  readonly miss: string
  readonly witness: (
    name: string,
    random: Random,
    address: Address,
  ) => { run(pipelines: number): Promise<void>; checked: number }
}

const TARGETS: readonly Target[] = [
  {
    protocol: 'redis',
    startServer: () => startRedis(),
    endOf: replyEnd,
    get: key => encode('GET', key),
    miss: '$-1\r\n',
    witness: (name, random, address) => new RedisOwner(name, random, address),
  },
  {
    protocol: 'memcache',
    startServer: () => startMemcached(),
    endOf: memcacheReplyEnd,
    get: key => Buffer.from(`get ${key}\r\n`),
    miss: 'END\r\n',
    witness: (name, random, address) => new MemcacheOwner(name, random, address),
  },
]

/** What the broken server does next. */
function misbehave(random: Random, corpus: readonly Buffer[], miss: Buffer): Action {
  const choice = random.below(100)
  if (choice < 40) return { do: 'reply', bytes: miss, cuts: random.cuts(miss.length, 3) }
  if (choice < 92) {
    const bytes = mutate(random, corpus)
    return choice < 85
      ? { do: 'reply', bytes, cuts: random.cuts(bytes.length, random.between(1, 5)) }
      : { do: 'close', bytes }
  }
  if (choice < 95) return { do: 'close' }
  return choice < 98 ? { do: 'reset' } : { do: 'stall' }
}

/** A hash tag whose keys go to the broken server, and one whose keys do not. */
interface Tags {
  broken: string
  healthy: string
}

async function findTags(
  target: Target,
  port: number,
  broken: FakeServer,
): Promise<{ broken: string; healthy: string }> {
  const wire = await Wire.open({ port })
  const tags: Tags = { broken: '', healthy: '' }
  for (let tag = 0; tag < TAGS; tag++) {
    const before = broken.requests.length
    wire.send(target.get(`{${tag}}probe`))
    await wire.replies(1, target.endOf)
    tags[broken.requests.length > before ? 'broken' : 'healthy'] = `{${tag}}`
  }
  wire.destroy()
  expect(tags.broken !== '' && tags.healthy !== '', 'both servers own a tag').toBe(true)
  return tags
}

/**
 * A client of the broken server, and now and then of the healthy one: for each request exactly one
 * whole reply, in the protocol that it speaks. Only a reply that announced more than the proxy
 * holds back may break off, with the connection, when the server does not deliver it.
 */
async function suffer(target: Target, port: number, tags: Tags, random: Random): Promise<void> {
  let wire = await Wire.open({ port })
  try {
    for (let sent = 0; sent < ROUNDS / CLIENTS; ) {
      const healthy = Array.from({ length: random.between(1, 4) }, () => random.chance(0.25))
      for (const isHealthy of healthy) wire.send(target.get(`${isHealthy ? tags.healthy : tags.broken}:${sent++}`))
      const replies: Buffer[] = []
      try {
        await wire.replies(healthy.length, target.endOf, { timeoutMs: REPLY_TIMEOUT_MS, into: replies })
      } catch (error) {
        if (!wire.closed || !ANNOUNCES_MUCH.test(wire.received.toString('latin1', 0, 1000))) throw error
        wire.destroy()
        wire = await Wire.open({ port })
      }
      for (const [index, reply] of replies.entries()) checkReply(target, reply, healthy[index]!)
    }
    expect(wire.received.length, `bytes after the last reply: ${printable(wire.received)}`).toBe(0)
  } catch (error) {
    throw new Error(`${error} (seed ${seed})`)
  } finally {
    wire.destroy()
  }
}

function checkReply(target: Target, reply: Buffer, healthy: boolean): void {
  const text = reply.toString('latin1')
  // A busy machine may let even the healthy server's reply come too late for this pool's short timeout.
  if (healthy && text !== target.miss && !text.includes('Connection timed out')) {
    throw new Error(`the healthy server's reply is ${printable(reply)}`)
  }
  if (text.includes(WITNESS_NAME)) throw new Error(`got what belongs to another client: ${printable(reply)}`)
  if (target.protocol === 'redis' && !/^[-+:$*]/.test(text)) throw new Error(`not RESP2: ${printable(reply)}`)
}

/** Asks until the broken server's keys are served again; from then on every reply must be right. */
async function expectRecovery(target: Target, port: number, prefix: string): Promise<void> {
  const wire = await Wire.open({ port })
  const ask = async (): Promise<string> => {
    wire.send(target.get(`${prefix}:after`))
    return String(await wire.replies(1, target.endOf))
  }
  await waitUntil(async () => (await ask()) === target.miss, 'the sane server to be used again')
  for (let round = 0; round < 20; round++) expect(await ask()).toBe(target.miss)
  wire.destroy()
}

describe.each(TARGETS)('mutated $protocol server replies', target => {
  test('reach only the clients of the broken server, one whole reply for each request', async () => {
    const root = new Random(seed)
    const corpus = loadCorpus(`${target.protocol}-replies.json`)
    const miss = Buffer.from(target.miss)
    let sane = true
    const random = root.fork(0)
    const broken = await startFakeServer(target.protocol, () =>
      sane ? { do: 'reply', bytes: miss } : misbehave(random, corpus, miss),
    )
    const healthy = serverEntry(await target.startServer(), 'healthy')
    const keys = { hash: 'md5', hash_tag: '"{}"', ...(target.protocol === 'redis' ? { redis: true } : {}) }
    const servers = [`127.0.0.1:${broken.port}:1 broken`, healthy]
    const suffering = poolYml({ name: 'suffering', keys: { ...keys, timeout: SUFFERING_TIMEOUT_MS }, servers })
    const calm = poolYml({
      name: 'calm',
      listen: '127.0.0.1:@PORT1@',
      keys: { ...keys, timeout: WITNESS_TIMEOUT_MS },
      servers,
    })
    const proxy = await startProxy({ yml: suffering + calm })
    const port = proxy.ports[0]!
    const tags = await findTags(target, port, broken)

    sane = false
    const witness = target.witness(`${tags.healthy}${WITNESS_NAME}`, root.fork(1), { port: proxy.ports[1]! })
    const clients = Array.from({ length: CLIENTS }, (_, index) => {
      return suffer(target, port, tags, root.fork(10 + index))
    })
    let active = true
    const done = Promise.all(clients).finally(() => {
      active = false
    })
    const watched = (async () => {
      do await witness.run(3)
      while (active)
    })()
    await Promise.all([done, watched])
    expect(witness.checked).toBeGreaterThan(0)

    sane = true
    await expectRecovery(target, port, tags.broken)
    expect(proxy.child.alive).toBe(true)
    expect(proxy.log()).not.toMatch(/worker \d+ died|Assertion failed/)
    await proxy.stop()
    await broken.stop()
  })
})
