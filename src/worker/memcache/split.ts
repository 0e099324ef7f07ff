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
import { MAX_LINE_BYTES, type MemcacheRequestParser, Suppress } from '../../protocol/memcache/request-parser.ts'
import { askAnyServer } from '../client/any-server.ts'
import type { Client } from '../client/client.ts'
import { answerFailure, closeSplit } from '../request/delivery.ts'
import { Failure } from '../request/failure.ts'
import type { KeySplit } from '../request/key-split.ts'
import { type Message, MessageKind } from '../request/message.ts'
import { type Joiner, SplitRequest } from '../request/split-request.ts'
import type { ServerConnection } from '../server/server-connection.ts'
import { getsOf } from './gets.ts'
import { anyJoiner, okJoiner, StatsRequest, strictValuesJoiner, valuesJoiner } from './join.ts'
import { sendRequest, tagOf } from './tag.ts'

const LINE_END = encodeText(' \r\n')

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
