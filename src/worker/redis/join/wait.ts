/**
 * The joiners of WAIT and WAITAOF: what all servers can promise is the least that one of them has.
 * Data plane, for rare requests.
 */

import { COLON, STAR } from '../../../bytes/ascii.ts'
import type { Message } from '../../request/message.ts'
import type { ReplyTarget } from '../../request/reply-target.ts'
import type { Joiner, SplitRequest } from '../../request/split-request.ts'
import { integerAt } from './numbers.ts'

/** WAIT: replicas that have it all, at the server that has fewest. One instance a request. */
export class WaitJoiner implements Joiner {
  readonly partial = true
  readonly closesWhenStrict = false
  protected least = Number.POSITIVE_INFINITY

  accept(_split: SplitRequest, _fragment: Message, buf: Uint8Array, start: number, _end: number): boolean {
    if (buf[start] !== COLON) return false
    this.least = Math.min(this.least, integerAt(buf, start + 1))
    return true
  }

  write(_split: SplitRequest, client: ReplyTarget): void {
    const reply = Buffer.from(this.reply(), 'latin1')
    client.socket.append(reply, 0, reply.length)
  }

  protected reply(): string {
    return `:${this.least}\r\n`
  }
}

/** WAITAOF: `[local, replicas]`, the least of each. */
export class WaitAofJoiner extends WaitJoiner {
  private leastLocal = Number.POSITIVE_INFINITY

  override accept(_split: SplitRequest, _fragment: Message, buf: Uint8Array, start: number, end: number): boolean {
    if (buf[start] !== STAR) return false
    const first = buf.indexOf(COLON, start)
    const second = buf.indexOf(COLON, first + 1)
    if (first < 0 || second < 0 || second >= end) return false
    this.leastLocal = Math.min(this.leastLocal, integerAt(buf, first + 1))
    this.least = Math.min(this.least, integerAt(buf, second + 1))
    return true
  }

  protected override reply(): string {
    return `*2\r\n:${this.leastLocal}\r\n:${this.least}\r\n`
  }
}
