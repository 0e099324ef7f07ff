/**
 * The tag of a memcached message, which says how to read its reply, and the sending of its request.
 * Data plane.
 *
 *     tag:  kind of the reply (fragments) ── 16 │ suppress 9 8 │ 7 ── command + 1     never 0: every reply is inspected
 */

import { COMMANDS, type Command } from '../../protocol/memcache/commands.ts'
import type { MemcacheRequestParser } from '../../protocol/memcache/request-parser.ts'
import type { Client } from '../client/client.ts'
import type { Message } from '../request/message.ts'
import type { ServerConnection } from '../server/server-connection.ts'

const COMMAND_MASK = 0xff
const SUPPRESS_SHIFT = 8
const SUPPRESS_MASK = 3
const KIND_SHIFT = 16
const REQUEST_MASK = 0xffff

/** The line of `get` requests at the end of a connection's output (`gets.ts`). */
interface OpenLine {
  /** No more keys may be added to it. */
  close(): void
}

/** @param parser has just found the request. */
export function tagOf(parser: MemcacheRequestParser): number {
  return (parser.command.index + 1) | (parser.suppress << SUPPRESS_SHIFT)
}

export function commandOf(tag: number): Command {
  return COMMANDS[(tag & COMMAND_MASK) - 1]
}

/** One of `Suppress`. */
export function suppressOf(tag: number): number {
  return (tag >> SUPPRESS_SHIFT) & SUPPRESS_MASK
}

/** Notes the kind of a message's reply, for its joiner if it is a fragment. */
export function noteKind(message: Message, kind: number): void {
  message.tag = (message.tag & REQUEST_MASK) | (kind << KIND_SHIFT)
}

/** One of `ReplyKind`, as noted. */
export function kindOf(message: Message): number {
  return message.tag >> KIND_SHIFT
}

/**
 * Queues the message and appends the request to its server's output, without the words that the
 * parser cut out.
 */
export function sendRequest(
  client: Client,
  parser: MemcacheRequestParser,
  buf: Uint8Array,
  connection: ServerConnection,
  message: Message,
): void {
  const { start, end, cutEnd } = parser
  const head = start + parser.head
  const cutStart = start + parser.cutStart
  const { socket } = connection
  ;(connection.protocolState as OpenLine | null)?.close()
  connection.enqueue(message, cutStart - head + end - start - cutEnd)
  let from = head
  if (cutEnd > parser.cutStart) {
    socket.append(buf, head, cutStart)
    from = start + cutEnd
  }
  if (start === 0 && end === client.ownEnd) socket.appendOwned(buf, from, end)
  else socket.append(buf, from, end)
}
