/**
 * Mutated client streams beside witnesses: whatever a client sends, the witnesses get all their
 * replies, no client gets another's, the fuzzed client gets whole replies in the order of its
 * requests, is let go when it ends, and nothing of it stays behind.
 */

import type { PoolConfig } from '../../src/shared/config.ts'
import { Random } from '../support/random.ts'
import { printable } from '../support/wire/resp.ts'
import { Asker, FuzzedClient, isFailure, isTooLarge, type ProtocolName, splitReplies, Witness } from './clients.ts'
import { Fault } from './fault.ts'
import type { InjectedFault } from './injected-fault.ts'
import { type Case, Fork, type Kind, usually } from './kind.ts'
import type { Misdeed } from './model-server.ts'
import { loadCorpus, mutate } from './mutate.ts'
import { witnessIn } from './tokens.ts'
import { World, type WorldOptions } from './world.ts'

/** Time in which the clients of a case are still active, ms of virtual time. */
const ACTIVE_MS = 2_000
const PASSWORD = 'password'
/** After these a client's replies may come in another order, or not all. */
const OUT_OF_ORDER = /subscribe|client|reset|keys|scan|monitor/i
/** Whoever ends its input while it waits for these is let go at once. */
const ENDLESS = /subscribe|b[lrz]|xread|wait/i
/** The reply to CLIENT LIST has the names that clients gave themselves. */
const CLIENT_LIST = /^\$\d+\r\nid=\d+ addr=/
/** A line of MONITOR shows the requests of other clients. */
const MONITOR_LINE = /^\+\d+\.\d{6} \[\d+ /
/** The first key that the error names may be of an earlier request: WATCH, or one of the transaction. */
const CROSS_SERVER = /^-CROSSSLOT Keys in request don't hash to the same server: '.*' and (?=')/s
const NOT_ALL =
  /reply|pfcount|subscribe|b[lrz]|xread|wait|multi|watch|client|reset|quit|hello|noreply|noop|q|shutdown|host:/i

/** A pool's settings, mostly the usual ones. */
function poolSettings(random: Random, protocol: ProtocolName, faulty: boolean): Partial<PoolConfig> {
  return {
    redis: protocol === 'redis',
    hashTag: [0x7b, 0x7d],
    distribution: random.pick(['ketama', 'modula', 'random']),
    timeoutMs: faulty ? random.pick([50, 200, 1_000]) : random.pick([0, 0, 2_000]),
    serverConnections: usually(random, 1, [2, 3]),
    strict: random.chance(0.1),
    crossServer: random.pick(['refuse', 'gather']),
    multi: random.pick(['atomic', 'split']),
    maxMessageBytes: usually(random, 0, [400_000, 450_000], 0.1),
    clientMaxPending: usually(random, 1_024, [1, 2, 8]),
    clientQueueBytes: usually(random, 1 << 20, [4_096, 65_536]),
    redisAuth: protocol === 'redis' ? usually(random, '', [PASSWORD], 0.2) : '',
    redisDb: protocol === 'redis' ? usually(random, 0, [3], 0.1) : 0,
    pingBeforeAuth: random.chance(0.3),
    configSet: random.chance(0.3),
    undeclaredKeys: random.chance(0.2) ? 'refuse' : 'warn',
    preconnect: random.chance(0.2),
  }
}

/** Now and then a server fails in the usual ways. */
function misdeedOf(random: Random): Misdeed | null {
  const dice = random.below(200)
  if (dice < 4) return { do: 'close' }
  if (dice < 8) return { do: 'reset' }
  if (dice < 10) return { do: 'stall' }
  return dice < 16 ? { do: 'late', ms: random.below(1_500) } : null
}

export class ClientKind implements Kind {
  readonly name: string
  readonly share: number
  private readonly protocol: ProtocolName
  private readonly corpus: readonly Buffer[]

  constructor(protocol: ProtocolName, share: number) {
    this.name = `${protocol}-client`
    this.share = share
    this.protocol = protocol
    const files = [`${protocol}-requests.json`, `${protocol}-found.json`]
    if (protocol === 'redis') files.splice(1, 0, 'redis-model-requests.json')
    this.corpus = files.flatMap(loadCorpus)
  }

  make(seed: number): Case {
    const random = new Random(seed).fork(Fork.streams)
    const streams = Array.from({ length: random.between(1, 4) }, () => mutate(random, this.corpus))
    return { seed, streams }
  }

