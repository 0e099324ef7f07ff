/**
 * Reads over keys of several servers, with `cross_server: gather`: SINTER, SUNION, SDIFF,
 * SINTERCARD, ZUNION, ZINTER, ZDIFF, ZINTERCARD and PFCOUNT. Data plane. Each server is read at its
 * own moment, so the whole is not atomic; each reply is what one server would compute from the
 * values read.
 *
 *     sets:         each server's keys combined there, then here          SINTER a b c ─▶ SINTER a c │ SINTER b
 *     sorted sets:  every key read with its scores, combined here         sums of doubles depend on their order, which is Redis's
 *     HyperLogLog:  every key read, registers merged here
 */

import { encodeText } from '../../../bytes/ascii.ts'
import { argTexts } from '../../../protocol/redis/arguments.ts'
import { HllCode, HllUnion } from '../../../protocol/redis/hyperloglog.ts'
import { isTexts, ReplyError, type ReplyValue, readReply } from '../../../protocol/redis/reply-value.ts'
import type { ReplyWriter } from '../../../protocol/redis/reply-writer.ts'
import type { RespRequestParser } from '../../../protocol/redis/request-parser.ts'
import type { Client } from '../../client/client.ts'
import type { Message } from '../../request/message.ts'
import type { SplitRequest } from '../../request/split-request.ts'
import { CollectingJoiner } from '../join/collecting-joiner.ts'
import { refuseReply } from '../join/replies.ts'
import { readScoredOptions, ScoresJoiner } from '../join/scores.ts'
import { type RedisPool, redisOf } from '../redis-pool.ts'
import { wireRequest } from '../servers/wire-request.ts'
import { sendFragments } from './broadcast.ts'
import { refuseCrossServer, shownKey } from './cross-server.ts'

/**
 * Answers the current request by reading every key, or refuses it.
 * @param servers of each key in `redis.positions`.
 */
export function gatherRequest(
  client: Client,
  parser: RespRequestParser,
  buf: Uint8Array,
  servers: readonly number[],
): void {
  const redis = redisOf(client.pool)
  const { positions } = redis
  const args = argTexts(parser, buf)
  const keys = Array.from(positions.args.subarray(0, positions.count), arg => args[arg])
  const options = args.slice(positions.args[positions.count - 1] + 1)
  switch (parser.command.name) {
    case 'PFCOUNT':
      readEach(client, keys, servers, key => wireRequest('GET', key), new HllJoiner())
      return
    case 'SINTER':
      readSets(client, 'SINTER', keys, servers, new InterJoiner(false, 0))
      return
    case 'SINTERCARD':
      interCard(client, keys, servers, options)
      return
    case 'SUNION':
      readSets(client, 'SUNION', keys, servers, new UnionJoiner())
      return
    case 'SDIFF':
      readSets(client, 'SDIFF', keys, servers, new DiffJoiner())
      return
    default:
      scored(client, parser.command.name, redis, keys, servers, options)
  }
}

/** One request a key. */
function readEach(
  client: Client,
  keys: readonly string[],
  servers: readonly number[],
  request: (key: string) => Uint8Array,
  joiner: CollectingJoiner,
): void {
  sendFragments(client, servers, keys.map(request), joiner)
}

/**
 * One request a server, the first key's server first. Of a difference, only that one takes away;
 * the others' keys are joined.
 */
function readSets(
  client: Client,
  command: string,
  keys: readonly string[],
  servers: readonly number[],
  joiner: CollectingJoiner,
): void {
  const byServer = new Map<number, string[]>()
  for (const [i, server] of servers.entries()) byServer.set(server, [...(byServer.get(server) ?? []), keys[i]])
  const requests = [...byServer.values()].map((own, i) =>
    wireRequest(command === 'SDIFF' && i > 0 ? 'SUNION' : command, ...own),
  )
  sendFragments(client, [...byServer.keys()], requests, joiner)
}

function interCard(
  client: Client,
  keys: readonly string[],
  servers: readonly number[],
  options: readonly string[],
): void {
  const limit = readLimit(options)
  if (limit < 0) refuseKeys(client, 'SINTERCARD', keys, servers)
  else readSets(client, 'SINTER', keys, servers, new InterJoiner(true, limit))
}

