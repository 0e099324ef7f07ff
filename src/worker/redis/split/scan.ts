/**
 * SCAN, KEYS and RANDOMKEY over several servers. Data plane.
 *
 * A cursor of SCAN carries the server: `server's cursor × 65,536 + server's index`. The servers are
 * walked in their order; when one is done, the next one begins with its cursor 0, in the same step
 * while fewer keys than COUNT were found. So the whole walk guarantees what each server guarantees:
 * every key that exists all the time is returned, more than once only where a server repeats it.
 * Keys on a server to which the ring does not lead (left from another configuration) are not
 * returned, because GET would not find them.
 */

import { CR, DOLLAR, encodeText, equalsText, MINUS, readDecimal, STAR, TILDE } from '../../../bytes/ascii.ts'
import { latin1 } from '../../../bytes/text.ts'
import { argTexts } from '../../../protocol/redis/arguments.ts'
import type { RespRequestParser } from '../../../protocol/redis/request-parser.ts'
import type { Client } from '../../client/client.ts'
import { answerFailure } from '../../request/delivery.ts'
import { Failure } from '../../request/failure.ts'
import type { Message } from '../../request/message.ts'
import type { Joiner, SplitRequest } from '../../request/split-request.ts'
import type { Pool } from '../../server/pool.ts'
import { noteAnswer, refuseReply } from '../join/replies.ts'
import type { RedisPool } from '../redis-pool.ts'
import { wireRequest } from '../servers/wire-request.ts'
import { sendFragments, sendOne } from './broadcast.ts'

/** Servers that a cursor has room for; at least `MAX_SERVERS`. */
const CURSOR_STEP = 65_536n
/** A server's cursor is below the size of its hash table, and the whole must fit 64 bits. */
const CURSOR_LIMIT = 2n ** 64n
/** COUNT of a SCAN that names none. */
const DEFAULT_COUNT = 10
const NOTHING_LEFT = encodeText('*2\r\n$1\r\n0\r\n*0\r\n')
/** How SCAN's reply begins: an array of two, the first a bulk. */
const PAIR_HEAD = encodeText('*2\r\n$')
const BAD_CURSOR = encodeText('-ERR invalid cursor\r\n')
const MOST_BYTES = 0x7fff_ffff

export function scanRequest(redis: RedisPool, client: Client, parser: RespRequestParser, buf: Uint8Array): void {
  const { pool } = client
  const args = argTexts(parser, buf)
  if (!/^\d{1,20}$/.test(args[1]) || BigInt(args[1]) >= CURSOR_LIMIT) {
    redis.answer(client, BAD_CURSOR)
    return
  }
  const cursor = BigInt(args[1])
  const named = Number(cursor % CURSOR_STEP)
  const server = nextLive(pool, named)
  if (server < 0) {
    // The cursor comes from a configuration with more servers: nothing is left to walk.
    if (cursor === 0n) answerFailure(client, Failure.refused)
    else redis.answer(client, NOTHING_LEFT)
    return
  }
  const servers = [server]
  const joiner = new ScanJoiner(client, args, servers)
  const own = server === named ? cursor / CURSOR_STEP : 0n
  sendFragments(client, servers, [joiner.request(own)], joiner)
}

/**
 * The first server from `index` on that is not ejected; -1 = none is left. With `eject_keep_ring`
 * an ejected one is asked, and fails.
 */
function nextLive(pool: Pool, index: number): number {
  for (let server = index; server < pool.servers.length; server++) {
    if (pool.servers[server].health.isInRing) return server
  }
  return -1
}

/**
 * One step of a walk: one server's step; where that server is done before COUNT keys were found,
 * the next server's too.
 */
class ScanJoiner implements Joiner {
  readonly partial = false
  readonly closesWhenStrict = false
  private readonly client: Client
  private readonly args: readonly string[]
  /** COUNT less the keys found; may become negative. */
  private wanted: number
  /** Index of each fragment's server. */
  private readonly servers: number[]
  private cursor = 0n

  /**
   * @param args of the request.
   * @param servers with the first server; `askNext` appends the others.
   */
  constructor(client: Client, args: readonly string[], servers: number[]) {
    this.client = client
    this.servers = servers
    this.args = args
    const count = args.findIndex((arg, i) => i > 1 && i % 2 === 0 && arg.toUpperCase() === 'COUNT')
    this.wanted = count < 0 ? DEFAULT_COUNT : Number(args[count + 1])
  }

  /** The request to a server. @param cursor of that server. */
  request(cursor: bigint): Uint8Array {
    return wireRequest('SCAN', `${cursor}`, ...this.args.slice(2))
  }

