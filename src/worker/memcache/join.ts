/**
 * The joiners of memcached requests: one reply of the replies of several servers. Data plane.
 *
 * Values come in nutcracker's order: for each key of the request, the next value of the fragment
 * that the key went to.
 */

import { latin1 } from '../../bytes/text.ts'
import { END, OK } from '../../protocol/memcache/replies.ts'
import { ReplyKind } from '../../protocol/memcache/reply-kind.ts'
import { mergeStats, type StatsReply } from '../../protocol/memcache/stats-merge.ts'
import { valueEnd } from '../../protocol/memcache/values.ts'
import type { AnyServerRequest } from '../client/any-server.ts'
import type { Client } from '../client/client.ts'
import { OWNED_CHUNK_BYTES } from '../io/output.ts'
import type { Socket } from '../io/socket.ts'
import { Failure } from '../request/failure.ts'
import type { Message } from '../request/message.ts'
import { type Joiner, SplitRequest } from '../request/split-request.ts'
import { kindOf } from './tag.ts'

/** `stats`, sent to all servers. */
export class StatsRequest extends SplitRequest {
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
export const valuesJoiner: Joiner = {
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
export const strictValuesJoiner: Joiner = {
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
export const okJoiner: Joiner = {
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
export const anyJoiner: Joiner = {
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