/** The proxy cannot apply the options to replies of several servers: the request is refused. */
function refuseKeys(client: Client, command: string, keys: readonly string[], servers: readonly number[]): void {
  const other = servers.findIndex(server => server !== servers[0])
  const [first, second] = [keys[0], keys[other]].map(key => shownKey(Buffer.from(key, 'latin1'), 0, key.length))
  refuseCrossServer(client, command, first, second)
}

/** `[LIMIT n]`. @returns 0 = none, -1 = something else. */
function readLimit(options: readonly string[]): number {
  if (options.length === 0) return 0
  const [name, limit] = options
  return options.length === 2 && name.toUpperCase() === 'LIMIT' && /^\d{1,15}$/.test(limit) ? Number(limit) : -1
}

function scored(
  client: Client,
  command: string,
  redis: RedisPool,
  keys: readonly string[],
  servers: readonly number[],
  options: readonly string[],
): void {
  const limit = command === 'ZINTERCARD' ? readLimit(options) : 0
  const read = readScoredOptions(command, keys.length, command === 'ZINTERCARD' ? [] : options)
  if (read === null || limit < 0) {
    refuseKeys(client, command, keys, servers)
    return
  }
  const joiner = new ScoresJoiner(command, read, limit, redis.serverVersion)
  // Of one key; sets are sorted sets with every score 1.
  readEach(client, keys, servers, key => wireRequest('ZUNION', '1', key, 'WITHSCORES'), joiner)
}

abstract class SetsJoiner extends CollectingJoiner {
  protected override fits(reply: ReplyValue): boolean {
    return isTexts(reply)
  }

  protected get sets(): readonly (readonly string[])[] {
    return this.replies as string[][]
  }
}

function writeMembers(writer: ReplyWriter, members: Iterable<string>, count: number): void {
  writer.set(count)
  for (const member of members) writer.bulk(member)
}

class UnionJoiner extends SetsJoiner {
  protected override join(writer: ReplyWriter): void {
    const union = new Set(this.sets.flat())
    writeMembers(writer, union, union.size)
  }
}

class DiffJoiner extends SetsJoiner {
  protected override join(writer: ReplyWriter): void {
    const taken = new Set(this.sets.slice(1).flat())
    const left = this.sets[0].filter(member => !taken.has(member))
    writeMembers(writer, left, left.length)
  }
}

class InterJoiner extends SetsJoiner {
  private readonly counts: boolean
  private readonly limit: number

  /** @param limit of a count; 0 = none. */
  constructor(counts: boolean, limit: number) {
    super()
    this.counts = counts
    this.limit = limit
  }

  protected override join(writer: ReplyWriter): void {
    const others = this.sets.slice(1).map(set => new Set(set))
    const common = this.sets[0].filter(member => others.every(set => set.has(member)))
    if (!this.counts) writeMembers(writer, common, common.length)
    else writer.integer(this.limit > 0 ? Math.min(this.limit, common.length) : common.length)
  }
}

const NOT_HLL = encodeText('-WRONGTYPE Key is not a valid HyperLogLog string value.\r\n')
const CORRUPT_HLL = encodeText('-INVALIDOBJ Corrupted HLL object detected\r\n')

class HllJoiner extends CollectingJoiner {
  private result = 0

  /** Errors are collected as well: the reply is the error of the first key that has one. */
  override accept(split: SplitRequest, fragment: Message, buf: Uint8Array, start: number, _end: number): boolean {
    const reply = readReply(buf, start)
    if (!this.fits(reply)) return refuseReply(split)
    this.keep(split, fragment, reply)
    return true
  }

  protected override fits(reply: ReplyValue): boolean {
    return reply === null || typeof reply === 'string' || reply instanceof ReplyError
  }

  override write(split: SplitRequest, client: Client): void {
    const union = new HllUnion()
    for (const value of this.replies as (string | null | ReplyError)[]) {
      const error = value instanceof ReplyError ? encodeText(`-${value.text}\r\n`) : addValue(union, value)
      if (error === null) continue
      client.socket.append(error, 0, error.length)
      return
    }
    this.result = union.count()
    super.write(split, client)
  }

  protected override join(writer: ReplyWriter): void {
    writer.integer(this.result)
  }
}

/** @returns Redis's error for a value that is no HyperLogLog, or null. */
function addValue(union: HllUnion, value: string | null): Uint8Array | null {
  const code = value === null ? HllCode.ok : union.add(value)
  if (code === HllCode.ok) return null
  return code === HllCode.notHll ? NOT_HLL : CORRUPT_HLL
}
