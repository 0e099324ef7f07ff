/**
 * A generator of plausible arguments for every command that nutcracker forwards or answers. What a server answers differently from run
 * to run (hash table order, random members, clocks) is marked with how to compare it, and nothing random is ever written: two servers
 * that get the same commands hold the same data.
 */

import type { Compare } from './compare.ts'
import { type Args, KINDS, type Kind, type RedisArguments } from './redis-arguments.ts'

/** Arguments after the command's name, and how the replies are compared where that is not `exact`. */
export interface Made {
  readonly args: Args
  readonly compare: Compare
}

export type Make = (g: RedisArguments) => Args | Made

/** By command name, upper case. */
export const GENERATORS: Readonly<Record<string, Make>> = {
  // Strings
  APPEND: g => [g.key('string'), g.value()],
  DECR: g => [g.key('number')],
  DECRBY: g => [g.key('number'), g.int()],
  GET: g => [g.key('string')],
  GETDEL: g => [g.key('string')],
  GETEX: g => [
    g.key('string'),
    ...g.random.pick<Args>([[], ['EX', g.seconds()], ['PERSIST'], ['PXAT', expireAtMs(g)]]),
  ],
  GETRANGE: g => [g.key('string'), g.index(), g.index()],
  GETSET: g => [g.key('string'), g.value()],
  INCR: g => [g.key('number')],
  INCRBY: g => [g.key('number'), g.int()],
  INCRBYFLOAT: g => [g.key('number'), g.random.between(-100, 100) / 8],
  MGET: g => g.keys('string', g.random.chance(0.1) ? 60 : 8),
  MSET: g =>
    g.pairs(
      () => g.key('string'),
      () => g.value(),
    ),
  PSETEX: g => [g.key('string'), g.seconds() * 1000, g.value()],
  SET: g => [
    g.key('string'),
    g.value(),
    ...g.random.pick<Args>([[], [], ['NX'], ['XX', 'GET'], ['EX', g.seconds()], ['KEEPTTL'], ['GET']]),
  ],
  SETEX: g => [g.key('string'), g.seconds(), g.value()],
  SETNX: g => [g.key('string'), g.value()],
  SETRANGE: g => [g.key('string'), g.random.below(2000), g.member()],
  STRLEN: g => [g.key('string')],

  // Bits
  BITCOUNT: g => [g.key('bits'), ...g.maybe(g.index(), g.index(), g.random.pick(['BYTE', 'BIT']))],
  BITFIELD: g => [
    g.key('bits'),
    ...g.random.pick<Args>([
      ['GET', 'u8', 3],
      ['SET', 'i16', '#2', g.int()],
      ['OVERFLOW', 'FAIL', 'INCRBY', 'u4', 1, 9],
    ]),
  ],
  BITPOS: g => [g.key('bits'), g.random.below(2), ...g.maybe(g.index())],
  GETBIT: g => [g.key('bits'), g.random.below(400)],
  SETBIT: g => [g.key('bits'), g.random.below(400), g.random.below(2)],

  // Keys
  COPY: g => [g.key('string'), g.key('string'), ...g.maybe('REPLACE'), ...g.maybe('DB', 1)],
  DEL: g => g.keys(g.anyKind(), 6),
  DUMP: g => ({ args: [g.key(g.random.pick(KINDS))], compare: 'dump' }),
  EXISTS: g => g.keys(g.random.pick(KINDS), 5),
  EXPIRE: g => [g.key(g.anyKind()), g.seconds()],
  EXPIREAT: g => [g.key(g.anyKind()), Math.floor(expireAtMs(g) / 1000)],
  PERSIST: g => [g.key(g.anyKind())],
  PEXPIRE: g => [g.key(g.anyKind()), g.seconds() * 1000],
  PEXPIREAT: g => [g.key(g.anyKind()), expireAtMs(g)],
  PTTL: g => ({ args: [g.key(g.random.pick(KINDS))], compare: 'time' }),
  RESTORE: g => [
    g.key('string'),
    g.random.pick([0, 10_000_000]),
    g.random.pick(g.options.payloads),
    ...g.maybe('REPLACE'),
  ],
  SORT: g => [g.key('list'), ...g.maybe('LIMIT', 0, 5), ...g.maybe('DESC'), ...g.maybe('ALPHA')],
  TOUCH: g => g.keys(g.random.pick(KINDS), 5),
  TTL: g => ({ args: [g.key(g.random.pick(KINDS))], compare: 'time' }),
  TYPE: g => [g.key(g.random.pick(KINDS))],
  UNLINK: g => g.keys(g.anyKind(), 5),

  // Hashes
  HDEL: g => [g.key('hash'), ...g.members(3)],
  HEXISTS: g => [g.key('hash'), g.member()],
  HGET: g => [g.key('hash'), g.member()],
  HGETALL: g => ({ args: [g.key('hash')], compare: 'pairs' }),
  HINCRBY: g => [g.key('hash'), `n${g.random.below(4)}`, g.int()],
  HINCRBYFLOAT: g => [g.key('hash'), `n${g.random.below(4)}`, g.random.between(-100, 100) / 8],
  HKEYS: g => unordered(g.key('hash')),
  HLEN: g => [g.key('hash')],
  HMGET: g => [g.key('hash'), ...g.members(5)],
  HMSET: g => [g.key('hash'), ...g.fields()],
  HRANDFIELD: g => randomMember(g, 'hash'),
  HSCAN: g => scan(g, 'hash'),
  HSET: g => [g.key('hash'), ...g.fields()],
  HSETNX: g => [g.key('hash'), g.member(), g.member()],
  HSTRLEN: g => [g.key('hash'), g.member()],
  HVALS: g => unordered(g.key('hash')),

  // Lists
  LINDEX: g => [g.key('list'), g.index()],
  LINSERT: g => [g.key('list'), g.random.pick(['BEFORE', 'AFTER']), g.member(), g.member()],
  LLEN: g => [g.key('list')],
  LMOVE: g => [g.key('list'), g.key('list'), g.random.pick(['LEFT', 'RIGHT']), g.random.pick(['LEFT', 'RIGHT'])],
  LPOP: g => [g.key('list'), ...g.maybe(g.random.below(20))],
  LPOS: g => [g.key('list'), g.member(), ...g.maybe('RANK', -1), ...g.maybe('COUNT', 0)],
  LPUSH: g => [g.key('list'), ...g.members(4)],
  LPUSHX: g => [g.key('list'), ...g.members(2)],
  LRANGE: g => [g.key('list'), g.index(), g.random.pick([-1, g.index()])],
  LREM: g => [g.key('list'), g.random.between(-3, 3), g.member()],
  LSET: g => [g.key('list'), g.index(), g.member()],
  LTRIM: g => [g.key('list'), g.random.below(2), g.random.between(5, 30)],
  RPOP: g => [g.key('list'), ...g.maybe(g.random.below(20))],
  RPOPLPUSH: g => [g.key('list'), g.key('list')],
  RPUSH: g => [g.key('list'), ...g.members(4)],
  RPUSHX: g => [g.key('list'), ...g.members(2)],

  // Sets
  SADD: g => (g.random.chance(0.4) ? [g.key('ints'), ...g.ints(6)] : [g.key('set'), ...g.members(12)]),
  SCARD: g => [g.key(g.random.pick<Kind>(['set', 'setStore']))],
  SDIFF: g => unordered(...g.keys('set', 3)),
  SDIFFSTORE: g => [g.key('setStore'), ...g.keys('set', 3)],
  SINTER: g => unordered(...g.keys('set', 3)),
  SINTERSTORE: g => [g.key('setStore'), ...g.keys(g.random.pick<Kind>(['ints', 'set']), 2)],
  SISMEMBER: g => [g.key('set'), g.member()],
  SMEMBERS: g => unordered(g.key(g.random.pick<Kind>(['set', 'ints', 'setStore']))),
  SMISMEMBER: g => [g.key('set'), ...g.members(4)],
  SMOVE: g => [g.key('set'), g.key('set'), g.member()],
  SPOP: g => (g.random.chance(0.3) ? [g.lonely()] : unordered(g.key('set'), 100_000)),
  SRANDMEMBER: g => randomMember(g, 'set'),
  SREM: g => [g.key('set'), ...g.members(3)],
  SSCAN: g => scan(g, 'set'),
  SUNION: g => unordered(...g.keys('set', 3)),
  SUNIONSTORE: g => [g.key('setStore'), ...g.keys('set', 3)],

  // Sorted sets
  ZADD: zadd,
  ZCARD: g => [g.key('zset')],
  ZCOUNT: g => [g.key('zset'), g.bound(), g.bound()],
  ZDIFF: g => [2, ...g.keys('zset', 2), g.key('zset')].slice(0, 3),
  ZDIFFSTORE: g => [g.key('zsetStore'), 2, g.key('zset'), g.key('zset')],
  ZINCRBY: g => [g.key('zset'), g.score(), g.member()],
  ZINTER: g => zsetUnion(g, true),
  ZINTERSTORE: g => zsetUnion(g, false),
  ZLEXCOUNT: g => [g.key('lex'), g.lexBound(), g.lexBound()],
  ZMSCORE: g => [g.key('zset'), ...g.members(4)],
  ZPOPMAX: g => [g.key('zset'), ...g.maybe(g.random.below(6))],
  ZPOPMIN: g => [g.key('zset'), ...g.maybe(g.random.below(6))],
  ZRANDMEMBER: g => randomMember(g, 'zset'),
  ZRANGE: g => [...rangeOf(g), ...g.maybe('WITHSCORES')],
  ZRANGEBYLEX: g => [g.key('lex'), g.lexBound(), g.lexBound(), ...g.maybe('LIMIT', 0, 4)],
  ZRANGEBYSCORE: g => [g.key('zset'), g.bound(), g.bound(), ...g.maybe('WITHSCORES')],
  ZRANGESTORE: g => [g.key('zsetStore'), ...rangeOf(g)],
  ZRANK: g => [g.key('zset'), g.member()],
  ZREM: g => [g.key('zset'), ...g.members(3)],
  ZREMRANGEBYLEX: g => [g.key('lex'), g.lexBound(), g.lexBound()],
  ZREMRANGEBYRANK: g => [g.key('zset'), g.index(), g.index()],
  ZREMRANGEBYSCORE: g => [g.key('zset'), g.bound(), g.bound()],
  ZREVRANGE: g => [g.key('zset'), g.index(), g.index(), ...g.maybe('WITHSCORES')],
  ZREVRANGEBYLEX: g => [g.key('lex'), g.lexBound(), g.lexBound()],
  ZREVRANGEBYSCORE: g => [g.key('zset'), g.bound(), g.bound(), ...g.maybe('LIMIT', 0, 3)],
  ZREVRANK: g => [g.key('zset'), g.member()],
  ZSCAN: g => scan(g, 'zset'),
  ZSCORE: g => [g.key('zset'), g.member()],
  ZUNION: g => zsetUnion(g, true),
  ZUNIONSTORE: g => zsetUnion(g, false),

  // Places
  GEOADD: g => [g.key('geo'), ...geoPoint(g), g.place(), ...geoPoint(g), g.place()],
  GEODIST: g => [g.key('geo'), g.place(), g.place(), ...g.maybe('km')],
  GEOHASH: g => [g.key('geo'), g.place(), g.place(), g.member()],
  GEOPOS: g => [g.key('geo'), g.place(), g.place(), g.member()],
  GEORADIUS: g => [g.key('geo'), ...geoPoint(g), g.random.between(1, 9000), 'km', ...g.maybe('WITHCOORD', 'WITHDIST')],
  GEORADIUSBYMEMBER: g => [g.key('geo'), g.place(), g.random.between(1, 9000), 'km', ...g.maybe('ASC')],
  GEOSEARCH: g => [g.key('geo'), ...geoQuery(g)],
  GEOSEARCHSTORE: g => [g.key('geoStore'), g.key('geo'), ...geoQuery(g)],

  // HyperLogLog
  PFADD: g => [g.key('hll'), ...g.members(4)],
  PFCOUNT: g => g.keys('hll', 3),
  PFMERGE: g => [g.key('hll'), ...g.keys('hll', 2)],

  // Scripts, and what the proxy answers itself
  EVAL: g => [g.script(), 1, g.key('string'), ...g.maybe(g.value())],
  EVALSHA: g => [g.scriptHash(), 1, g.key('string'), ...g.maybe(g.value())],
  AUTH: g => [g.options.password || g.member()],
  COMMAND: () => ({ args: [], compare: 'type' }),
  LOLWUT: () => anyReply(),
  PING: () => [],
}

