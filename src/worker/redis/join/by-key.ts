/**
 * The joiners of requests that were split by their keys, and of requests to all servers with the
 * same kind of reply. Data plane. None of them has state: requests share them.
 */

import { COLON, CR, DOLLAR, encodeText, findByte, MINUS, PLUS, readDecimal, STAR, ZERO } from '../../../bytes/ascii.ts'
import { MAX_ARGUMENTS } from '../../../protocol/redis/request-parser.ts'
import { BulkScanner } from '../../../protocol/redis/value-scanner.ts'
import { FanOut } from '../../request/fan-out.ts'
import type { Message } from '../../request/message.ts'
import type { ReplyTarget } from '../../request/reply-target.ts'
import type { Joiner, SplitRequest } from '../../request/split-request.ts'
import { HEAD_BYTES, writeNumber } from './numbers.ts'
import { refuse } from './replies.ts'

const OK = encodeText('+OK\r\n')

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
  write(_split, client) {
    client.socket.append(OK, 0, OK.length)
  },
}

/** MGET: values in the order of the keys, each from the fragment that its key went to. */
export const mgetJoiner: Joiner = {
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

/**
 * @returns the place of the first value, or -1: there must be one value a key, or those of other
 * replies would be taken for them.
 */
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

/**
 * Moves `nextValueAt` past one value. MGET answers bulks and nulls; what it never answers keeps its
 * bounds, too.
 */
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
