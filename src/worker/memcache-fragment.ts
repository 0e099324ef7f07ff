/**
 * `get`, `gets`, `gat` and `gats` over several servers, and what goes to all servers: `flush_all`, `verbosity`, `stats`. Data plane.
 *
 *     get a b c ─▶ get a c \r\n to server 0, get b \r\n to server 1 ─▶ VALUE a … VALUE b … VALUE c … END
 *
 * A fragment on the wire is what nutcracker sends, the space before the line end included. The values come back in nutcracker's order: for
 * each key of the request, the next value of the fragment that the key went to. Each value carries its key, and a fragment with a value of
 * a key that was not asked for is no answer to it, so whatever is missing or reordered, no value is ever another key's.
 */

import { CR, encodeText, LF, SPACE } from '../protocol/bytes.ts'
import { Action } from '../protocol/memcache/commands.ts'
import { END, OK } from '../protocol/memcache/replies.ts'
import { ReplyKind } from '../protocol/memcache/reply-kind.ts'
import { MAX_LINE_BYTES, type MemcacheRequestParser, Suppress } from '../protocol/memcache/request-parser.ts'
import { mergeStats, type StatsReply } from '../protocol/memcache/stats-merge.ts'
import { isValueOf, valueEnd } from '../protocol/memcache/values.ts'
import { PoolStat } from '../stats/fields.ts'
import type { Client } from './client.ts'
import { answerFailure, FILLING, settle } from './delivery.ts'
import { Failure } from './errno.ts'
import { FragmentGroup, type Joiner, type KeySplit } from './fragment.ts'
import { type HoldChunk, holdBytes, releaseHold } from './hold.ts'
import { kindOf, sendRequest, tagOf } from './memcache-message.ts'
import { type Message, MessageKind, takeMessage } from './message.ts'
import { copyBytes, SLAB_BYTES } from './slab.ts'
import { OWNED_CHUNK_BYTES, type Socket } from './socket.ts'

const LINE_END = encodeText(' \r\n')
const NO_OWNERS = new Uint16Array(0)

/** Ints a key in `ValueGroup.keys`. */
const KEY_START = 0
const KEY_END = 1
const KEY_FRAGMENT = 2
const KEY_NEXT = 3
const KEY_INTS = 4

/** A split list of keys, with a copy of the keys. */
class ValueGroup extends FragmentGroup {
  /** Of each key: [start, end) in `line.buf`, its fragment, the fragment's next key or -1. */
  keys: Int32Array
  line: HoldChunk | null
  /** First key of each fragment. */
  heads: number[] = []
  /** Set by `fill`. */
  rest = -1

  constructor(joiner: Joiner, parent: Message, keys: Int32Array, line: HoldChunk) {
    super(joiner, parent, NO_OWNERS, keys.length / KEY_INTS)
    this.keys = keys
    this.line = line
  }

  /**
   * Begins the next fragment with the server's keys from `head` on.
   * @param bytes size of the fragment without its keys. @param most size that it may have with them, 0 = any.
   * @returns its size; `rest` is the first key that found no room, or -1.
   */
  fill(split: KeySplit, head: number, bytes: number, most: number): number {
    const { keys } = this
    const fragment = this.heads.length
    this.heads.push(head)
    let total = bytes
    let last = -1
    let key = head
    while (key >= 0) {
      const at = key * KEY_INTS
      const more = keys[at + KEY_END] - keys[at + KEY_START] + 1
      if (most > 0 && total + more > most) break
      total += more
      keys[at + KEY_FRAGMENT] = fragment
      keys[at + KEY_NEXT] = -1
      if (last >= 0) keys[last * KEY_INTS + KEY_NEXT] = key
      last = key
      key = split.nextKey[key]
    }
    this.rest = key
    return total
  }

  override release(): void {
    if (this.line !== null) releaseHold(this.line)
    this.line = null
    super.release()
  }
}

/** A question to all servers. */
class StatsGroup extends FragmentGroup {
  /** What stood behind `stats`. */
  argument: string
  /** Of the servers at the time, in the order of the fragments. */
  serverNames: readonly string[]

  constructor(parent: Message, argument: string, serverNames: readonly string[]) {
    super(statsJoiner, parent, NO_OWNERS, 0)
    this.argument = argument
    this.serverNames = serverNames
  }
}

/** Sends a list of keys to its servers: whole where one server has them all. */
export function splitKeys(client: Client, parser: MemcacheRequestParser, buf: Uint8Array): void {
  const { pool } = client
  const { start, tokens, firstKey, keyCount } = parser
  const { split, router } = pool
  const { strict } = pool.config
  split.clear(keyCount)
  for (let key = firstKey; key < firstKey + keyCount; key++) {
    const server = router.route(buf, start + tokens[key * 2], start + tokens[key * 2 + 1])
    if (server < 0) {
      answerFailure(client, Failure.refused)
      return
    }
    split.add(server)
  }
  const fitsLine = parser.lineBytes <= MAX_LINE_BYTES || firstKey === 1
  if (split.serverCount === 1 && fitsLine && !strict) forwardList(client, parser, buf, split.first)
  else queueFragments(client, parser, buf, split, strict ? strictValuesJoiner : valuesJoiner)
}

