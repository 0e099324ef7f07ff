/** The clients of a case: one that sends what was mutated, and witnesses that know every reply they must get. */

import type { PoolConfig } from '../../src/shared/config.ts'
import type { Random } from '../support/random.ts'
import { memcacheReplyEnd } from '../support/wire/memcache-wire.ts'
import { encode, printable, replyEnd } from '../support/wire/resp.ts'
import type { Peer } from './fake-transport.ts'
import { Fault, type FaultClass } from './fault.ts'
import { valueReply } from './memcache-model.ts'
import { witnessReply } from './redis-model.ts'
import { witnessIn, witnessKey, witnessValue } from './tokens.ts'
import type { World } from './world.ts'

export type ProtocolName = 'redis' | 'memcache'

const FAILURE_WORDS =
  'Server closed the connection|Connection refused|Connection timed out|Connection reset by peer|Invalid argument|Broken pipe|Cannot assign requested address'
/** The proxy's own errors when a server fails. */
const FAILURES = {
  redis: new RegExp(`^-ERR (${FAILURE_WORDS})\\r\\n$`),
  memcache: new RegExp(`^SERVER_ERROR (${FAILURE_WORDS})\\r\\n$`),
}

/** An error of the proxy's own; or, of several memcached keys, what there is without those of a failed server. */
export function isFailure(protocol: ProtocolName, reply: Buffer, asked: Asked): boolean {
  const text = reply.toString('latin1')
  return FAILURES[protocol].test(text) || isWithoutSome(protocol, text, asked)
}

/** The values of several memcached keys, without those of a server that gave none. */
function isWithoutSome(protocol: ProtocolName, text: string, asked: Asked): boolean {
  if (protocol === 'redis' || asked.keys.length < 2) return false
  const values = text.split('VALUE ').slice(1)
  return text.endsWith('END\r\n') && values.every(value => asked.reply!.includes(value.replace(/END\r\n$/, '')))
}

/** The proxy's own error in place of a reply above the pool's `max_message_bytes`. */
const TOO_LARGE = {
  redis: '-ERR reply is larger than max_message_bytes\r\n',
  memcache: 'SERVER_ERROR reply is larger than max_message_bytes\r\n',
}

/** The pool may refuse a server's reply for its size: the values of several keys can be more than it allows. */
export function isTooLarge(protocol: ProtocolName, reply: Buffer, asked: Asked, maxMessageBytes: number): boolean {
  if (maxMessageBytes === 0 || asked.reply === null || asked.reply.length <= maxMessageBytes) return false
  const text = reply.toString('latin1')
  return text === TOO_LARGE[protocol] || isWithoutSome(protocol, text, asked)
}

/** Where the reply that begins at `at` ends, or -1 while it is not whole. */
export function endOfReply(protocol: ProtocolName, bytes: Buffer, at: number): number {
  try {
    if (protocol === 'redis') return replyEnd(bytes, at, bytes.length)
    const isStats = bytes.toString('latin1', at, at + 4) === 'STAT'
    if (isStats) return statisticsEnd(bytes, at)
    const line = bytes.indexOf('\r\n', at, 'latin1')
    // A lone CR among the flags belongs to the line.
    const meta = line < 0 ? null : /^VA (\d+)( .*)?$/s.exec(bytes.toString('latin1', at, line))
    if (meta === null) return memcacheReplyEnd(bytes, at, bytes.length)
    const end = line + 2 + Number(meta[1]) + 2
    return end > bytes.length ? -1 : end
  } catch (error) {
    throw new Fault('part of a reply', `${(error as Error).message}`)
  }
}

/** Lines of statistics belong to the reply up to and with the line that is none. */
function statisticsEnd(bytes: Buffer, at: number): number {
  for (let position = at; ; ) {
    const line = bytes.indexOf('\r\n', position)
    if (line < 0) return -1
    if (!/^STAT( |$)/.test(bytes.toString('latin1', position, line))) return line + 2
    position = line + 2
  }
}

/** Whole replies in what was received; `rest`: bytes of one that is not. */
export function splitReplies(protocol: ProtocolName, received: Buffer): { replies: Buffer[]; rest: Buffer } {
  const replies: Buffer[] = []
  let at = 0
  for (let end = 0; at < received.length; at = end) {
    end = endOfReply(protocol, received, at)
    if (end < 0) break
    replies.push(received.subarray(at, end))
  }
  return { replies, rest: received.subarray(at) }
}

