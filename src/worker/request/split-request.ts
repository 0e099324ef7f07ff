/**
 * A request split by server, and the order of its parts. Data plane.
 *
 *     MGET a b c d ─▶ keys of each server, in key order ─▶ one fragment a server, in server order ─▶ Joiner ─▶ one reply
 *
 * `KeySplit` is scratch space for one split, used again for the next; `FragmentGroup` lives until the last fragment is answered.
 */

import type { ValueScanner } from '../../protocol/parser.ts'
import type { FailureCode } from './failure.ts'
import type { Message } from './message.ts'
import type { ReplyTarget } from './reply-target.ts'

/** How the fragments of one kind of request become one reply. Stateless: what it learns it keeps in the group and the messages. */
export interface Joiner {
  /**
   * A fragment's complete reply, [start, end) of buf, valid during the call. What is needed later is kept with `keepReply`.
   * @returns false when the reply is an error or of a wrong type: the whole request fails with it.
   */
  accept(group: FragmentGroup, fragment: Message, buf: Uint8Array, start: number, end: number): boolean
  /** All fragments are in and none failed, or `partial` allows failures: writes the reply to the client's output. */
  write(group: FragmentGroup, client: ReplyTarget): void
  /** A fragment failed without an error reply of a server. @returns true when the joiner has answered the client. Absent: it never does. */
  recover?(group: FragmentGroup, client: ReplyTarget, failure: FailureCode): boolean
  /** true: failed fragments count as empty ones. */
  readonly partial: boolean
  /** true: where the pool is `strict`, a failure also closes the client, as nutcracker does after a failed multi-get. */
  readonly closesWhenStrict: boolean
  /** Set where large replies need not be gathered: they are lists with one value for each key of their fragment. */
  readonly streaming?: ValueStreaming
}

/** How a joiner's values go out while others still arrive. See `joined-stream.ts`. */
export interface ValueStreaming {
  /**
   * A fragment's reply has begun: [start, end) of buf is as much as is here of it.
   * @returns the place of its first value, or -1 when it is to be gathered: no list of so many values as the fragment has keys.
   */
  firstValue(group: FragmentGroup, fragment: Message, buf: Uint8Array, start: number, end: number): number
  newScanner(values: number): ValueScanner
  /** Writes what stands before the first value of the whole reply. */
  writeHead(group: FragmentGroup, client: ReplyTarget): void
  /** Moves `replyStart` of a gathered reply past one value. */
  skipValue(fragment: Message): void
}

/** A reply that is put together while its parts arrive. */
export interface GroupStream {
  /** A part of it is out. */
  readonly begun: boolean
  /** A fragment is answered or has failed, or the parent has come to the head of its client's queue. */
  advance(): void
  finish(client: ReplyTarget): void
  release(): void
}

/** Reply for the whole request when a fragment failed. */
export const NO_FAILURE = -1

export class FragmentGroup {
  joiner: Joiner
  parent: Message
  fragments: Message[] = []
  /** Keys of each fragment, where the joiner wants to know. */
  keyCounts: number[] = []
  /** Fragment index of each key, in the order of the request. */
  owners: Uint16Array
  keyCount: number
  /** Fragments without an answer. */
  waiting = 0
  /** Sum of the integer replies. */
  sum = 0
  /** One of `Failure`, or NO_FAILURE. */
  failure: number = NO_FAILURE
  /** An error reply of a server, which decides over `failure`. */
  errorReply: Uint8Array | null = null
  failedFragments = 0
  /** Bytes of replies that are kept. */
  heldBytes = 0
  /** Set once a fragment's reply is too large to be gathered. */
  stream: GroupStream | null = null

  constructor(joiner: Joiner, parent: Message, owners: Uint16Array, keyCount: number) {
    this.joiner = joiner
    this.parent = parent
    this.owners = owners
    this.keyCount = keyCount
  }

  /** The first failure with a known cause decides; `closed` gives way to any other. Fragments fail in server order within a turn. */
  fail(failure: FailureCode): void {
    this.failedFragments++
    if (this.failure <= 0) this.failure = failure
  }

  get failed(): boolean {
    return this.failure !== NO_FAILURE || this.errorReply !== null
  }

  /** Gives back the fragments that no server connection holds any more. */
  release(): void {
    this.stream?.release()
    for (const fragment of this.fragments) {
      fragment.group = null
      if (!fragment.queued) fragment.release()
    }
    this.fragments = []
  }
}

/** Groups the keys of one request by server: linked lists through `nextKey`, heads and tails by server. */
export class KeySplit {
  /** First and last key of each server; -1 = none. */
  head: Int32Array
  private tail: Int32Array
  count: Int32Array
  nextKey: Int32Array = new Int32Array(64)
  keyCount = 0
  /** Servers that own a key. */
  serverCount = 0
  /** Lowest and highest server with a key, to keep the walk short. */
  first = 0
  last = 0

  constructor(servers: number) {
    this.head = new Int32Array(servers).fill(-1)
    this.tail = new Int32Array(servers).fill(-1)
    this.count = new Int32Array(servers)
    this.first = servers
    this.last = -1
  }

  /** Forgets the last split. */
  clear(keys: number): void {
    for (let server = this.first; server <= this.last; server++) {
      this.head[server] = -1
      this.count[server] = 0
    }
    this.keyCount = 0
    this.serverCount = 0
    this.first = this.head.length
    this.last = -1
    if (keys > this.nextKey.length) this.nextKey = new Int32Array(keys * 2)
  }

  /** Adds the next key of the request. */
  add(server: number): void {
    const key = this.keyCount++
    this.nextKey[key] = -1
    if (this.head[server] === -1) {
      this.head[server] = key
      this.serverCount++
      if (server < this.first) this.first = server
      if (server > this.last) this.last = server
    } else {
      this.nextKey[this.tail[server]] = key
    }
    this.tail[server] = key
    this.count[server]++
  }
}
