/** Random Redis commands as steps of a differential run: names by weight, arguments by generator, some of them odd. */

import { Action, COMMANDS } from '../../src/protocol/redis/commands.ts'
import type { Random } from '../support/random.ts'
import { encode } from '../support/wire/resp.ts'
import type { Step } from './differential.ts'
import { type Args, RedisArguments, type RedisArgumentsOptions } from './redis-arguments.ts'
import { GENERATORS, type Made } from './redis-generators.ts'

export interface RedisCommandsOptions extends RedisArgumentsOptions {
  /** The subject sums EXISTS over servers; nutcracker asks the first key's server only. */
  readonly sumsExists: boolean
  /** Commands with keys of several servers go to the server of the first. Otherwise the subject refuses them, and they are left out. */
  readonly scattersKeys: boolean
}

const ODD_TEXTS = [
  'abc',
  '-1',
  '0',
  '1.5',
  '9999999999999999999',
  '\r\n',
  '(1',
  '+inf',
  'nan',
  '[a',
  '99999999',
  '*',
  '$-1\r\n',
]

export class RedisCommands {
  readonly #random: Random
  readonly #arguments: RedisArguments
  readonly #sumsExists: boolean
  readonly #names: string[]

  constructor(random: Random, options: RedisCommandsOptions) {
    this.#random = random
    this.#arguments = new RedisArguments(random, options)
    this.#sumsExists = options.sumsExists
    const names = Object.keys(GENERATORS).filter(name => options.scattersKeys || !ONE_SERVER.has(name))
    this.#names = names.flatMap(name => Array<string>(WEIGHTS[name] ?? DEFAULT_WEIGHT).fill(name))
  }

  next(): Step {
    const name = this.#random.pick(this.#names)
    const made = GENERATORS[name]!(this.#arguments)
    const { args, compare } = isMade(made) ? made : { args: made, compare: 'exact' as const }
    if (name === 'EXISTS' && args.length > 1 && this.#sumsExists) return this.#exists(args)
    const odd = this.#random.chance(0.04) && !FRAGILE.has(name) && !addsToLex(name, args)
    const request = encode(this.#spelled(name), ...(odd ? this.#oddArgs(name, args) : args))
    return { request, reference: [request], compare }
  }

  /** Command names are matched without regard to case, and forwarded as they came. */
  #spelled(name: string): string {
    if (this.#random.chance(0.7)) return name
    return this.#random.chance(0.5) ? name.toLowerCase() : `${name[0]}${name.slice(1).toLowerCase()}`
  }

  /** Wrong in a way that only the server can see: the number of arguments stays one that the proxy accepts. */
  #oddArgs(name: string, args: Args): Args {
    const random = this.#random
    const changed = [...args]
    const at = random.between(1, Math.max(1, args.length - 1))
    if (at < args.length) changed[at] = random.pick(ODD_TEXTS)
    if (!OPEN_ENDED.has(name)) return changed
    if (random.chance(0.4)) return changed.slice(0, Math.max(1, at))
    return random.chance(0.5) ? [...changed, random.pick(ODD_TEXTS)] : changed
  }

  #exists(args: Args): Step {
    const singles = args.map(key => encode('EXISTS', key))
    return { request: encode('EXISTS', ...args), reference: singles, compare: 'sum' }
  }
}

/** Commands whose keys must be on one server. COPY names a database as well, so its action is another. */
const ONE_SERVER: ReadonlySet<string> = new Set([
  ...COMMANDS.filter(({ action }) => action === Action.multiKey || action === Action.gatherSets).map(
    ({ name }) => name,
  ),
  'COPY',
])

function isMade(made: Args | Made): made is Made {
  return 'args' in made
}

/**
 * Commands whose arguments must stay as made: an odd one would write something random, or something huge, or to a key that other
 * connections share.
 */
const FRAGILE = new Set(
  `SPOP SETRANGE SETBIT BITFIELD RESTORE SORT SRANDMEMBER HRANDFIELD ZRANDMEMBER SSCAN HSCAN ZSCAN EVAL EVALSHA DEL UNLINK TOUCH MGET MSET
  EXISTS COPY RPOPLPUSH LMOVE SMOVE`.split(/\s+/),
)

/**
 * What Redis answers to a range by text over elements of different scores is not defined, and depends on a skip list's random levels: a
 * `lex` key keeps one score.
 */
function addsToLex(name: string, args: Args): boolean {
  return name === 'ZADD' && String(args[0]).includes(':lex')
}

/** Commands to which the proxy lets any number of arguments pass. */
const OPEN_ENDED = new Set(
  `BITCOUNT BITPOS COPY GEOADD GEODIST GEOHASH GEOPOS GEORADIUS GEORADIUSBYMEMBER GEOSEARCH GEOSEARCHSTORE GETEX HDEL HMGET HMSET HSET
  LPOP LPOS LPUSH LPUSHX PFADD PFCOUNT PFMERGE RPOP RPUSH RPUSHX SADD SDIFF SDIFFSTORE SET SINTER SINTERSTORE SMISMEMBER SREM SUNION
  SUNIONSTORE ZADD ZDIFF ZDIFFSTORE ZINTER ZINTERSTORE ZMSCORE ZPOPMAX ZPOPMIN ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANGESTORE ZREM ZREVRANGE
  ZREVRANGEBYLEX ZREVRANGEBYSCORE ZUNION ZUNIONSTORE`.split(/\s+/),
)

const DEFAULT_WEIGHT = 20
const WEIGHTS: Readonly<Record<string, number>> = {
  GET: 160,
  SET: 160,
  MGET: 140,
  MSET: 120,
  DEL: 100,
  UNLINK: 50,
  TOUCH: 50,
  EXISTS: 50,
  PING: 40,
  HSET: 60,
  LPUSH: 50,
  RPUSH: 50,
  SADD: 120,
  ZADD: 120,
  GEOADD: 100,
  SETBIT: 60,
  SPOP: 8,
  ZREMRANGEBYLEX: 8,
  ZREMRANGEBYSCORE: 8,
  COMMAND: 1,
  LOLWUT: 4,
}