  accept(split: SplitRequest, fragment: Message, buf: Uint8Array, start: number, end: number): boolean {
    if (buf[start] === MINUS) return false
    // `*2\r\n$<n>\r\n<cursor>\r\n*<keys>\r\n…`
    const lengthEnd = buf.indexOf(CR, start + 4)
    const cursorEnd = buf.indexOf(CR, lengthEnd + 2)
    const isPair = equalsText(buf, start, start + PAIR_HEAD.length, PAIR_HEAD)
    const cursor = latin1(buf, lengthEnd + 2, cursorEnd)
    if (!isPair || !/^\d{1,20}$/.test(cursor) || !areBulks(buf, cursorEnd + 2, end)) return refuseReply(split)
    const server = this.servers[fragment.fragmentIndex]
    fragment.keepReply(buf, cursorEnd + 2, end)
    this.wanted -= readDecimal(buf, cursorEnd + 3, buf.indexOf(CR, cursorEnd + 2), MOST_BYTES)
    const own = BigInt(cursor)
    const next = own === 0n ? nextLive(this.client.pool, server + 1) : -1
    this.cursor = own === 0n ? BigInt(Math.max(0, next)) : own * CURSOR_STEP + BigInt(server)
    if (next >= 0 && this.wanted > 0 && split.parent.client !== null) this.askNext(split, next)
    return true
  }

  private askNext(split: SplitRequest, server: number): void {
    this.servers.push(server)
    sendOne(this.client.pool, split.addFragment(), server, this.request(0n))
  }

  write(split: SplitRequest, client: Client): void {
    const cursor = `${this.cursor}`
    const head = encodeText(`*2\r\n$${cursor.length}\r\n${cursor}\r\n`)
    client.socket.append(head, 0, head.length)
    writeOwnKeys(split, client)
    client.noteReply(split.heldBytes)
  }
}

/** Arrays of keys, one a server, as one array. */
export class KeysJoiner implements Joiner {
  readonly partial = false
  readonly closesWhenStrict = false

  accept(split: SplitRequest, fragment: Message, buf: Uint8Array, start: number, end: number): boolean {
    if (buf[start] === MINUS) return false
    if (!areBulks(buf, start, end)) return refuseReply(split)
    fragment.keepReply(buf, start, end)
    return true
  }

  write(split: SplitRequest, client: Client): void {
    writeOwnKeys(split, client)
    client.noteReply(split.heldBytes)
  }
}

/** Any of the servers' answers that is a key. */
export class RandomKeyJoiner implements Joiner {
  readonly partial = true
  readonly closesWhenStrict = false
  private seen = 0
  private key: Uint8Array | null = null

  accept(split: SplitRequest, _fragment: Message, buf: Uint8Array, start: number, end: number): boolean {
    if (buf[start] === MINUS) return false
    noteAnswer(split)
    if (buf[start] !== DOLLAR || buf[start + 1] === MINUS) return true
    this.seen++
    // Every server's key has the same chance, whatever the order of the replies.
    if (Math.random() * this.seen < 1) this.key = Uint8Array.prototype.slice.call(buf, start, end)
    return true
  }

  write(_split: SplitRequest, client: Client): void {
    const reply = this.key ?? encodeText(client.resp3 ? '_\r\n' : '$-1\r\n')
    client.socket.append(reply, 0, reply.length)
  }
}

/**
 * Writes one array of the keys in the fragments' replies, arrays of bulks, that their servers own.
 */
function writeOwnKeys({ fragments, serverOfFragment }: SplitRequest, client: Client): void {
  const chosen: { fragment: Message; spans: number[] }[] = []
  let count = 0
  for (const fragment of fragments) {
    const spans = ownKeys(client.pool, fragment, serverOfFragment[fragment.fragmentIndex])
    chosen.push({ fragment, spans })
    count += spans.length / 2
  }
  const head = encodeText(`*${count}\r\n`)
  client.socket.append(head, 0, head.length)
  for (const { fragment, spans } of chosen) {
    for (let i = 0; i < spans.length; i += 2) client.socket.append(fragment.reply!, spans[i], spans[i + 1])
  }
}

/**
 * Whether a whole reply's part [start, end) is an array, or RESP3's set, of bulks and nothing else.
 */
function areBulks(buf: Uint8Array, start: number, end: number): boolean {
  if (buf[start] !== STAR && buf[start] !== TILDE) return false
  const countEnd = buf.indexOf(CR, start)
  let left = readDecimal(buf, start + 1, countEnd, MOST_BYTES)
  if (left < 0) return false
  let at = countEnd + 2
  for (; left > 0 && at < end && buf[at] === DOLLAR; left--) {
    const lengthEnd = buf.indexOf(CR, at)
    const bytes = readDecimal(buf, at + 1, lengthEnd, MOST_BYTES)
    if (bytes < 0) return false
    at = lengthEnd + 2 + bytes + 2
  }
  return left === 0 && at === end
}

/** Where the bulks of keys lie that the ring gives to `server`: start and end in turn. */
function ownKeys(pool: Pool, fragment: Message, server: number): number[] {
  const reply = fragment.reply!
  // Every key leads to a server of its own choice then.
  const showsAll = pool.config.distribution === 'random'
  const spans: number[] = []
  let at = reply.indexOf(CR, fragment.replyStart) + 2
  while (at < fragment.replyEnd) {
    const lengthEnd = reply.indexOf(CR, at)
    const keyStart = lengthEnd + 2
    const keyEnd = keyStart + readDecimal(reply, at + 1, lengthEnd, MOST_BYTES)
    if (showsAll || pool.router.route(reply, keyStart, keyEnd) === server) spans.push(at, keyEnd + 2)
    at = keyEnd + 2
  }
  return spans
}
