/**
 * Mutated server replies: of two servers one answers with damaged bytes, late, or not at all, and
 * ends connections. Each request of a client gets one whole reply or an error of the proxy's; what
 * was answered well is passed on as it is, to the client that it belongs to; and when the server is
 * sane again its keys are served.
 */

import type { PoolConfig } from '../../src/shared/config.ts'
import { Random } from '../support/random.ts'
import { encode, printable } from '../support/wire/resp.ts'
import { type Asked, Asker, FuzzedClient, isFailure, type ProtocolName, splitReplies, Witness } from './clients.ts'
import { Fault } from './fault.ts'
import type { InjectedFault } from './injected-fault.ts'
import { type Case, Fork, type Kind, usually } from './kind.ts'
import type { Misdeed } from './model-server.ts'
import { loadCorpus, mutate } from './mutate.ts'
import { witnessKey, witnessValue } from './tokens.ts'
import { World } from './world.ts'

const ACTIVE_MS = 60_000
const QUIET_MS = 2_000
const BROKEN = 0
const HEALTHY = 1
/** Requests to the server that is sane again: the first ones may meet what it left behind. */
const RECOVERY_REQUESTS = 15
const RECOVERED_REQUESTS = 4
/**
 * A bulk or data block of 100,000 bytes or more, or an array of that many elements: such a reply
 * may break off, with its client.
 */
const ANNOUNCES_MUCH = /([$*=!~%>]|VALUE [^ ]+ \d+ |VA )\d{6,}/
const PASSWORD = 'password'
/** Requests that go to several servers, or need a connection of their own; those of a list belong together. */
const REDIS_LOOSE: readonly (readonly string[])[] = [
  ['MULTI', 'GET {x}a', 'SET {x}a 1', 'EXEC'],
  ['WATCH {x}a', 'MULTI', 'DISCARD'],
  ['WATCH {x}a', 'UNWATCH'],
  ...['BLPOP {x}a 0.05', 'BZPOPMIN {x}a 0.05', 'BRPOPLPUSH {x}a {x}b 0.05', 'XREAD BLOCK 20 STREAMS {x}a 0'],
  ...['DBSIZE', 'SCAN 0', 'SCAN 65536', 'SCAN 1 COUNT 100', 'KEYS *', 'RANDOMKEY', 'LASTSAVE', 'INFO', 'INFO server'],
  ...['CONFIG GET *', 'SLOWLOG GET', 'SLOWLOG LEN', 'LATENCY LATEST', 'LATENCY HISTORY command', 'LATENCY RESET'],
  ...[
    'PUBSUB CHANNELS',
    'PUBSUB NUMSUB a b',
    'PUBSUB NUMPAT',
    'PUBLISH a b',
    'SCRIPT EXISTS 1 2',
    'SCRIPT LOAD return',
  ],
  ...['SCRIPT KILL', 'SCRIPT FLUSH', 'FUNCTION LIST', 'FUNCTION FLUSH', 'FUNCTION KILL', 'FLUSHALL', 'MEMORY PURGE'],
  ...['SINTER a b c', 'SUNION a b c', 'SDIFF a b c', 'SINTERCARD 3 a b c', 'PFCOUNT a b c', 'ZINTERCARD 2 a b'],
  ...['ZUNION 3 a b c WITHSCORES', 'ZINTER 2 a b WEIGHTS 2 3', 'ZDIFF 2 a b', 'MSET a 1 b 2 c 3', 'EXISTS a b c'],
  ...['EVAL return 2 {x}a {x}b', 'OBJECT ENCODING a', 'CLIENT ID', 'CLIENT LIST', 'COMMAND COUNT', 'HELLO 2', 'RESET'],
].map(each => (typeof each === 'string' ? [each] : each))
const MEMCACHE_LOOSE: readonly (readonly string[])[] = [
  ...['gat 100 a\r\n', 'gats 100 a b c\r\n', 'version\r\n', 'verbosity 1\r\n', 'flush_all\r\n', 'incr a 1\r\n'],
  ...[
    'touch a 1\r\n',
    'cas a 0 0 1 5\r\nx\r\n',
    'append a 0 0 1\r\nx\r\n',
    'mn\r\n',
    'me a\r\n',
    'md a\r\n',
    'ma a v\r\n',
  ],
  ...[
    'ms a 1\r\nx\r\n',
    'mg a v\r\n',
    'mg a k v t O123\r\n',
    'stats\r\n',
    'stats items\r\n',
    'stats reset\r\n',
    'get a a b\r\n',
  ],
].map(each => [each])
/** What a server has state of: see `REDIS_LOOSE`. */
const STATEFUL = /^(MULTI|WATCH|B[LRZ]|XREAD)/
/** A subscriber's stream, whose replies have no certain number. */
const SUBSCRIBER = ['SUBSCRIBE a b', 'PING', 'PSUBSCRIBE x*', 'UNSUBSCRIBE a', 'PUNSUBSCRIBE', 'UNSUBSCRIBE'] as const

