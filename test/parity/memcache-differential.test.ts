/** 100,000 random memcached operations over many pool configurations, to nutcracker and to the subject, each over its own memcacheds. */

import { afterAll, describe, expect, test } from 'vitest'
import { flipByteAt, startRelay } from '../support/fakes/relay.ts'
import { stopAll } from '../support/processes/child.ts'
import {
  type ProxyKind,
  poolYml,
  type RunningProxy,
  SUBJECT,
  serverEntry,
  startProxy,
} from '../support/processes/proxy.ts'
import { startMemcached, type TestServer } from '../support/processes/servers.ts'
import { Random, runSeed } from '../support/random.ts'
import { memcacheReplyEnd } from '../support/wire/memcache-wire.ts'
import { Wire } from '../support/wire/wire.ts'
import { compareStream, DifferenceError } from './differential.ts'
import { MemcacheCommands } from './memcache-commands.ts'

const NAMES = ['a', 'b', 'server-3']
/** Replies compared per layout, shared out among its connections. */
const STEPS_PER_LAYOUT = 14_000

interface Layout {
  readonly hash: string
  readonly distribution: string
  readonly workers: number
  readonly connections: number
  readonly hashTag?: string
  readonly weights?: readonly number[]
  readonly servers?: number
  readonly unix?: boolean
}

const LAYOUTS: readonly Layout[] = [
  { hash: 'fnv1a_64', distribution: 'ketama', workers: 1, connections: 1 },
  { hash: 'murmur', distribution: 'ketama', workers: 2, connections: 1, hashTag: '{}' },
  { hash: 'crc32a', distribution: 'modula', workers: 1, connections: 1, weights: [1, 3, 2] },
  { hash: 'fnv1a_64', distribution: 'ketama', workers: 1, connections: 50 },
  { hash: 'md5', distribution: 'ketama', workers: 2, connections: 50, weights: [5, 1, 2] },
  { hash: 'one_at_a_time', distribution: 'modula', workers: 2, connections: 50, hashTag: '{}' },
  { hash: 'jenkins', distribution: 'ketama', workers: 2, connections: 8, unix: true },
  { hash: 'hsieh', distribution: 'modula', workers: 1, connections: 8 },
  { hash: 'fnv1a_64', distribution: 'random', workers: 2, connections: 4, servers: 1 },
]

const seed = runSeed()

afterAll(stopAll)

/** Fresh servers: their cas counters then start equal. */
function startServers(layout: Layout): Promise<TestServer[]> {
  const names = NAMES.slice(0, layout.servers ?? NAMES.length)
  return Promise.all(names.map(() => startMemcached({ unix: layout.unix ?? false })))
}

function start(kind: ProxyKind, servers: readonly TestServer[], layout: Layout): Promise<RunningProxy> {
  const { hash, distribution, hashTag, weights } = layout
  const keys = { hash, distribution, timeout: 20_000, ...(hashTag === undefined ? {} : { hash_tag: `"${hashTag}"` }) }
  const entries = servers.map((server, index) =>
    serverEntry(server, NAMES[index]!, { weight: weights?.[index] ?? 1, unix: layout.unix ?? false }),
  )
  return startProxy({ kind, workers: layout.workers, yml: poolYml({ keys, servers: entries }) })
}

interface Run {
  readonly layout: Layout
  readonly label: string
  readonly seed: number
  readonly subjectPort: number
  readonly referencePort: number
}

interface Result {
  readonly compared: number
  /** Every key that was used. */
  readonly keys: readonly string[]
}

async function compareConnections(run: Run): Promise<Result> {
  const { connections } = run.layout
  const all = Array.from({ length: connections }, (_, connection) => {
    const random = new Random(run.seed).fork(connection)
    return { random, commands: new MemcacheCommands(random, { connection, alone: connections === 1 }) }
  })
  const streams = all.map(({ random, commands }, connection) =>
    compareStream({
      reference: { port: run.referencePort },
      subject: { port: run.subjectPort },
      endOf: memcacheReplyEnd,
      random,
      next: () => commands.next(),
      epilogue: [commands.last()],
      observe: (step, reply) => commands.observe(step, reply),
      count: Math.ceil(STEPS_PER_LAYOUT / connections),
      label: `${run.label}, connection ${connection}, run seed ${run.seed}`,
    }),
  )
  const settled = await Promise.allSettled(streams)
  let compared = 0
  for (const stream of settled) {
    if (stream.status === 'rejected') throw stream.reason
    compared += stream.value
  }
  return { compared, keys: all.flatMap(({ commands }) => commands.keys) }
}

/** What each server holds of `keys`, asked directly. */
function contents(servers: readonly TestServer[], keys: readonly string[]): Promise<string[]> {
  return Promise.all(
    servers.map(async server => {
      const wire = await Wire.open(server.path === '' ? { port: server.port } : { path: server.path })
      for (const key of keys) wire.send(Buffer.from(`get ${key}\r\n`, 'latin1'))
      const replies = await wire.memcacheReplies(keys.length)
      wire.destroy()
      return replies.map(reply => reply.toString('latin1')).join('')
    }),
  )
}

function describeLayout(layout: Layout): string {
  return Object.entries(layout)
    .map(([key, value]) => (key === 'hash' || key === 'distribution' ? `${value}` : `${key} ${value}`))
    .join(', ')
}

describe('memcache pools give the same bytes as nutcracker', () => {
  let compared = 0

  test.each(LAYOUTS.map((layout, index) => [describeLayout(layout), layout, index] as const))(
    '%s',
    async (label, layout, index) => {
      const [referenceServers, subjectServers] = await Promise.all([startServers(layout), startServers(layout)])
      const reference = await start('nutcracker', referenceServers, layout)
      const subject = await start(SUBJECT, subjectServers, layout)
      try {
        const ports = { referencePort: reference.ports[0]!, subjectPort: subject.ports[0]! }
        const result = await compareConnections({ layout, label, seed: seed + index, ...ports })
        compared += result.compared
        const held = await contents(subjectServers, result.keys)
        expect(
          held.some(text => text.includes('VALUE')),
          'the servers hold data',
        ).toBe(true)
        expect(
          held.join('') === (await contents(referenceServers, result.keys)).join(''),
          'each server holds the same',
        ).toBe(true)
      } finally {
        await Promise.all([reference.stop(), subject.stop()])
        await Promise.all([...referenceServers, ...subjectServers].map(server => server.stop()))
      }
    },
  )

  test('at least 100,000 replies were compared', () => {
    expect(compared).toBeGreaterThanOrEqual(100_000)
  })
})

describe('the comparison itself', () => {
  test('catches one flipped bit in the replies', async () => {
    const layout = LAYOUTS[0]!
    const [referenceServers, subjectServers] = await Promise.all([startServers(layout), startServers(layout)])
    const reference = await start('nutcracker', referenceServers, layout)
    const subject = await start('nutcracker', subjectServers, layout)
    const relay = await startRelay(subject.ports[0]!, flipByteAt(20_000))
    try {
      const run = { layout, label: 'tampered', seed, referencePort: reference.ports[0]!, subjectPort: relay.port }
      await expect(compareConnections(run)).rejects.toThrow(DifferenceError)
    } finally {
      await relay.stop()
      await Promise.all([reference.stop(), subject.stop()])
    }
  })
})
