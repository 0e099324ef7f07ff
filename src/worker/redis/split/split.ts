/**
 * MGET, MSET, DEL, UNLINK, TOUCH and EXISTS over several servers. Data plane.
 *
 * A fragment on the wire is what nutcracker sends: the name in lower case, then the keys (or pairs) of that server as the client wrote them.
 */

import { COLON, CR, DOLLAR, encodeText, findByte, MINUS, PLUS, readDecimal, STAR, ZERO } from '../../../bytes/ascii.ts'
import { argEnd, argStart } from '../../../protocol/redis/arguments.ts'
import { MAX_ARGUMENTS, type RespRequestParser } from '../../../protocol/redis/request-parser.ts'
import { BulkScanner } from '../../../protocol/redis/value-scanner.ts'
import type { Client } from '../../client/client.ts'
import { SLAB_BYTES } from '../../memory/slab.ts'
import { answerFailure, closeSplit } from '../../request/delivery.ts'
import { Failure } from '../../request/failure.ts'
import { FanOut } from '../../request/fan-out.ts'
import type { KeySplit } from '../../request/key-split.ts'
import { type Message, MessageKind } from '../../request/message.ts'
import type { ReplyTarget } from '../../request/reply-target.ts'
import { type Joiner, SplitRequest } from '../../request/split-request.ts'
import type { Pool } from '../../server/pool.ts'
import { redisOf } from '../redis-pool.ts'

/** `*` or `:`, a sign, ten digits, CR LF. */
const HEAD_BYTES = 14

const OK = encodeText('+OK\r\n')

/** Writes `<type><value>\r\n` at `at`. @returns the place after it. */
function writeNumber(to: Uint8Array, at: number, type: number, value: number): number {
  let p = at
  to[p++] = type
  let rest = value
  if (rest < 0) {
    to[p++] = MINUS
    rest = -rest
  }
  let divisor = 1
  while (rest / divisor >= 10) divisor *= 10
  for (; divisor >= 1; divisor = Math.trunc(divisor / 10)) to[p++] = ZERO + (Math.trunc(rest / divisor) % 10)
  to[p++] = CR
  to[p++] = 10
  return p
}

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

/** All keys live on one server: its reply is the client's. */
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
  const fragmentOfKey = joiner === gatherJoiner ? new Uint16Array(keySplit.keyCount) : undefined
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
    // From the `$` of the key to the CR LF of its last argument; an argument's `$` follows the CR LF of the one before.
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

function decimalBytes(value: number): number {
  let bytes = 1
  for (let rest = value; rest >= 10; rest = Math.trunc(rest / 10)) bytes++
  return bytes
}

/** A reply of a wrong type: an error goes to the client as it is, anything else is a failure of the server. */
function refuse(split: SplitRequest, buf: Uint8Array, start: number): boolean {
  if (buf[start] === MINUS) return false
  split.fail(Failure.invalid)
  return true
}

/** DEL, UNLINK, TOUCH, EXISTS: integers, summed. */
export const sumJoiner: Joiner = {
  partial: false,
  closesWhenStrict: false,
  accept(split, _fragment, buf, start, end) {
    if (buf[start] !== COLON) return refuse(split, buf, start)
    let value = 0
    for (let i = start + 1; i < end - 2; i++) if (buf[i] !== MINUS) value = value * 10 + buf[i] - ZERO
    split.sum += value
    return true
  },
  write(split, client) {
    const slab = client.socket.reserve(HEAD_BYTES)
    client.socket.outLength = writeNumber(slab, client.socket.outLength, COLON, split.sum | 0)
  },
}

/** SLOWLOG LEN: integers, summed over the servers that answer. */
export const partialSumJoiner: Joiner = {
  partial: true,
  closesWhenStrict: false,
  accept(split, fragment, buf, start, end) {
    const accepted = sumJoiner.accept(split, fragment, buf, start, end)
    if (accepted && split instanceof FanOut) split.answered()
    return accepted
  },
  write: sumJoiner.write,
}

/** MSET: any status line will do. */
export const statusJoiner: Joiner = {
  partial: false,
  closesWhenStrict: false,
  accept(split, _fragment, buf, start) {
    return buf[start] === PLUS || refuse(split, buf, start)
  },
  write(_group, client) {
    client.socket.append(OK, 0, OK.length)
  },
}

/** MGET: values in the order of the keys, each from the fragment that its key went to. */
export const gatherJoiner: Joiner = {
  partial: false,
  closesWhenStrict: false,
  accept(split, fragment, buf, start, end) {
    const firstValue = firstValueOf(fragment, buf, start, end)
    if (firstValue < 0) return refuse(split, buf, start)
    fragment.keepReply(buf, start, end)
    fragment.nextValueAt = fragment.replyStart + firstValue - start
    return true
  },
  write(split, client) {
    const { socket } = client
    writeListHead(split, client)
    const { fragments, fragmentOfKey, keyCount } = split
    for (let key = 0; key < keyCount; key++) {
      const fragment = fragments[fragmentOfKey[key]]
      const from = fragment.nextValueAt
      skipValue(fragment)
      socket.append(fragment.reply!, from, fragment.nextValueAt)
    }
    client.noteReply(split.heldBytes)
  },
  streaming: {
    firstValue: (_split, fragment, buf, start, end) => firstValueOf(fragment, buf, start, end),
    newScanner: values => new BulkScanner(values),
    writeHead: writeListHead,
    skipValue,
  },
}

/** @returns the place of the first value, or -1: there must be one value a key, or those of other replies would be taken for them. */
function firstValueOf(fragment: Message, buf: Uint8Array, start: number, end: number): number {
  if (buf[start] !== STAR) return -1
  const lineEnd = findByte(buf, start, end, CR)
  const values = readDecimal(buf, start + 1, lineEnd, MAX_ARGUMENTS)
  return values === fragment.keys ? lineEnd + 2 : -1
}

function writeListHead(split: SplitRequest, client: ReplyTarget): void {
  const { socket } = client
  const slab = socket.reserve(HEAD_BYTES)
  socket.outLength = writeNumber(slab, socket.outLength, STAR, split.keyCount)
}

/** Moves `nextValueAt` past one value. MGET answers bulks and nulls; what it never answers keeps its bounds, too. */
function skipValue(fragment: Message): void {
  const reply = fragment.reply!
  let p = fragment.nextValueAt
  for (let values = 1; values > 0; values--) {
    const type = reply[p]
    const negative = reply[p + 1] === MINUS
    let number = 0
    for (p++; reply[p] !== CR; p++) number = number * 10 + reply[p] - ZERO
    p += 2
    if (negative) continue
    if (type === DOLLAR) p += number + 2
    else if (type === STAR) values += number
  }
  fragment.nextValueAt = p
}