/** All keys live on one server: its reply is the client's. */
function forwardList(client: Client, parser: MemcacheRequestParser, buf: Uint8Array, server: number): void {
  const connection = client.pool.connectionTo(client, server)
  if (connection === null) return
  const message = takeMessage(client, MessageKind.forward)
  message.tag = tagOf(parser)
  client.push(message)
  sendRequest(client, parser, buf, connection, message)
}

function queueFragments(
  client: Client,
  parser: MemcacheRequestParser,
  buf: Uint8Array,
  split: KeySplit,
  joiner: Joiner,
): void {
  const { pool } = client
  const { start, tokens, firstKey, keyCount, command } = parser
  const from = tokens[firstKey * 2]
  const to = tokens[(firstKey + keyCount) * 2 - 1]
  const line = holdBytes(buf, start + from, start + to)
  const keys = new Int32Array(keyCount * KEY_INTS)
  for (let key = 0; key < keyCount; key++) {
    keys[key * KEY_INTS + KEY_START] = tokens[(firstKey + key) * 2] - to + line.used
    keys[key * KEY_INTS + KEY_END] = tokens[(firstKey + key) * 2 + 1] - to + line.used
  }
  const parent = takeMessage(client, MessageKind.parent)
  const group = new ValueGroup(joiner, parent, keys, line)
  parent.group = group
  client.push(parent)
  const touches = firstKey === 2
  const exptime = start + tokens[2]
  const exptimeEnd = start + tokens[3]
  const headBytes = command.bytes.length + (touches ? 1 + exptimeEnd - exptime : 0)
  group.waiting = FILLING
  for (let server = split.first; server <= split.last; server++) {
    for (let head = split.head[server]; head >= 0; head = group.rest) {
      // Only `get` and `gets` may have lines of any length.
      const bytes = group.fill(split, head, headBytes + LINE_END.length, touches ? MAX_LINE_BYTES : 0)
      const fragment = takeFragment(group, tagOf(parser))
      const connection = pool.connectionForFragment(fragment, server)
      if (connection === null) continue
      const { socket } = connection
      connection.enqueue(fragment, bytes)
      if (bytes <= SLAB_BYTES) socket.reserve(bytes)
      socket.append(command.bytes, 0, command.bytes.length)
      if (touches) {
        socket.append(LINE_END, 0, 1)
        socket.append(buf, exptime, exptimeEnd)
      }
      appendKeys(socket, group, head, bytes <= SLAB_BYTES)
    }
  }
  pool.row[pool.statBase + PoolStat.fragments] += group.fragments.length
  settle(group)
}

function takeFragment(group: FragmentGroup, tag: number): Message {
  const fragment = takeMessage(null, MessageKind.fragment)
  fragment.group = group
  fragment.tag = tag
  fragment.fragmentIndex = group.fragments.length
  group.fragments.push(fragment)
  return fragment
}

/** ` key` for each key of a fragment, and the line end. @param reserved there is room for all of it in the socket's slab. */
function appendKeys(socket: Socket, group: ValueGroup, head: number, reserved: boolean): void {
  const { keys } = group
  const line = group.line!.buf
  if (!reserved) {
    for (let key = head; key >= 0; key = keys[key * KEY_INTS + KEY_NEXT]) {
      socket.append(LINE_END, 0, 1)
      socket.append(line, keys[key * KEY_INTS + KEY_START], keys[key * KEY_INTS + KEY_END])
    }
    socket.append(LINE_END, 0, LINE_END.length)
    return
  }
  const slab = socket.slab!
  let at = socket.outLength
  for (let key = head; key >= 0; key = keys[key * KEY_INTS + KEY_NEXT]) {
    slab[at++] = SPACE
    at = copyBytes(line, keys[key * KEY_INTS + KEY_START], keys[key * KEY_INTS + KEY_END], slab, at)
  }
  slab[at++] = SPACE
  slab[at++] = CR
  slab[at++] = LF
  socket.outLength = at
}

/** true when every value in a fragment's reply is of one of its keys. */
export function valuesMatch(fragment: Message, buf: Uint8Array, start: number): boolean {
  const group = fragment.group
  // Nobody waits for it, or it is a question without keys. nutcracker passes on whatever comes.
  if (!(group instanceof ValueGroup) || group.line === null || group.joiner === strictValuesJoiner) return true
  const { keys, heads } = group
  const line = group.line.buf
  const head = heads[fragment.fragmentIndex]
  let next = head
  let p = start
  for (;;) {
    const end = valueEnd(buf, p)
    if (end === p) return true
    let key = next
    // In order, with misses left out; else from the beginning once more.
    while (key >= 0 && !isKeyAt(keys, key, line, buf, p)) key = keys[key * KEY_INTS + KEY_NEXT]
    if (key < 0) {
      key = head
      while (key >= 0 && !isKeyAt(keys, key, line, buf, p)) key = keys[key * KEY_INTS + KEY_NEXT]
      if (key < 0) return false
    }
    next = keys[key * KEY_INTS + KEY_NEXT]
    p = end
  }
}

