/**
 * Random arguments of Redis commands, drawn from keys that belong to one connection alone, so that a reply does not depend on what other
 * connections do. Nothing here expires or grows without bounds during a run.
 */

import { createHash } from 'node:crypto'
import type { Random } from '../support/random.ts'
import type { RespArgument } from '../support/wire/resp.ts'

export type Args = readonly RespArgument[]

/**
 * `…Store` keys are written by STORE commands: an empty result deletes its destination, which must not be the sources that others read.
 * `lex` holds sorted sets with equal scores: ranges by text over other sorted sets depend on how the skip list was thrown.
 */
export const KINDS = [
  'string',
  'number',
  'bits',
  'list',
  'hash',
  'set',
  'setStore',
  'ints',
  'zset',
  'zsetStore',
  'geo',
  'geoStore',
  'hll',
  'lex',
] as const
export type Kind = (typeof KINDS)[number]

/** What a command may meet in place of the kind it expects. */
const CROSSED_KINDS = KINDS.filter(kind => kind !== 'lex')

const STRING_KEYS = 9
const COLLECTION_KEYS = 6
const LONGEST_KEY_BYTES = 16_335
export interface RedisArgumentsOptions {
  /** Distinct among the connections of a run. */
  readonly connection: number
  /** Valid DUMP payloads for RESTORE. */
  readonly payloads: readonly Buffer[]
  /** The pool's password, or '' for none: what AUTH is sent with. */
  readonly password: string
}

export class RedisArguments {
  readonly random: Random
  readonly options: RedisArgumentsOptions
  readonly #keys: Record<Kind, Buffer[]>
  readonly #noise: Buffer
  readonly #loadedScripts: string[] = []

  constructor(random: Random, options: RedisArgumentsOptions) {
    this.random = random
    this.options = options
    this.#noise = random.bytes(128 * 1024)
    this.#keys = Object.fromEntries(KINDS.map(kind => [kind, this.#makeKeys(kind)])) as Record<Kind, Buffer[]>
    if (options.connection === 0) this.#keys.string.push(Buffer.alloc(0))
  }

  /** For commands that end keys: mostly strings, so that collections live long enough to be worth reading. */
  anyKind(): Kind {
    return this.random.chance(0.85) ? 'string' : this.random.pick(KINDS)
  }

