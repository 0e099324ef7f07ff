/**
 * The request record, and its pool. Data plane; one pool a thread.
 *
 * A message hangs in two lists at once: its client's order queue (`next`) and its server connection's queue (`serverNext`). It goes back to
 * the pool when it has left both. A request that was split is one parent message in the client's queue and one fragment message a server.
 */

import { countMessage } from '../memory/lent-memory.ts'
import { type HoldChunk, releaseHold } from '../memory/reply-arena.ts'
import type { ReplyTarget } from './reply-target.ts'
import type { FragmentGroup } from './split-request.ts'

export const MessageKind = {
  /** Forwarded whole; the reply goes to the client as it is. */
  forward: 0,
  /** Answered by the proxy; waits for its turn. */
  local: 1,
  /** A request that was split; `group` has its parts. */
  parent: 2,
  /** One server's part of a split request; `group` is its parent's. */
  fragment: 3,
  /** AUTH and SELECT of the proxy's own. */
  internal: 4,
} as const

export class Message {
  /** Client's order queue. */
  next: Message | null = null
  /** Server connection's queue. */
  serverNext: Message | null = null
  /** null: nobody waits for the reply (client gone, request expired, noreply); it is read and dropped. */
  client: ReplyTarget | null = null
  kind: number = MessageKind.forward
  /** The reply is known; the message waits for those before it. */
  done = false
  /** Still in a server connection's queue. */
  queued = false
  /** `noreply`: nothing goes to the client, a failure of the proxy or the server included. */
  silent = false
  /** Expired: its client has had an error, the gauges no longer count it. */
  expired = false
  /** On the clock of its server connection, which stands still while that is not read; 0 = no deadline. */
  deadlineMs = 0
  requestBytes = 0
  /** A reply that waits: bytes [replyStart, replyEnd) of `reply`. `hold` is set when `reply` belongs to the arena. */
  reply: Uint8Array | null = null
  replyStart = 0
  replyEnd = 0
  hold: HoldChunk | null = null
  group: FragmentGroup | null = null
  /** Place of a fragment in its group. */
  fragmentIndex = 0
  /** memcached: keys of a `get`, and how many messages after this one share its line. */
  keys = 0
  joined = 0
  /** For the protocol: how to treat the reply (memcached: which replies a quiet command suppresses). */
  tag = 0

  /** Keeps a reply until its turn. The chunk's newest bytes are the reply. */
  keepReply(chunk: HoldChunk, bytes: number): void {
    this.hold = chunk
    this.reply = chunk.buf
    this.replyStart = chunk.used - bytes
    this.replyEnd = chunk.used
  }
}

/** Messages kept for reuse: one loop turn's worth under heavy pipelining; a burst's surplus goes to the garbage collector. */
const KEPT_MESSAGES = 16_384

const kept: Message[] = []

export function takeMessage(client: ReplyTarget | null, kind: number): Message {
  countMessage(1)
  const message = kept.length > 0 ? kept.pop()! : new Message()
  message.client = client
  message.kind = kind
  return message
}

/** Gives a message back. It must be in neither list. */
export function giveMessage(message: Message): void {
  countMessage(-1)
  if (message.hold !== null) {
    releaseHold(message.hold)
    message.hold = null
  }
  message.next = null
  message.serverNext = null
  message.client = null
  message.reply = null
  message.group = null
  message.done = false
  message.queued = false
  message.silent = false
  message.expired = false
  message.deadlineMs = 0
  message.keys = 0
  message.joined = 0
  message.tag = 0
  if (kept.length < KEPT_MESSAGES) kept.push(message)
}

/** Leaves the kept messages to the garbage collector. */
export function trimMessages(): void {
  kept.length = 0
}
