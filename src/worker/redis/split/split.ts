/**
 * MGET, MSET, DEL, UNLINK, TOUCH and EXISTS over several servers. Data plane.
 *
 * A fragment on the wire is what nutcracker sends: the name in lower case, then the keys (or pairs)
 * of that server as the client wrote them.
 */

import { STAR } from '../../../bytes/ascii.ts'
import { argEnd, argStart } from '../../../protocol/redis/arguments.ts'
import type { RespRequestParser } from '../../../protocol/redis/request-parser.ts'
import type { Client } from '../../client/client.ts'
import { SLAB_BYTES } from '../../memory/slab.ts'
import { answerFailure, closeSplit } from '../../request/delivery.ts'
import { Failure } from '../../request/failure.ts'
import type { KeySplit } from '../../request/key-split.ts'
import { type Message, MessageKind } from '../../request/message.ts'
import { type Joiner, SplitRequest } from '../../request/split-request.ts'
import type { Pool } from '../../server/pool.ts'
import { mgetJoiner } from '../join/by-key.ts'
import { decimalBytes, HEAD_BYTES, writeNumber } from '../join/numbers.ts'
import { redisOf } from '../redis-pool.ts'

/**
 * Splits the request by server and queues its fragments.
 * @param stride arguments a key: 1, or 2 for pairs.
 */
export function splitKeys(
  client: Client,
  parser: RespRequestParser,
  buf: Uint8Array,
  stride: number,
  joiner: Joiner,
): void {
  const pool = client.pool
  const keys = (parser.argCount - 1) / stride
  const longestKey = redisOf(pool).longestKey
  const keySplit = pool.keySplit
  keySplit.clear(keys)
  for (let i = 0; i < keys; i++) {
    const keyStart = argStart(parser, 1 + i * stride)
    const keyEnd = argEnd(parser, 1 + i * stride)
    if (keyEnd - keyStart > longestKey) {
      redisOf(pool).refuseKey(client, keyEnd - keyStart)
      return
    }
    const server = pool.router.route(buf, keyStart, keyEnd)
    if (server < 0) {
      answerFailure(client, Failure.refused)
      return
    }
    keySplit.add(server)
  }
  if (keySplit.serverCount === 1) forwardWhole(client, parser, buf, keySplit.first)
  else queueFragments(client, parser, buf, stride, joiner, keySplit)
}

/**
 * One server has all keys: it gets the request unchanged, and its reply goes to the client
 * unchanged.
 */
function forwardWhole(client: Client, parser: RespRequestParser, buf: Uint8Array, server: number): void {
  const connection = client.pool.connectionTo(client, server)
  if (connection === null) return
  const message = client.messages.acquire(client, MessageKind.forward)
  client.push(message)
  connection.enqueue(message, parser.end - parser.start)
  connection.socket.append(buf, parser.start, parser.end)
}

function queueFragments(
  client: Client,
  parser: RespRequestParser,
  buf: Uint8Array,
  stride: number,
  joiner: Joiner,
  keySplit: KeySplit,
): void {
  const pool = client.pool
  const fragmentOfKey = joiner === mgetJoiner ? new Uint16Array(keySplit.keyCount) : undefined
  const split = new SplitRequest(client, joiner, fragmentOfKey)
  for (let server = keySplit.first; server <= keySplit.last; server++) {
    if (keySplit.head[server] === -1) continue
    const fragment = split.addFragment()
    fragment.keys = keySplit.count[server]
    if (fragmentOfKey !== undefined) noteKeys(fragmentOfKey, keySplit, server, fragment.fragmentIndex)
    sendFragment(pool, parser, buf, stride, server, fragment, keySplit)
  }
  closeSplit(split)
}

/** All keys of a server are in one fragment. */
function noteKeys(fragmentOfKey: Uint16Array, { head, nextKey }: KeySplit, server: number, fragment: number): void {
  for (let key = head[server]; key >= 0; key = nextKey[key]) fragmentOfKey[key] = fragment
}

function sendFragment(
  pool: Pool,
  parser: RespRequestParser,
  buf: Uint8Array,
  stride: number,
  server: number,
  message: Message,
  keySplit: KeySplit,
): void {
  const { command } = parser
  const connection = pool.connectionForFragment(message, server)
  if (connection === null) return
  const socket = connection.socket
  const name = command.fragmentName
  const count = keySplit.count[server] * stride + 1
  const headBytes = decimalBytes(count) + 3
  let bytes = headBytes + name.length
  for (let key = keySplit.head[server]; key >= 0; key = keySplit.nextKey[key]) {
    // From the `$` of the key to the CR LF of its last argument; an argument's `$` follows the CR
    // LF of the one before.
    bytes += argEnd(parser, (key + 1) * stride) - argEnd(parser, key * stride)
  }
  connection.enqueue(message, bytes)
  const slab = socket.reserve(HEAD_BYTES)
  socket.outLength = writeNumber(slab, socket.outLength, STAR, count)
  socket.append(name, 0, name.length)
  if (bytes <= SLAB_BYTES) socket.reserve(bytes - headBytes - name.length)
  for (let key = keySplit.head[server]; key >= 0; key = keySplit.nextKey[key]) {
    const from = argEnd(parser, key * stride) + 2
    const to = argEnd(parser, (key + 1) * stride) + 2
    socket.append(buf, from, to)
  }
}
