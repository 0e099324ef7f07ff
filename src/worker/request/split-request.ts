/**
 * A request that goes to several servers, in fragments. Data plane.
 *
 *     MGET a b c d ─▶ keys of each server, in key order ─▶ one fragment a server, in server order ─▶ Joiner ─▶ one reply
 *
 *     new SplitRequest(client, joiner)   takes the request's place among the client's replies
 *     split.addFragment()                for each server; the caller sends the fragment, or it has failed already
 *     closeSplit(split)                  (`delivery.ts`) no more fragments follow: the reply may go out
 */

import type { ValueScanner } from '../../protocol/parser.ts'
import { PoolStat } from '../../shared/stat-fields.ts'
import type { FailureCode } from './failure.ts'
import { type Message, MessageKind } from './message.ts'
import type { ReplyPool, ReplyTarget } from './reply-target.ts'

/**
 * Makes one reply of the replies to the fragments. A joiner that requests share has no state: what
 * it learns is in the split request and its messages. A joiner with state is one instance a
 * request.
 */
export interface Joiner {
  /**
   * A fragment's complete reply, [start, end) of buf, valid during the call. What is needed later
   * is kept with `keepReply`.
   * @returns false when the reply is an error or of a wrong type: the whole request fails with it.
   */
  accept(split: SplitRequest, fragment: Message, buf: Uint8Array, start: number, end: number): boolean
  /**
   * All fragments are in and none failed, or `partial` allows failures: writes the reply to the
   * client's output.
   */
  write(split: SplitRequest, client: ReplyTarget): void
  /**
   * A fragment failed without an error reply of a server.
   * @returns true when the joiner has answered the client. Absent: it never does.
   */
  recover?(split: SplitRequest, client: ReplyTarget, failure: FailureCode): boolean
  /** true: the reply is made without the fragments that failed, unless all of them failed. */
  readonly partial: boolean
  /** true, beside `partial`: `write` is called also when all fragments failed. */
  readonly unfailing?: boolean
  /**
   * true: where the pool is `strict`, a failure also closes the client, as nutcracker does after a
   * failed multi-get.
   */
  readonly closesWhenStrict: boolean
  /**
   * Set where large replies need not be gathered: they are lists with one value for each key of
   * their fragment.
   */
  readonly streaming?: ValueStreaming
}

/** How a joiner writes values while later ones still arrive. See `joined-stream.ts`. */
export interface ValueStreaming {
  /**
   * A fragment's reply has begun: [start, end) of buf is what has arrived of it.
   * @returns index of its first value in buf, or -1 when the reply must be kept whole: it is no
   * list of one value for each key.
   */
  firstValue(split: SplitRequest, fragment: Message, buf: Uint8Array, start: number, end: number): number
  newScanner(values: number): ValueScanner
  /** Writes what stands before the first value of the whole reply. */
  writeHead(split: SplitRequest, client: ReplyTarget): void
  /** Moves `nextValueAt` of a fragment whose reply was kept past one value. */
  skipValue(fragment: Message): void
}

/** A reply whose values go out while its parts arrive; `JoinedStream` is the one class. */
export interface SplitStream {
  /** The client has some of it: from now on a failure must close the client. */
  readonly begun: boolean
  /**
   * Called when a fragment is answered or fails, and when the parent comes to the head of its
   * client's queue.
   */
  advance(): void
  finish(client: ReplyTarget): void
  release(): void
}

/** `SplitRequest.failure` while no fragment has failed. */
export const NO_FAILURE = -1

const NO_KEYS = new Uint16Array(0)
const NO_SERVERS: readonly number[] = []

export class SplitRequest {
  readonly joiner: Joiner
  /** The message in the client's order queue. Its `client` is null once the client has gone. */
  readonly parent: Message
  /** Where fragments are counted. */
  readonly pool: ReplyPool
  fragments: Message[] = []
  /**
   * Index in `fragments` of each key, in the order of the request. Empty where the joiner does not
   * read it.
   */
  readonly fragmentOfKey: Uint16Array
  readonly keyCount: number
  /**
   * Index in `pool.servers` of each fragment's server. Empty where the joiner does not read it. Set
   * by the sender of the fragments.
   */
  serverOfFragment: readonly number[] = NO_SERVERS
  /**
   * Fragments without an answer, and one more until `closeSplit`: failures while fragments are
   * still sent cannot end the request.
   */
  waiting = 1
  /** Sum of integer replies, for the joiner that adds them. */
  sum = 0
  /** One of `Failure`, or NO_FAILURE. */
  failure: number = NO_FAILURE
  /** The first error reply of a server. It is the reply rather than the text of `failure`. */
  errorReply: Uint8Array | null = null
  failedFragments = 0
  /**
   * Replies that are kept until the request's turn, bytes; also counted in the client's `heldBytes`
   * while there is one.
   */
  heldBytes = 0
  /** Set once a fragment's reply is so large that it passes through. */
  stream: SplitStream | null = null

  /** @param fragmentOfKey filled by the caller while it adds the fragments. */
  constructor(client: ReplyTarget, joiner: Joiner, fragmentOfKey: Uint16Array = NO_KEYS) {
    this.joiner = joiner
    this.pool = client.pool
    this.fragmentOfKey = fragmentOfKey
    this.keyCount = fragmentOfKey.length
    this.parent = client.messages.acquire(client, MessageKind.parent)
    this.parent.split = this
    client.push(this.parent)
  }

  /** Adds a fragment, which its caller must send or fail. */
  addFragment(): Message {
    const { parent, pool, fragments } = this
    const fragment = parent.messages.acquire(null, MessageKind.fragment)
    fragment.split = this
    fragment.fragmentIndex = fragments.length
    fragments.push(fragment)
    this.waiting++
    pool.row[pool.statBase + PoolStat.fragments]++
    return fragment
  }

  /**
   * The first failure with a known cause is the request's; `Failure.closed` gives way to any other.
   */
  fail(failure: FailureCode): void {
    this.failedFragments++
    if (this.failure <= 0) this.failure = failure
  }

  get failed(): boolean {
    return this.failure !== NO_FAILURE || this.errorReply !== null
  }

  /**
   * Releases the fragments, but for those in a server connection's queue: the connection releases
   * them when their reply has come.
   */
  release(): void {
    this.stream?.release()
    for (const fragment of this.fragments) {
      fragment.split = null
      if (!fragment.queued) fragment.release()
    }
    this.fragments = []
  }
}