/** Sends bytes that may be anything, and then its end; keeps what comes back. */
export class FuzzedClient {
  readonly peer: Peer
  readonly number: number
  readonly stream: Buffer
  /** It left without waiting for what it was due. */
  left = false
  private readonly chunks: Buffer[] = []

  /** @param staysMs from the stream's end to the client's. */
  constructor(world: World, random: Random, number: number, stream: Buffer, staysMs = 0) {
    this.number = number
    this.stream = world.marks.brand(stream, number)
    this.peer = world.connect(`fuzzed client ${number}`)
    this.peer.onBytes = bytes => void this.chunks.push(bytes)
    this.peer.onEnd = () => this.peer.end()
    const { loop } = world
    if (random.chance(0.1)) {
      this.peer.pause(random.below(2_000))
      loop.after(random.between(1, 300), () => this.peer.resume())
    }
    const cuts = random.chance(0.5) ? [] : random.cuts(this.stream.length, random.between(2, 8))
    loop.after(random.below(10), () => {
      this.peer.send(this.stream, cuts, random.pick([0, 0, 2, 30]))
      if (staysMs > 0) loop.after(staysMs, () => this.peer.end())
      else if (random.chance(0.9)) this.peer.end()
      else this.leave(world, random)
    })
  }

  private leave(world: World, random: Random): void {
    this.left = true
    world.loop.after(random.below(20), () => (random.chance(0.5) ? this.peer.reset() : this.peer.end()))
  }

  get received(): Buffer {
    return Buffer.concat(this.chunks)
  }
}

export interface Asked {
  readonly request: Buffer
  /** The only good reply; null: any whole one. */
  readonly reply: string | null
  readonly keys: readonly string[]
  /** A server may have state of the client from this request on: a server that fails may end the client's connection. */
  readonly stateful?: boolean
}

/** Sends pipelines of requests whose replies are known, and checks them as they come. */
export class Witness {
  readonly peer: Peer
  /** Requests that are answered. */
  answered = 0
  readonly asked: Asked[] = []
  readonly replies: Buffer[] = []
  private readonly world: World
  private readonly protocol: ProtocolName
  private readonly pipelines: Asked[][]
  private readonly random: Random
  private received: Buffer = Buffer.alloc(0)
  private readonly name: string

  constructor(world: World, protocol: ProtocolName, name: string, random: Random, pipelines: Asked[][]) {
    this.world = world
    this.protocol = protocol
    this.pipelines = pipelines
    this.random = random
    this.name = name
    this.peer = world.connect(name)
    this.peer.onBytes = bytes => this.take(bytes)
    this.peer.onEnd = () => this.peer.end()
    world.loop.after(random.below(6), () => this.next())
  }

  private next(): void {
    const pipeline = this.pipelines.shift()
    if (pipeline === undefined) {
      this.peer.end()
      return
    }
    this.asked.push(...pipeline)
    const bytes = Buffer.concat(pipeline.map(each => each.request))
    this.peer.send(bytes, this.random.chance(0.3) ? this.random.cuts(bytes.length, 4) : [], this.random.pick([0, 0, 2]))
  }

  private take(bytes: Buffer): void {
    this.received = this.received.length === 0 ? bytes : Buffer.concat([this.received, bytes])
    let at = 0
    while (at < this.received.length) {
      const asked = this.asked[this.answered]
      if (asked === undefined)
        this.fail('doubled', `got ${printable(this.received.subarray(at), 200)}, which it is not due`)
      const end = this.replyEnd(asked!, at)
      if (end < 0) break
      this.answered++
      this.replies.push(this.received.subarray(at, end))
      at = end
    }
    this.received = this.received.subarray(at)
    if (this.answered === this.asked.length && this.received.length === 0) {
      this.world.loop.after(this.random.below(4), () => this.next())
    }
  }

  private replyEnd(asked: Asked, at: number): number {
    const { reply } = asked
    if (reply !== null) {
      const good = Buffer.from(reply, 'latin1')
      const there = Math.min(good.length, this.received.length - at)
      if (good.compare(this.received, at, at + there, 0, there) === 0) return there === good.length ? at + there : -1
    }
    return endOfReply(this.protocol, this.received, at)
  }

