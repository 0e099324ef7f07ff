/**
 * The request record, and its pool. Data plane; one pool a thread.
 *
 * A message hangs in two lists at once: its client's order queue (`next`) and its server
 * connection's queue (`serverNext`). It goes back to the pool when it has left both. A request that
 * was split is one parent message in the client's queue and one fragment message a server.
 */

import { assert } from '../../bytes/assert.ts'
import type { WordBuffer } from '../../bytes/word-buffer.ts'
import { MESSAGE_BYTES } from '../memory/lent-memory.ts'
import type { ArenaChunk } from '../memory/reply-arena.ts'
import type { WorkerMemory } from '../memory/worker-memory.ts'
import type { ReplyTarget } from './reply-target.ts'
import type { SplitRequest } from './split-request.ts'

export const MessageKind = {
  /** Forwarded whole; the reply goes to the client as it is. */
  forward: 0,
  /** Answered by the proxy; waits for the replies before it. */
  local: 1,
  /** A request that was split; `split` has its parts. */
  parent: 2,
  /** One server's part of a split request; `split` is its parent's. */
  fragment: 3,
  /** AUTH and SELECT of the proxy's own. */
  internal: 4,
  /** In its pool. */
  released: 5,
} as const

export class Message {
  /** The pool that it belongs to. */
  readonly messages: MessagePool
  /** Client's order queue; of a free message, the pool's list. */
  next: Message | null = null
  /** Server connection's queue. */
  serverNext: Message | null = null
  /**
   * null: no client waits for the reply (it has gone, the request has expired, `noreply`), which is
   * dropped.
   */
  client: ReplyTarget | null = null
  kind: number = MessageKind.released
  /** The reply is known; the message waits for those before it. */
  done = false
  /** Still in a server connection's queue. */
  queued = false
  /** `noreply`: nothing goes to the client, a failure of the proxy or the server included. */
  silent = false
  /** Expired: its client has had an error, the gauges no longer count it. */
  expired = false
  /**
   * On the clock of its server connection, which stands still while that is not read; 0 = no
   * deadline.
   */
  deadlineMs = 0
  requestBytes = 0
  /**
   * A reply that waits: bytes [replyStart, replyEnd) of `reply`. `chunk` is set when `reply`
   * belongs to the arena.
   */
  reply: Uint8Array | null = null
  replyStart = 0
  replyEnd = 0
  chunk: ArenaChunk | null = null
  split: SplitRequest | null = null
  /** Index of a fragment in `split.fragments`. */
  fragmentIndex = 0
  /**
   * Of a fragment whose reply is kept: index in `reply` of the next value to be written. Set and
   * moved by the joiner.
   */
  nextValueAt = 0
  /** Keys that it asks for: of a memcached `get`, of a fragment of MGET. Otherwise 0. */
  keys = 0
  /** memcached: how many messages after this one share its line. */
  joined = 0
  /**
   * For the protocol: how to treat the reply (memcached: which replies a quiet command suppresses).
   */
  tag = 0

  constructor(messages: MessagePool) {
    this.messages = messages
  }

  /** Keeps a copy of the reply [start, end) of buf until its turn. */
  keepReply(buf: Uint8Array, start: number, end: number): void {
    this.setKept(this.messages.memory.arena.keep(buf, start, end), end - start)
  }

  /**
   * Keeps the reply [0, end) of a buffer without a copy: the buffer is the message's from now on.
   */
  keepOwnedReply(buf: WordBuffer, start: number, end: number): void {
    this.setKept(this.messages.memory.arena.keepOwned(buf, end), end - start)
  }

  /** @param chunk its newest bytes are the reply. */
  private setKept(chunk: ArenaChunk, bytes: number): void {
    this.chunk = chunk
    this.reply = chunk.buf
    this.replyStart = chunk.used - bytes
    this.replyEnd = chunk.used
  }

  /** Gives the message back to its pool. It must be in neither list. */
  release(): void {
    this.messages.release(this)
  }
}

/**
 * Messages kept for reuse: one loop turn's worth under heavy pipelining; a burst's surplus goes to
 * the garbage collector.
 */
const KEPT_MESSAGES = 16_384

/**
 * The messages of one worker. Those that are free hang in a list by `next`: taking one from a list
 * costs half of what an array's `pop` does (two loads in place of five), which matters twice a
 * request.
 */
export class MessagePool {
  readonly memory: WorkerMemory
  /** Newest free message. */
  private free: Message | null = null
  private freeCount = 0
  /** Messages that are in use. */
  outstanding = 0

  constructor(memory: WorkerMemory) {
    this.memory = memory
  }

  /** What the messages in use take, bytes. */
  get outstandingBytes(): number {
    return this.outstanding * MESSAGE_BYTES
  }

  /** @param client whose reply it brings; null = no client waits for it. */
  acquire(client: ReplyTarget | null, kind: number): Message {
    this.outstanding++
    let message = this.free
    if (message === null) {
      message = new Message(this)
    } else {
      this.free = message.next
      message.next = null
      this.freeCount--
    }
    message.client = client
    message.kind = kind
    return message
  }

  release(message: Message): void {
    assert(message.kind !== MessageKind.released, 'a message is released once')
    this.outstanding--
    if (message.chunk !== null) {
      this.memory.arena.release(message.chunk)
      message.chunk = null
    }
    message.kind = MessageKind.released
    message.serverNext = null
    message.client = null
    message.reply = null
    message.split = null
    message.done = false
    message.queued = false
    message.silent = false
    message.expired = false
    message.deadlineMs = 0
    message.keys = 0
    message.joined = 0
    message.tag = 0
    if (this.freeCount >= KEPT_MESSAGES) {
      message.next = null
      return
    }
    message.next = this.free
    this.free = message
    this.freeCount++
  }

  /** Leaves the free messages to the garbage collector. */
  trim(): void {
    this.free = null
    this.freeCount = 0
  }
}