function isKeyAt(keys: Int32Array, key: number, line: Uint8Array, buf: Uint8Array, p: number): boolean {
  return isValueOf(buf, p, line, keys[key * KEY_INTS + KEY_START], keys[key * KEY_INTS + KEY_END])
}

function keepFragment(fragment: Message, buf: Uint8Array, start: number, end: number): void {
  fragment.keepReply(holdBytes(buf, start, end), end - start)
}

function isList(fragment: Message): boolean {
  return kindOf(fragment) <= ReplyKind.end
}

function writeValues(group: FragmentGroup, client: Client): void {
  const { keys } = group as ValueGroup
  const { fragments } = group
  const { socket } = client
  let source: Message | null = null
  let runStart = 0
  let bytes = END.length
  for (let key = 0; key < group.keyCount; key++) {
    const fragment = fragments[keys[key * KEY_INTS + KEY_FRAGMENT]]
    if (fragment.reply === null) continue
    const from = fragment.replyStart
    const end = valueEnd(fragment.reply, from)
    if (end === from) continue
    // Neighbours go out together.
    if (fragment !== source) {
      if (source !== null) appendRun(socket, source, runStart)
      source = fragment
      runStart = from
    }
    fragment.replyStart = end
    bytes += end - from
  }
  if (source !== null) appendRun(socket, source, runStart)
  socket.append(END, 0, END.length)
  client.noteReply(bytes)
}

function appendRun(socket: Socket, fragment: Message, from: number): void {
  const end = fragment.replyStart
  if (fragment.hold!.single && end - from >= OWNED_CHUNK_BYTES) socket.appendOwned(fragment.reply!, from, end)
  else socket.append(fragment.reply!, from, end)
}

/** Values of the servers that answered; a server that failed has none, as after a restart. */
const valuesJoiner: Joiner = {
  partial: true,
  closesWhenStrict: false,
  accept(_group, fragment, buf, start, end) {
    if (!isList(fragment)) return false
    keepFragment(fragment, buf, start, end)
    return true
  },
  write: writeValues,
}

/** nutcracker's: one failure fails the whole, and then the client is closed. */
const strictValuesJoiner: Joiner = {
  partial: false,
  closesWhenStrict: true,
  accept(group, fragment, buf, start, end) {
    if (isList(fragment)) keepFragment(fragment, buf, start, end)
    else group.fail(Failure.invalid)
    return true
  },
  write: writeValues,
}

/** `flush_all`, `verbosity`: done when every server has done it. */
const okJoiner: Joiner = {
  partial: false,
  closesWhenStrict: false,
  accept(_group, fragment) {
    return kindOf(fragment) === ReplyKind.ok
  },
  write(_group, client) {
    client.socket.append(OK, 0, OK.length)
  },
}

const statsJoiner: Joiner = {
  partial: true,
  closesWhenStrict: false,
  accept(_group, fragment, buf, start, end) {
    const kind = kindOf(fragment)
    if (kind === ReplyKind.error || kind === ReplyKind.clientError || kind === ReplyKind.serverError) return false
    keepFragment(fragment, buf, start, end)
    return true
  },
  write(group, client) {
    const { argument, serverNames } = group as StatsGroup
    const lists: StatsReply[] = []
    for (const [index, fragment] of group.fragments.entries()) {
      const { reply, replyStart, replyEnd } = fragment
      if (reply === null) continue
      const kind = kindOf(fragment)
      if (kind === ReplyKind.ok || kind === ReplyKind.reset) {
        client.socket.append(reply, replyStart, replyEnd)
        return
      }
      lists.push({ server: serverNames[index], text: latin1(reply, replyStart, replyEnd) })
    }
    const text = Buffer.from(mergeStats(argument, lists), 'latin1')
    client.socket.append(text, 0, text.length)
  },
}

function latin1(buf: Uint8Array, start: number, end: number): string {
  return Buffer.from(buf.buffer, buf.byteOffset + start, end - start).toString('latin1')
}

/** Sends the request to every server of the pool, ejected ones too: a server must not come back with what was flushed. */
export function broadcast(client: Client, parser: MemcacheRequestParser, buf: Uint8Array): void {
  const { pool } = client
  const { start, tokens, tokenCount } = parser
  const parent = takeMessage(client, MessageKind.parent)
  let group: FragmentGroup
  if (parser.command.action === Action.broadcastStats) {
    const argument = tokenCount > 1 ? latin1(buf, start + tokens[2], start + tokens[tokenCount * 2 - 1]) : ''
    const names = pool.servers.map(server => server.config.name)
    group = new StatsGroup(parent, argument, names)
  } else {
    group = new FragmentGroup(okJoiner, parent, NO_OWNERS, 0)
  }
  parent.group = group
  parent.silent = parser.suppress === Suppress.all
  client.push(parent)
  group.waiting = pool.servers.length
  pool.row[pool.statBase + PoolStat.fragments] += group.waiting
  for (const server of pool.servers) {
    const fragment = takeFragment(group, tagOf(parser))
    const connection = pool.connectionForFragment(fragment, server.index)
    if (connection !== null) sendRequest(client, parser, buf, connection, fragment)
  }
}