  key(kind: Kind): Buffer {
    const crossed = kind !== 'lex' && this.random.chance(0.03)
    const chosen = crossed ? this.random.pick(CROSSED_KINDS) : kind
    return this.random.pick(this.#keys[chosen])
  }

  keys(kind: Kind, most: number): Buffer[] {
    return Array.from({ length: this.random.between(1, most) }, () => this.key(kind))
  }

  /** A key that no other command writes: safe where a write would be random. */
  lonely(): string {
    return `${this.options.connection}:lonely`
  }

  /** 0 to 100 KB; most are short. */
  value(): RespArgument {
    const { random } = this
    const scale = random.below(1000)
    if (scale < 50) return ''
    if (scale < 150) return random.pick(PROTOCOL_LOOKALIKES)
    if (scale < 250) return random.between(-1000, 1000)
    if (scale < 650) return this.noise(random.between(1, 30))
    if (scale < 900) return this.noise(random.between(1, 300))
    if (scale < 984) return this.noise(random.between(300, 3000))
    return this.noise(scale < 997 ? random.between(3000, 20_000) : random.between(20_000, 100_000))
  }

  noise(length: number): Buffer {
    const at = this.random.below(this.#noise.length - length)
    return this.#noise.subarray(at, at + length)
  }

  /** A member of a collection, from few enough that collections overlap. */
  member(): RespArgument {
    const { random } = this
    if (random.chance(0.03)) return this.noise(random.between(1, 2000))
    return random.chance(0.1) ? random.pick(PROTOCOL_LOOKALIKES) : `m${random.below(30)}`
  }

  members(most: number): RespArgument[] {
    return Array.from({ length: this.random.between(1, most) }, () => this.member())
  }

  ints(most: number): RespArgument[] {
    return Array.from({ length: this.random.between(1, most) }, () => this.random.between(-20, 20))
  }

  int(): RespArgument {
    return this.random.chance(0.1)
      ? this.random.pick(['9223372036854775807', '-9223372036854775808', '0'])
      : this.random.between(-50, 50)
  }

  /** A member of a geo set. */
  place(): string {
    return `m${this.random.below(8)}`
  }

  index(): number {
    return this.random.between(-12, 12)
  }

  score(): RespArgument {
    const { random } = this
    return random.chance(0.1) ? random.pick(['+inf', '-inf', '1e300', '0']) : random.between(-200, 200) / 4
  }

  /** An end of a score range. */
  bound(): string {
    return `${this.random.chance(0.3) ? '(' : ''}${this.score()}`
  }

  lexBound(): string {
    return this.random.pick(['-', '+', `[m${this.random.below(30)}`, `(m${this.random.below(30)}`])
  }

  /** Seconds far enough away that no key expires during the run, or a time that has passed. */
  seconds(): number {
    return this.random.chance(0.1) ? 0 : this.random.between(10_000, 1_000_000)
  }

  maybe(...args: Args): Args {
    return this.random.chance(0.4) ? args : []
  }

  /** A script of this connection's own: the script cache of a server then holds what this connection loaded, and nothing else. */
  script(): string {
    const script = `-- ${this.options.connection}\n${this.random.pick(SCRIPTS)}`
    this.#loadedScripts.push(script)
    return script
  }

  scriptHash(): string {
    const script = this.#loadedScripts.length > 0 ? this.random.pick(this.#loadedScripts) : 'none'
    return createHash('sha1').update(script).digest('hex')
  }

  /** Between one and six pairs, flattened. */
  pairs(first: () => RespArgument, second: () => RespArgument): Args {
    return Array.from({ length: this.random.between(1, 6) }, () => [first(), second()]).flat()
  }

  /** Fields and values of a hash. */
  fields(): Args {
    return this.pairs(
      () => this.member(),
      () => this.member(),
    )
  }

  #makeKeys(kind: Kind): Buffer[] {
    const { random } = this
    const count = kind === 'string' ? STRING_KEYS : COLLECTION_KEYS
    return Array.from({ length: count }, (_, index) => {
      const plain = `${this.options.connection}:${kind}${index}`
      if (index < 3) return Buffer.from(plain)
      if (index === 3) return Buffer.from(`${plain}{tag${random.below(3)}}$${random.below(3)}$`)
      if (index === 4) return Buffer.from(`{${this.options.connection}}${plain}`)
      if (index < 7) return Buffer.concat([Buffer.from(plain), random.bytes(random.between(1, 60))])
      const length = kind === 'string' ? LONGEST_KEY_BYTES : random.between(200, 2000)
      return Buffer.from(plain.padEnd(length, 'long key '))
    })
  }
}

const PROTOCOL_LOOKALIKES = [
  '\r\n',
  '$5\r\nhello\r\n',
  '*1\r\n$4\r\nPING\r\n',
  '-ERR x\r\n',
  '+OK\r\n',
  ':1\r\n',
  '*-1\r\n',
  '\0',
  '{}',
  '$$',
]

const SCRIPTS = [
  "return redis.call('TYPE', KEYS[1])",
  "return redis.call('GET', KEYS[1])",
  "return redis.pcall('LRANGE', KEYS[1], 0, 5)",
  "redis.call('SET', KEYS[1], ARGV[1] or 'none') return 1",
  'return {KEYS[1], ARGV[1], {1, {2, {3, {}}}}}',
  "return redis.error_reply('CUSTOM error of a script')",
  "return redis.status_reply('FINE')",
  'return {1, false, 2}',
  'return false',
  'return #KEYS + #ARGV',
  "return string.rep('x', 1500)",
  'return nonsense(',
]