export class ServerKind implements Kind {
  readonly name: string
  readonly share: number
  private readonly protocol: ProtocolName
  private readonly corpus: readonly Buffer[]

  constructor(protocol: ProtocolName, share: number) {
    this.name = `${protocol}-server`
    this.share = share
    this.protocol = protocol
    this.corpus = loadCorpus(`${protocol}-replies.json`)
  }

  make(seed: number): Case {
    const random = new Random(seed).fork(Fork.streams)
    const streams = Array.from({ length: random.between(1, 8) }, () => mutate(random, this.corpus))
    return { seed, streams }
  }

  run(fuzzed: Case, injected: InjectedFault | null): void {
    const root = new Random(fuzzed.seed)
    const random = root.fork(Fork.options)
    const misdeeds = root.fork(Fork.world + 100)
    const left = [...fuzzed.streams]
    const sane = { now: false }
    const pool = this.poolSettings(random)
    const world = new World({
      random: root.fork(Fork.world),
      pool,
      servers: 2,
      delayMs: random.pick([0, 1, 5]),
      isOdd: false,
      misdeed: server => (server === BROKEN && !sane.now ? misdeedOf(misdeeds, left) : null),
      connect: server => (server === BROKEN && !sane.now ? connectOf(misdeeds) : 'accept'),
      injected,
    })
    try {
      this.play(world, pool, root.fork(Fork.actors), fuzzed.streams, sane)
    } finally {
      world.end()
    }
  }

  private poolSettings(random: Random): Partial<PoolConfig> {
    return {
      redis: this.protocol === 'redis',
      distribution: random.pick(['ketama', 'modula']),
      // Every request has an end, whatever the server does.
      timeoutMs: random.pick([50, 100, 500]),
      serverConnectTimeoutMs: random.pick([100, 300]),
      serverConnections: usually(random, 1, [2, 3]),
      strict: random.chance(0.05),
      crossServer: random.pick(['refuse', 'gather']),
      multi: random.pick(['atomic', 'split']),
      clientMaxPending: usually(random, 1_024, [1, 4]),
      clientQueueBytes: usually(random, 1 << 20, [4_096]),
      redisAuth: this.protocol === 'redis' ? usually(random, '', [PASSWORD], 0.2) : '',
      redisDb: this.protocol === 'redis' ? usually(random, 0, [3], 0.1) : 0,
    }
  }

  private play(
    world: World,
    pool: Partial<PoolConfig>,
    random: Random,
    streams: readonly Buffer[],
    sane: { now: boolean },
  ): void {
    const askers = [0, 1, 2].map(i => {
      const own = random.fork(i)
      const pipelines = new Asker(this.protocol, i, own, pool).pipelines(own.between(1, 3), 8)
      if (own.chance(0.5)) this.addLoose(pipelines, own, pool.strict === true)
      return new Witness(world, this.protocol, `asker ${i}`, own, pipelines)
    })
    const subscriber = this.protocol === 'redis' && random.chance(0.2) ? this.subscribe(world, random.fork(9)) : null
    world.runClients(ACTIVE_MS)
    if (subscriber !== null) {
      const { rest } = splitReplies(this.protocol, subscriber.received)
      if (rest.length > 0) throw new Fault('part of a reply', `the subscriber got ${printable(rest, 200)} at last`)
    }
    const isAnswered = (key: string): boolean => world.servers.some(server => server.answered.has(key))
    const mayBreak = streams.some(stream => ANNOUNCES_MUCH.test(stream.toString('latin1')))
    for (const asker of askers) {
      asker.check(asked => !asked.keys.every(isAnswered) || asked.keys.length === 0, true)
      if (!mayBreak && pool.strict !== true) asker.checkComplete()
    }
    sane.now = true
    this.recover(world, pool, random.fork(10))
    world.rest()
  }

