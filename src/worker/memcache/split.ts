/**
 * `get`, `gets`, `gat` and `gats` over several servers, and what goes to all servers: `flush_all`,
 * `verbosity`, `stats`. Data plane.
 *
 *     get a b c ─▶ get a c \r\n to server 0, get b \r\n to server 1 ─▶ VALUE a … VALUE b … VALUE c … END
 *
 * A fragment on the wire is what nutcracker sends, the space before the line end included, and may
 * share its line (`gets.ts`). The values come back in nutcracker's order: for each key of the
 * request, the next value of the fragment that the key went to.
 */

import { encodeText } from '../../bytes/ascii.ts'
import { latin1 } from '../../bytes/text.ts'
import { Action } from '../../protocol/memcache/commands.ts'
import { END, OK } from '../../protocol/memcache/replies.ts'
import { ReplyKind } from '../../protocol/memcache/reply-kind.ts'
import { MAX_LINE_BYTES, type MemcacheRequestParser, Suppress } from '../../protocol/memcache/request-parser.ts'
import { mergeStats, type StatsReply } from '../../protocol/memcache/stats-merge.ts'
import { valueEnd } from '../../protocol/memcache/values.ts'
import { type AnyServerRequest, askAnyServer } from '../client/any-server.ts'
import type { Client } from '../client/client.ts'
import { OWNED_CHUNK_BYTES } from '../io/output.ts'
import type { Socket } from '../io/socket.ts'
import { answerFailure, closeSplit } from '../request/delivery.ts'
import { Failure } from '../request/failure.ts'
import type { KeySplit } from '../request/key-split.ts'
import { type Message, MessageKind } from '../request/message.ts'
import { type Joiner, SplitRequest } from '../request/split-request.ts'
import type { ServerConnection } from '../server/server-connection.ts'
import { getsOf } from './gets.ts'
import { kindOf, sendRequest, tagOf } from './tag.ts'

const LINE_END = encodeText(' \r\n')

/** `stats`, sent to all servers. */
class StatsRequest extends SplitRequest {
  /** The text behind `stats`; '' = none. */
  argument: string
  /**
   * Name of each fragment's server; a reload may change the pool's servers while the request waits.
   */
  serverNames: readonly string[]

  constructor(client: Client, argument: string, serverNames: readonly string[]) {
    super(client, statsJoiner)
    this.argument = argument
    this.serverNames = serverNames
  }
}

/**
 * Sends a request with several keys to their servers; unchanged where one server has all of them.
 */
export function splitKeys(client: Client, parser: MemcacheRequestParser, buf: Uint8Array): void {
  const { pool } = client
  const { start, tokens, firstKey, keyCount } = parser
  const { keySplit, router } = pool
  const { strict } = pool.config
  keySplit.clear(keyCount)
  for (let key = firstKey; key < firstKey + keyCount; key++) {
    const server = router.route(buf, start + tokens[key * 2], start + tokens[key * 2 + 1])
    if (server < 0) {
      answerFailure(client, Failure.refused)
      return
    }
    keySplit.add(server)
  }
  const fitsLine = parser.lineBytes <= MAX_LINE_BYTES || firstKey === 1
  if (keySplit.serverCount === 1 && fitsLine && !strict) forwardList(client, parser, buf, keySplit)
  else queueFragments(client, parser, buf, keySplit, strict ? strictValuesJoiner : valuesJoiner)
}

/** One server has all keys: its reply goes to the client unchanged. */
function forwardList(client: Client, parser: MemcacheRequestParser, buf: Uint8Array, keySplit: KeySplit): void {
  const connection = client.pool.connectionTo(client, keySplit.first)
  if (connection === null) return
  const message = client.messages.acquire(client, MessageKind.forward)
  message.tag = tagOf(parser)
  client.push(message)
  sendKeys(connection, message, parser, buf, keySplit, keySplit.head[keySplit.first], -1)
}

