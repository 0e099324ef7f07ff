/**
 * The version of a pool's servers, for replies that depend on it: HELLO, CLIENT LIST. Data plane,
 * for rare requests.
 *
 * The first such request of a pool in a worker asks all servers, and takes the first answer; later
 * ones know it.
 */

import { encodeText } from '../../../bytes/ascii.ts'
import { latin1 } from '../../../bytes/text.ts'
import type { Client } from '../../client/client.ts'
import type { Message } from '../../request/message.ts'
import type { Joiner, SplitRequest } from '../../request/split-request.ts'
import { broadcastBytes, Reach } from '../split/broadcast.ts'

const ASK_VERSION = encodeText('*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n')
/** The version while no server has told it. */
const ASSUMED_VERSION = '7.0.0'

/** What knows the version, once a server has told it: the pool's protocol. */
export interface VersionOwner {
  /** '' until a server has told it. */
  serverVersion: string
}

/**
 * Answers the current request; called at once, or when its turn among the client's replies has
 * come.
 */
type Answer = (version: string) => void

/**
 * Calls `answer` with the servers' version, at once or once a server has told it. The client's
 * later requests wait until then.
 */
export function withVersion(owner: VersionOwner, client: Client, answer: Answer): void {
  if (owner.serverVersion !== '') {
    answer(owner.serverVersion)
    return
  }
  client.waitForReplies()
  broadcastBytes(client, ASK_VERSION, new VersionJoiner(owner, answer), Reach.live)
}

class VersionJoiner implements Joiner {
  readonly partial = true
  /** HELLO is answered also while no server is. */
  readonly unfailing = true
  readonly closesWhenStrict = false
  private readonly owner: VersionOwner
  private readonly answer: Answer

  constructor(owner: VersionOwner, answer: Answer) {
    this.owner = owner
    this.answer = answer
  }

  accept(split: SplitRequest, _fragment: Message, buf: Uint8Array, start: number, end: number): boolean {
    const text = latin1(buf, start, end)
    const version = /^redis_version:([\w.-]+)/m.exec(text)?.[1]
    if (version === undefined) return true
    this.owner.serverVersion = version
    // The other servers' answers are not needed: they are dropped when they come.
    split.waiting = 1
    return true
  }

  /**
   * The request still heads its client's queue: the reply that `answer` queues goes out directly
   * behind it.
   */
  write(): void {
    this.answer(this.owner.serverVersion === '' ? ASSUMED_VERSION : this.owner.serverVersion)
  }
}