function unordered(...args: Args): Made {
  return { args, compare: 'unordered' }
}

function anyReply(...args: Args): Made {
  return { args, compare: 'shape' }
}

function randomMember(g: RedisArguments, kind: Kind): Made {
  const key = g.key(kind)
  const choice = g.random.below(3)
  if (choice === 0) return anyReply(key)
  return choice === 1 ? unordered(key, 100_000) : anyReply(key, -g.random.between(1, 20))
}

function scan(g: RedisArguments, kind: Kind): Made {
  return { args: [g.key(kind), 0, ...g.maybe('MATCH', 'm1*'), 'COUNT', 100_000], compare: 'scan' }
}

function zsetUnion(g: RedisArguments, numkeysFirst: boolean): Args {
  const keys = g.keys('zset', 3)
  const head = numkeysFirst ? [] : [g.key('zsetStore')]
  const aggregate = g.random.pick(['SUM', 'MIN', 'MAX'])
  return [
    ...head,
    keys.length,
    ...keys,
    ...g.maybe('AGGREGATE', aggregate),
    ...(numkeysFirst ? g.maybe('WITHSCORES') : []),
  ]
}

function geoPoint(g: RedisArguments): Args {
  return [g.random.between(-1790, 1790) / 10, g.random.between(-850, 850) / 10]
}