function queueFragments(
  client: Client,
  parser: MemcacheRequestParser,
  buf: Uint8Array,
  keySplit: KeySplit,
  joiner: Joiner,
): void {
  const { pool } = client
  const fragmentOfKey = new Uint16Array(parser.keyCount)
  const split = new SplitRequest(client, joiner, fragmentOfKey)
  for (let server = keySplit.first; server <= keySplit.last; server++) {
    let head = keySplit.head[server]
    while (head >= 0) {
      const fragment = addFragment(split, parser)
      const stop = fillFragment(parser, keySplit, head, fragmentOfKey, fragment.fragmentIndex)
      const connection = pool.connectionForFragment(fragment, server)
      if (connection !== null) sendKeys(connection, fragment, parser, buf, keySplit, head, stop)
      head = stop
    }
  }
  closeSplit(split)
}

/**
 * Notes a server's keys from `head` on as the fragment's: all of them, or as many as a line of
 * limited length has room for.
 * @returns the first key without room, or -1.
 */
function fillFragment(
  parser: MemcacheRequestParser,
  keySplit: KeySplit,
  head: number,
  fragmentOfKey: Uint16Array,
  fragment: number,
): number {
  const { tokens, firstKey, command } = parser
  // Only `get` and `gets` may have lines of any length.
  const limited = firstKey > 1
  let bytes = limited ? command.bytes.length + 1 + tokens[3] - tokens[2] + LINE_END.length : 0
  let key = head
  while (key >= 0) {
    bytes += tokens[(firstKey + key) * 2 + 1] - tokens[(firstKey + key) * 2] + 1
    if (limited && bytes > MAX_LINE_BYTES) break
    fragmentOfKey[key] = fragment
    key = keySplit.nextKey[key]
  }
  return key
}

/** Sends a request for the keys from `head` on, up to `stop` (-1 = all). */
function sendKeys(
  connection: ServerConnection,
  message: Message,
  parser: MemcacheRequestParser,
  buf: Uint8Array,
  keySplit: KeySplit,
  head: number,
  stop: number,
): void {
  const { start, tokens, firstKey, command } = parser
  const { nextKey } = keySplit
  let keyBytes = 0
  let keys = 0
  for (let key = head; key !== stop; key = nextKey[key]) {
    keyBytes += tokens[(firstKey + key) * 2 + 1] - tokens[(firstKey + key) * 2] + 1
    keys++
  }
  const exptimeBytes = firstKey === 1 ? 0 : tokens[3] - tokens[2] + 1
  const gets = getsOf(connection)
  connection.enqueue(message, command.bytes.length + exptimeBytes + keyBytes + LINE_END.length)
  gets.begin(connection, message, command, keys, keyBytes)
  if (exptimeBytes > 0) {
    connection.socket.append(LINE_END, 0, 1)
    connection.socket.append(buf, start + tokens[2], start + tokens[3])
  }
  for (let key = head; key !== stop; key = nextKey[key]) {
    gets.add(connection, buf, start + tokens[(firstKey + key) * 2], start + tokens[(firstKey + key) * 2 + 1])
  }
  gets.finish(connection, true)
}

function addFragment(split: SplitRequest, parser: MemcacheRequestParser): Message {
  const fragment = split.addFragment()
  fragment.tag = tagOf(parser)
  return fragment
}

function keepValues(fragment: Message, buf: Uint8Array, start: number, end: number): void {
  fragment.keepReply(buf, start, end)
  fragment.nextValueAt = fragment.replyStart
}

function isList(fragment: Message): boolean {
  return kindOf(fragment) <= ReplyKind.end
}

function writeValues(split: SplitRequest, client: Client): void {
  const { fragments, fragmentOfKey } = split
  const { socket } = client
  let source: Message | null = null
  let runStart = 0
  let bytes = END.length
  for (let key = 0; key < split.keyCount; key++) {
    const fragment = fragments[fragmentOfKey[key]]
    if (fragment.reply === null) continue
    const from = fragment.nextValueAt
    const end = valueEnd(fragment.reply, from)
    if (end === from) continue
    // Values that lie side by side in one reply are written by one call.
    if (fragment !== source) {
      if (source !== null) appendRun(socket, source, runStart)
      source = fragment
      runStart = from
    }
    fragment.nextValueAt = end
    bytes += end - from
  }
  if (source !== null) appendRun(socket, source, runStart)
  socket.append(END, 0, END.length)
  client.noteReply(bytes)
}