  /** Requests of which only the number of replies is known: one each. */
  private addLoose(pipelines: Asked[][], random: Random, isStrict: boolean): void {
    const all = this.protocol === 'redis' ? REDIS_LOOSE : MEMCACHE_LOOSE
    const texts = Array.from({ length: random.between(1, 4) }, () => random.pick(all)).flat()
    // Once, and first: the replies that are known are the same in both versions.
    if (this.protocol === 'redis' && random.chance(0.3)) texts.unshift('HELLO 3')
    const own = texts.map(text => {
      const request = this.protocol === 'redis' ? encode(...text.split(' ')) : Buffer.from(text, 'latin1')
      return { request, reply: null, keys: [], stateful: STATEFUL.test(text) }
    })
    if (!isStrict) pipelines.splice(random.below(pipelines.length) + 1, 0, own)
  }

  private subscribe(world: World, random: Random): FuzzedClient {
    const version = random.chance(0.3) ? ['HELLO 3'] : []
    const texts = [...version, ...SUBSCRIBER.slice(0, random.between(1, SUBSCRIBER.length))]
    const stream = Buffer.concat(texts.map(text => encode(...text.split(' '))))
    return new FuzzedClient(world, random, 0, stream, random.between(0, 200))
  }

  /** A new client is served by both servers again. */
  private recover(world: World, pool: Partial<PoolConfig>, random: Random): void {
    const start = pool.redisAuth ? [[{ request: encode('AUTH', PASSWORD), reply: '+OK\r\n', keys: [] }]] : []
    const asked = Array.from({ length: RECOVERY_REQUESTS }, (_, i) => {
      const server = i % 3 === 0 ? HEALTHY : BROKEN
      const key = world.keyFor(server, number => witnessKey(9, i * 1_000 + number, 0))
      return this.get(key)
    })
    // What is still late from the server is late no more.
    world.loop.run(() => false, QUIET_MS)
    const client = new Witness(world, this.protocol, 'asker 9', random, [...start, ...asked.map(each => [each])])
    world.runClients(ACTIVE_MS)
    client.checkComplete()
    // What the server said out of step before it was sane may still be a few requests' reply.
    const recovered = new Set(asked.slice(-RECOVERED_REQUESTS))
    client.check(each => !recovered.has(each), true)
    for (const [i, reply] of client.replies.entries()) {
      const each = client.asked[i]!
      const isHealthy = each.keys.length > 0 && i % 3 === start.length % 3
      if (isHealthy && reply.toString('latin1') !== each.reply && !isFailure(this.protocol, reply, each)) {
        throw new Fault('wrong reply', `the healthy server's reply is ${printable(reply)}`)
      }
    }
  }

  private get(key: string): Asked {
    const value = witnessValue(key)
    if (this.protocol === 'redis') {
      return { request: encode('GET', key), reply: `$${value.length}\r\n${value}\r\n`, keys: [key] }
    }
    const reply = `VALUE ${key} 7 ${value.length}\r\n${value}\r\nEND\r\n`
    return { request: Buffer.from(`get ${key}\r\n`), reply, keys: [key] }
  }
}

/** What the broken server does with a request. @param left streams that it has not sent yet. */
function misdeedOf(random: Random, left: Buffer[]): Misdeed | null {
  const dice = random.below(100)
  if (dice < 50) return null
  if (left.length > 0 && dice < 88) {
    return { do: 'reply', bytes: left.shift()!, after: random.pick(['go on', 'go on', 'close', 'reset']) }
  }
  if (dice < 90) return { do: 'close' }
  if (dice < 92) return { do: 'reset' }
  if (dice < 94) return { do: 'stall' }
  return dice < 97 ? { do: 'late', ms: random.below(1_500) } : null
}

function connectOf(random: Random): 'accept' | 'refuse' | 'refuse at once' | 'ignore' {
  const dice = random.below(100)
  if (dice < 94) return 'accept'
  return random.pick(['refuse', 'refuse at once', 'ignore'])
}
