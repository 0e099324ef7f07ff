/**
 * The Redis command table: data, and a lookup by the bytes of a name that makes no string. Data plane.
 * Names, argument counts and routing are nutcracker's (`test/vectors/redis-commands.json`); what is ours is marked.
 */

import { encodeText } from '../bytes.ts'

/** How the proxy treats a command. */
export const Action = {
  /** Not in the table: refused. */
  refuse: 0,
  /** Whole to the server of one key: argument `Command.key`. */
  forward: 1,
  /** Whole to the server of the key `placeholder`. */
  forwardKeyless: 2,
  /** EVAL: the key count is argument 2 and must be a positive number. */
  forwardScript: 3,
  /** Split by server when it has more than one key; integers summed. */
  sumKeys: 4,
  /** Split likewise; values gathered in key order. */
  gatherKeys: 5,
  /** MSET: split by pairs; one status. */
  splitPairs: 6,
  ping: 7,
  quit: 8,
  auth: 9,
  select: 10,
} as const

export interface Command {
  /** Upper case. */
  readonly name: string
  readonly action: (typeof Action)[keyof typeof Action]
  /** Argument counts, the name not counted. `max` -1 = no limit. */
  readonly min: number
  readonly max: number
  /** Index of the routing key among the arguments (1 = first after the name); 0 = none. */
  readonly key: number
  /** Fragments carry the name as nutcracker writes it: lower case, as a bulk (`$3\r\ndel\r\n`). */
  readonly fragmentName: Uint8Array
  readonly bytes: Uint8Array
}

const ARG0 = `DECR DUMP GET GETDEL HGETALL HKEYS HLEN HVALS INCR LLEN PERSIST PTTL SCARD SMEMBERS STRLEN TTL TYPE ZCARD`
const ARG1 = `APPEND DECRBY EXPIRE EXPIREAT GETBIT GETSET HEXISTS HGET HSTRLEN INCRBY INCRBYFLOAT LINDEX MOVE PEXPIRE PEXPIREAT
  RPOPLPUSH SETNX SISMEMBER ZRANK ZREVRANK ZSCORE`
const ARG2 = `GETRANGE HINCRBY HINCRBYFLOAT HSETNX LRANGE LREM LSET LTRIM PSETEX SETBIT SETEX SETRANGE SMOVE ZCOUNT ZINCRBY ZLEXCOUNT
  ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE`
const ARG3 = `LINSERT LMOVE`
const ARGN = `BITCOUNT BITFIELD BITPOS COPY GEOADD GEODIST GEOHASH GEOPOS GEORADIUS GEORADIUSBYMEMBER GEOSEARCH GEOSEARCHSTORE GETEX
  HDEL HMGET HMSET HRANDFIELD HSCAN HSET LPOP LPOS LPUSH LPUSHX PFADD PFCOUNT PFMERGE RESTORE RPOP RPUSH RPUSHX SADD SDIFF SDIFFSTORE SET
  SINTER SINTERSTORE SMISMEMBER SORT SPOP SRANDMEMBER SREM SSCAN SUNION SUNIONSTORE ZADD ZDIFF ZDIFFSTORE ZINTER ZINTERSTORE ZMSCORE
  ZPOPMAX ZPOPMIN ZRANDMEMBER ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANGESTORE ZREM ZREVRANGE ZREVRANGEBYLEX ZREVRANGEBYSCORE ZSCAN ZUNION
  ZUNIONSTORE`

function command(name: string, action: Command['action'], min: number, max: number, key: number): Command {
  const lower = name.toLowerCase()
  return {
    name,
    action,
    min,
    max,
    key,
    fragmentName: encodeText(`$${name.length}\r\n${lower}\r\n`),
    bytes: encodeText(name),
  }
}

function forwardAll(names: string, min: number, max: number): Command[] {
  return names.split(/\s+/).map(name => command(name, Action.forward, min, max, 1))
}

/** What `lookupCommand` returns for a name that is not in the table. */
export const UNKNOWN_COMMAND: Command = command('', Action.refuse, 0, -1, 0)

export const COMMANDS: readonly Command[] = [
  ...forwardAll(ARG0, 1, 1),
  ...forwardAll(ARG1, 2, 2),
  ...forwardAll(ARG2, 3, 3),
  ...forwardAll(ARG3, 4, 4),
  ...forwardAll(ARGN, 1, -1),
  command('DEL', Action.sumKeys, 1, -1, 1),
  command('UNLINK', Action.sumKeys, 1, -1, 1),
  command('TOUCH', Action.sumKeys, 1, -1, 1),
  // nutcracker counts on the first key's server only.
  command('EXISTS', Action.sumKeys, 1, -1, 1),
  command('MGET', Action.gatherKeys, 1, -1, 1),
  command('MSET', Action.splitPairs, 2, -1, 1),
  command('EVAL', Action.forwardScript, 3, -1, 3),
  command('EVALSHA', Action.forwardScript, 3, -1, 3),
  command('COMMAND', Action.forwardKeyless, 0, 0, 0),
  command('LOLWUT', Action.forwardKeyless, 0, -1, 0),
  command('PING', Action.ping, 0, 0, 0),
  command('QUIT', Action.quit, 0, 0, 0),
  command('AUTH', Action.auth, 1, 1, 0),
  // Ours: nutcracker closes the connection.
  command('SELECT', Action.select, 1, 1, 0),
]

const TABLE_SIZE = 1024
const LONGEST_NAME = 24

/** Open addressing; twice 8 % full, so a miss ends at once. */
const table: readonly Command[] = buildTable()

function slotOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = end - start
  // 0xdf folds ASCII letters to upper case.
  for (let i = start; i < end; i++) hash = (Math.imul(hash, 31) + (bytes[i] & 0xdf)) | 0
  return (hash ^ (hash >>> 11)) & (TABLE_SIZE - 1)
}

function buildTable(): Command[] {
  const slots: Command[] = new Array(TABLE_SIZE).fill(UNKNOWN_COMMAND)
  for (const entry of COMMANDS) {
    let slot = slotOf(entry.bytes, 0, entry.bytes.length)
    while (slots[slot] !== UNKNOWN_COMMAND) slot = (slot + 1) & (TABLE_SIZE - 1)
    slots[slot] = entry
  }
  return slots
}

/** The command named by bytes [start, end), ASCII letters in any case; `UNKNOWN_COMMAND` when there is none. */
export function lookupCommand(buf: Uint8Array, start: number, end: number): Command {
  const length = end - start
  if (length === 0 || length > LONGEST_NAME) return UNKNOWN_COMMAND
  let slot = slotOf(buf, start, end)
  for (;;) {
    const entry = table[slot]
    if (entry === UNKNOWN_COMMAND) return entry
    const name = entry.bytes
    if (name.length === length) {
      let i = 0
      while (i < length && isLetterOf(buf[start + i], name[i])) i++
      if (i === length) return entry
    }
    slot = (slot + 1) & (TABLE_SIZE - 1)
  }
}

function isLetterOf(byte: number, upper: number): boolean {
  return byte === upper || (byte >= 97 && byte <= 122 && byte - 32 === upper)
}
