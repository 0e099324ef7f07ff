/**
 * One reply of several servers' replies to the same request: the first, any, or the least. Data
 * plane, for rare requests.
 */

import { MINUS } from '../../../bytes/ascii.ts'
import type { ReplyValue } from '../../../protocol/redis/reply-value.ts'
import type { ReplyWriter } from '../../../protocol/redis/reply-writer.ts'
import type { AnyServerRequest } from '../../client/any-server.ts'
import type { Client } from '../../client/client.ts'
import type { Message } from '../../request/message.ts'
import type { Joiner, SplitRequest } from '../../request/split-request.ts'
import { CollectingJoiner } from './collecting-joiner.ts'
import { cannotServe, noteAnswer } from './replies.ts'

/** The first reply of a server that is ready to serve. */
export const firstJoiner: Joiner = {
  partial: false,
  closesWhenStrict: false,
  accept(split, fragment, buf, start, end) {
    const any = split as AnyServerRequest
    if (cannotServe(buf, start) && any.askNext()) return true
    fragment.keepReply(buf, start, end)
    any.answered()
    return true
  },
  write(split, client) {
    const answered = split.fragments.find(fragment => fragment.reply !== null)!
    client.socket.append(answered.reply!, answered.replyStart, answered.replyEnd)
    client.noteReply(split.heldBytes)
  },
}

/** All servers did the same: the first one's reply. */
export class SameJoiner implements Joiner {
  readonly partial = false
  readonly closesWhenStrict = false
  private reply: Uint8Array | null = null

  accept(_split: SplitRequest, _fragment: Message, buf: Uint8Array, start: number, end: number): boolean {
    if (buf[start] === MINUS) return false
    this.reply ??= Uint8Array.prototype.slice.call(buf, start, end)
    return true
  }

  write(_split: SplitRequest, client: Client): void {
    client.socket.append(this.reply!, 0, this.reply!.length)
  }
}

/**
 * What only some servers had to do (SCRIPT KILL): done if any did it, else the first one's error.
 */
export class AnyJoiner implements Joiner {
  readonly partial = true
  readonly closesWhenStrict = false
  private done: Uint8Array | null = null

  accept(split: SplitRequest, _fragment: Message, buf: Uint8Array, start: number, end: number): boolean {
    const reply = Uint8Array.prototype.slice.call(buf, start, end)
    if (buf[start] === MINUS) {
      split.errorReply ??= reply
      return false
    }
    this.done ??= reply
    noteAnswer(split)
    return true
  }

  write(_split: SplitRequest, client: Client): void {
    client.socket.append(this.done!, 0, this.done!.length)
  }
}

/**
 * Integers, or arrays of them: the least of each place. LASTSAVE; SCRIPT EXISTS, where a script
 * must be on every server.
 */
export class LeastJoiner extends CollectingJoiner {
  /** Numbers in a reply; -1 = one that is no array. */
  private shape: number | null = null

  /** All replies have as many numbers. */
  protected override fits(reply: ReplyValue): boolean {
    const numbers = Array.isArray(reply) ? reply : [reply]
    const shape = Array.isArray(reply) ? reply.length : -1
    this.shape ??= shape
    return shape === this.shape && numbers.every(each => typeof each === 'number')
  }

  protected override join(writer: ReplyWriter): void {
    const { replies } = this
    const numbers = replies.map(reply => (Array.isArray(reply) ? reply : [reply]) as number[])
    if (Array.isArray(replies[0])) writer.array(numbers[0].length)
    for (let i = 0; i < numbers[0].length; i++) {
      writer.integer(numbers.reduce((least, each) => Math.min(least, each[i]), Number.POSITIVE_INFINITY))
    }
  }
}