function appendRun(socket: Socket, fragment: Message, from: number): void {
  const end = fragment.nextValueAt
  if (fragment.chunk!.single && end - from >= OWNED_CHUNK_BYTES) socket.appendOwned(fragment.reply!, from, end)
  else socket.append(fragment.reply!, from, end)
}

/**
 * Values of the servers that answered. Keys of a server that failed are missing, as they are after
 * a restart.
 */
const valuesJoiner: Joiner = {
  partial: true,
  closesWhenStrict: false,
  accept(_split, fragment, buf, start, end) {
    if (!isList(fragment)) return false
    keepValues(fragment, buf, start, end)
    return true
  },
  write: writeValues,
}

/** As nutcracker: one failure fails the request, and then the client is closed. */
const strictValuesJoiner: Joiner = {
  partial: false,
  closesWhenStrict: true,
  accept(split, fragment, buf, start, end) {
    if (isList(fragment)) keepValues(fragment, buf, start, end)
    else split.fail(Failure.invalid)
    return true
  },
  write: writeValues,
}

/** `flush_all`, `verbosity`, `cache_memlimit`: done when every server has done it. */
const okJoiner: Joiner = {
  partial: false,
  closesWhenStrict: false,
  accept(_split, fragment) {
    return kindOf(fragment) === ReplyKind.ok
  },
  write(_split, client) {
    client.socket.append(OK, 0, OK.length)
  },
}

const statsJoiner: Joiner = {
  partial: true,
  closesWhenStrict: false,
  accept(_split, fragment, buf, start, end) {
    const kind = kindOf(fragment)
    if (kind === ReplyKind.error || kind === ReplyKind.clientError || kind === ReplyKind.serverError) return false
    fragment.keepReply(buf, start, end)
    return true
  },
  write(split, client) {
    const { argument, serverNames } = split as StatsRequest
    if (serverNames.length === 1) {
      const { reply, replyStart, replyEnd } = split.fragments[0]
      client.socket.append(reply!, replyStart, replyEnd)
      return
    }
    const lists: StatsReply[] = []
    for (const [index, fragment] of split.fragments.entries()) {
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

/** The first reply of any server: `version`. */
const anyJoiner: Joiner = {
  partial: false,
  closesWhenStrict: false,
  accept(split, fragment, buf, start, end) {
    fragment.keepReply(buf, start, end)
    ;(split as AnyServerRequest).answered()
    return true
  },
  write(split, client) {
    const answered = split.fragments.find(fragment => fragment.reply !== null)!
    client.socket.append(answered.reply!, answered.replyStart, answered.replyEnd)
  },
}

/**
 * Sends a request without a key to the first server that answers, `preferred` first (-1 = no server
 * is live).
 */
export function forwardToAny(client: Client, parser: MemcacheRequestParser, buf: Uint8Array, preferred: number): void {
  const request = Uint8Array.prototype.slice.call(buf, parser.start + parser.head, parser.end)
  const tag = tagOf(parser)
  askAnyServer(client, preferred, anyJoiner, (connection, fragment) => {
    fragment.tag = tag
    getsOf(connection).close()
    connection.enqueue(fragment, request.length)
    connection.socket.append(request, 0, request.length)
  })
}

/**
 * Sends the request to every server of the pool, ejected ones too: a server must not come back with
 * what was flushed.
 */
export function broadcast(client: Client, parser: MemcacheRequestParser, buf: Uint8Array): void {
  const { pool } = client
  const { start, tokens, tokenCount } = parser
  let split: SplitRequest
  if (parser.command.action === Action.broadcastStats) {
    const argument = tokenCount > 1 ? latin1(buf, start + tokens[2], start + tokens[tokenCount * 2 - 1]) : ''
    const names = pool.servers.map(server => server.config.name)
    split = new StatsRequest(client, argument, names)
  } else {
    split = new SplitRequest(client, okJoiner)
  }
  split.parent.silent = parser.suppress === Suppress.all
  for (const server of pool.servers) {
    const fragment = addFragment(split, parser)
    const connection = pool.connectionForFragment(fragment, server.index)
    if (connection !== null) sendRequest(client, parser, buf, connection, fragment)
  }
  closeSplit(split)
}