  run(fuzzed: Case, injected: InjectedFault | null): void {
    const root = new Random(fuzzed.seed)
    const random = root.fork(Fork.options)
    const faulty = random.chance(0.15)
    const options: WorldOptions = {
      random: root.fork(Fork.world),
      pool: poolSettings(random, this.protocol, faulty),
      servers: random.between(1, 3),
      delayMs: random.pick([0, 1, 5]),
      isOdd: random.chance(0.5),
      injected,
    }
    const misdeeds = root.fork(Fork.world + 100)
    const world = new World(faulty ? { ...options, misdeed: () => misdeedOf(misdeeds) } : options)
    try {
      this.play(world, options, root.fork(Fork.actors), fuzzed.streams, faulty)
    } finally {
      world.end()
    }
  }

  private play(
    world: World,
    { pool }: WorldOptions,
    random: Random,
    streams: readonly Buffer[],
    faulty: boolean,
  ): void {
    const clients = streams.map((stream, i) => new FuzzedClient(world, random.fork(i), i, stream))
    const witnesses = [0, 1].map(i => {
      const own = random.fork(100 + i)
      const asker = new Asker(this.protocol, i, own, pool)
      return new Witness(world, this.protocol, `witness ${i}`, own, asker.pipelines(own.between(1, 2), 8))
    })
    if (random.chance(0.05)) this.reloadLater(world, random)
    world.runClients(ACTIVE_MS)
    for (const witness of witnesses) {
      witness.check(
        (asked, reply) =>
          (world.misdeeds > 0 && isFailure(this.protocol, reply, asked)) ||
          isTooLarge(this.protocol, reply, asked, pool.maxMessageBytes ?? 0),
      )
      // A strict pool closes the client of a multi-get that fails.
      if (!faulty && !(pool.strict && world.misdeeds > 0)) witness.checkComplete()
    }
    for (const client of clients) this.check(world, client, faulty || pool.strict === true)
    this.checkSerials(world, clients, pool.strict === true || faulty)
    world.rest()
  }

  private reloadLater(world: World, random: Random): void {
    world.loop.after(random.below(20), () =>
      world.reload({ timeoutMs: 3_000, clientMaxPending: random.pick([1, 100]) }),
    )
  }

  /** Whole replies, in the order of the requests, and no other client's. */
  private check(world: World, client: FuzzedClient, mayBreak: boolean): void {
    const { received, number } = client
    const { replies, rest } = splitReplies(this.protocol, received)
    const shown = `fuzzed client ${number} got ${printable(received, 300)}`
    const leaves = client.left || ENDLESS.test(client.stream.toString('latin1'))
    if (rest.length > 0 && !leaves && !mayBreak) throw new Fault('part of a reply', shown)
    const stream = client.stream.toString('latin1')
    const isOrdered = !OUT_OF_ORDER.test(stream)
    let last = -1
    for (const reply of replies) {
      const text = reply.toString('latin1')
      if (MONITOR_LINE.test(text) && /monitor/i.test(stream)) continue
      const whose = witnessIn(text)
      if (whose !== null && !stream.includes(whose)) throw new Fault('crossed', `${shown}, with ${whose}`)
      const tokens = world.marks.tokensIn(text)
      for (const { token, client: owner } of tokens) {
        // It may have said the same by chance.
        if (owner === number || stream.includes(token) || CLIENT_LIST.test(text)) continue
        throw new Fault('crossed', `${shown}, of which ${token} is client ${owner}'s`)
      }
      const answered = world.marks.tokensIn(text.replace(CROSS_SERVER, ''))
      const places = answered.flatMap(each => (each.client === number ? each.place : []))
      if (places.length === 0) continue
      if (isOrdered && Math.min(...places) < last)
        throw new Fault('order', `${shown}, not in the order of its requests`)
      last = Math.max(...places)
    }
  }

  /** What a server gave to a plain request went to one client, once. */
  private checkSerials(world: World, clients: readonly FuzzedClient[], lenient: boolean): void {
    const seen = new Map<number, number>()
    const texts = clients.map(client => client.received.toString('latin1'))
    for (const serial of texts.flatMap(text => world.marks.serialsIn(text))) {
      seen.set(serial, (seen.get(serial) ?? 0) + 1)
    }
    const streams = clients.map(client => client.stream.toString('latin1'))
    if (this.protocol === 'redis') {
      for (const [serial, times] of seen) {
        if (times > 1) throw new Fault('doubled', `reply #${serial}# came ${times} times`)
      }
    }
    if (lenient || clients.some(client => client.left) || streams.some(stream => NOT_ALL.test(stream))) return
    for (const serial of world.marks.given) {
      if (!seen.has(serial)) throw new Fault('dropped', `reply #${serial}# has reached no client`)
    }
  }
}