function geoQuery(g: RedisArguments): Args {
  const from = g.random.chance(0.5) ? ['FROMMEMBER', g.place()] : ['FROMLONLAT', ...geoPoint(g)]
  const by = g.random.chance(0.5)
    ? ['BYRADIUS', g.random.between(1, 9000)]
    : ['BYBOX', g.random.between(1, 9000), g.random.between(1, 9000)]
  return [...from, ...by, g.random.pick(['km', 'mi', 'm']), ...g.maybe('ASC'), ...g.maybe('COUNT', 5)]
}

/** Source and range of ZRANGE and ZRANGESTORE. */
function rangeOf(g: RedisArguments): Args {
  const source = g.key(g.random.pick<Kind>(['zset', 'zset', 'zsetStore', 'geoStore']))
  const by = g.random.below(3)
  if (by === 0) return [source, g.index(), g.index(), ...g.maybe('REV')]
  if (by === 1) return [source, g.bound(), g.bound(), 'BYSCORE', ...g.maybe('LIMIT', 0, 5)]
  return [g.key('lex'), g.lexBound(), g.lexBound(), 'BYLEX', ...g.maybe('LIMIT', 1, 3)]
}

/** ZADD: the `lex` keys get one score only. */
function zadd(g: RedisArguments): Args {
  if (g.random.chance(0.3))
    return [
      g.key('lex'),
      ...g.pairs(
        () => 0,
        () => g.member(),
      ),
    ]
  return [
    g.key('zset'),
    ...g.maybe(g.random.pick(['NX', 'XX', 'CH'])),
    ...g.pairs(
      () => g.score(),
      () => g.member(),
    ),
  ]
}

function expireAtMs(g: RedisArguments): number {
  return g.random.chance(0.1) ? 1000 : 4_000_000_000_000 + g.random.below(1_000_000)
}
