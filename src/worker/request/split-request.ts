/**
 * A request split by server, and the order of its parts. Data plane.
 *
 *     MGET a b c d ─▶ keys of each server, in key order ─▶ one fragment a server, in server order ─▶ Joiner ─▶ one reply
 *
 * `KeySplit` is scratch space for one split, used again for the next; `SplitRequest` lives until the last fragment is answered.
 */

import type { ValueScanner } from '../../protocol/parser.ts'
import type { FailureCode } from './failure.ts'
import type { Message } from './message.ts'
import type { ReplyTarget } from './reply-target.ts'

/** How the fragments of one kind of request become one reply. Stateless: what it learns it keeps in the split and the messages. */
export interface Joiner {
  /**
   * A fragment's complete reply, [start, end) of buf, valid during the call. What is needed later is kept with `keepReply`.
   * @returns false when the reply is an error or of a wrong type: the whole request fails with it.
   */
  accept(split: SplitRequest, fragment: Message, buf: Uint8Array, start: number, end: number): boolean
  /** All fragments are in and none failed, or `partial` allows failures: writes the reply to the client's output. */
  write(split: SplitRequest, client: ReplyTarget): void
  /** A fragment failed without an error reply of a server. @returns true when the joiner has answered the client. Absent: it never does. */
  recover?(split: SplitRequest, client: ReplyTarget, failure: FailureCode): boolean
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
  firstValue(split: SplitRequest, fragment: Message, buf: Uint8Array, start: number, end: number): number
  newScanner(values: number): ValueScanner
  /** Writes what stands before the first value of the whole reply. */
  writeHead(split: SplitRequest, client: ReplyTarget): void
  /** Moves `replyStart` of a gathered reply past one value. */
  skipValue(fragment: Message): void
}

/** A reply that is put together while its parts arrive. */
export interface SplitStream {
  /** A part of it is out. */
  readonly begun: boolean
  /** A fragment is answered or has failed, or the parent has come to the head of its client's queue. */
  advance(): void
  finish(client: ReplyTarget): void
  release(): void
}

/** Reply for the whole request when a fragment failed. */
export const NO_FAILURE = -1

export class SplitRequest {
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
  stream: SplitStream | null = null

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
      fragment.split = null
      if (!fragment.queued) fragment.release()
    }
    this.fragments = []
  }
}