  /**
   * Everything was answered, and well.
   * @param excuses a reply that is not the good one, nor another's.
   * @param mixed another's reply too may be excused: a server answered out of step.
   */
  check(excuses: (asked: Asked, reply: Buffer) => boolean, mixed = false): void {
    for (const [index, reply] of this.replies.entries()) {
      const asked = this.asked[index]!
      const text = reply.toString('latin1')
      if (asked.reply === null || text === asked.reply) continue
      const whose = witnessIn(text)
      const isForeign = whose !== null && !asked.keys.includes(whose)
      if ((mixed || !isForeign) && excuses(asked, reply)) continue
      const wanted = printable(Buffer.from(asked.reply, 'latin1'), 100)
      const what = `sent ${printable(asked.request, 100)}, wanted ${wanted}, got ${printable(reply, 100)}`
      this.fail(isForeign ? 'crossed' : 'wrong reply', what)
    }
  }

  /** Nothing is missing. */
  checkComplete(): void {
    if (this.received.length > 0) this.fail('part of a reply', `got ${printable(this.received, 200)} and no more`)
    const due = this.asked.length + this.pipelines.reduce((sum, pipeline) => sum + pipeline.length, 0)
    if (this.asked.slice(0, this.answered + 1).some(each => each.stateful)) return
    if (this.answered < due) this.fail('dropped', `got ${this.answered} of ${due} replies before it was closed`)
  }

  private fail(faultClass: FaultClass, what: string): never {
    throw new Fault(faultClass, `${this.name} ${what}`)
  }
}

/** What a witness asks. Each key is used once. */
export class Asker {
  private readonly random: Random
  private readonly protocol: ProtocolName
  private readonly witness: number
  private serial = 0
  private readonly pool: Partial<PoolConfig>

  /** @param pool of which the settings count that change what a client must say or hear. */
  constructor(protocol: ProtocolName, witness: number, random: Random, pool: Partial<PoolConfig>) {
    this.protocol = protocol
    this.pool = pool
    this.witness = witness
    this.random = random
  }

  pipelines(count: number, most: number): Asked[][] {
    const { redisAuth = '' } = this.pool
    const pipelines = Array.from({ length: count }, () =>
      Array.from({ length: this.random.between(1, most) }, () => this.ask()),
    )
    if (redisAuth !== '') pipelines[0]!.unshift({ request: encode('AUTH', redisAuth), reply: '+OK\r\n', keys: [] })
    return pipelines
  }

  private key(): string {
    const dice = this.random.below(1_000)
    const size = dice < 1 ? this.random.between(200_000, 400_000) : dice < 20 ? this.random.below(20_000) : 0
    return witnessKey(this.witness, this.serial++, size)
  }

  private keys(most: number): string[] {
    return Array.from({ length: this.random.between(1, most) }, () => this.key())
  }

  ask(): Asked {
    return this.protocol === 'redis' ? this.askRedis() : this.askMemcache()
  }

  private askRedis(): Asked {
    const dice = this.random.below(100)
    if (dice < 5) return { request: encode('PING'), reply: '+PONG\r\n', keys: [] }
    if (dice < 20) {
      const [key] = this.keys(1)
      const value = Buffer.alloc(this.random.chance(0.005) ? 300_000 : this.random.below(100), 'v')
      return { request: encode('SET', key!, value), reply: '+OK\r\n', keys: [key!] }
    }
    const name = dice < 60 ? 'GET' : dice < 85 ? 'MGET' : 'DEL'
    const keys = this.keys(name === 'GET' ? 1 : 6)
    return { request: encode(name, ...keys), reply: witnessReply(name, keys), keys }
  }

  private askMemcache(): Asked {
    const dice = this.random.below(100)
    if (dice < 20) {
      const [key] = this.keys(1)
      const value = 'v'.repeat(this.random.chance(0.005) ? 300_000 : this.random.below(100))
      return line(`set ${key} 7 0 ${value.length}\r\n${value}`, 'STORED\r\n', [key!])
    }
    if (dice < 30) {
      const [key] = this.keys(1)
      return line(`delete ${key}`, 'DELETED\r\n', [key!])
    }
    if (dice < 40 && this.pool.strict !== true) {
      const [key] = this.keys(1)
      const value = witnessValue(key!)
      return line(`mg ${key} v k`, `VA ${value.length} k${key}\r\n${value}\r\n`, [key!])
    }
    const name = dice < 85 ? 'get' : 'gets'
    const keys = this.keys(this.random.chance(0.6) ? 1 : 6)
    return line(
      `${name} ${keys.join(' ')}`,
      valueReply(
        keys.map(key => [key, witnessValue(key)]),
        name === 'gets',
      ),
      keys,
    )
  }
}

function line(request: string, reply: string, keys: readonly string[]): Asked {
  return { request: Buffer.from(`${request}\r\n`, 'latin1'), reply, keys }
}
