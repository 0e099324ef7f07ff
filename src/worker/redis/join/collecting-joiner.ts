/** Reads the replies of all servers and makes one of them. Data plane, for rare requests. */

import { MINUS } from '../../../bytes/ascii.ts'
import { type ReplyValue, readReply } from '../../../protocol/redis/reply-value.ts'
import { ReplyWriter } from '../../../protocol/redis/reply-writer.ts'
import type { Client } from '../../client/client.ts'
import type { Message } from '../../request/message.ts'
import type { Joiner, SplitRequest } from '../../request/split-request.ts'
import { noteAnswer, refuseReply } from './replies.ts'

/**
 * Reads every server's reply. One instance a request.
 * @param partial true: what cannot answer is left out, and an error is the client's reply only
 * where no server did better. false: any failure is the client's reply.
 */
export abstract class CollectingJoiner implements Joiner {
  readonly partial: boolean
  readonly closesWhenStrict = false
  /** By fragment; those of servers without an answer are missing. */
  private readonly byFragment: (ReplyValue | undefined)[] = []

  constructor(partial = false) {
    this.partial = partial
  }

  accept(split: SplitRequest, fragment: Message, buf: Uint8Array, start: number, _end: number): boolean {
    if (buf[start] === MINUS) return false
    const reply = readReply(buf, start)
    if (!this.fits(reply)) return refuseReply(split)
    this.keep(split, fragment, reply)
    return true
  }

  protected keep(split: SplitRequest, fragment: Message, reply: ReplyValue): void {
    this.byFragment[fragment.fragmentIndex] = reply
    noteAnswer(split)
  }

  /** Replies of the servers that answered, in the order of the fragments. */
  protected get replies(): ReplyValue[] {
    return this.byFragment.filter(reply => reply !== undefined)
  }

  /** Reply to one fragment. */
  protected replyOf(fragmentIndex: number): ReplyValue | undefined {
    return this.byFragment[fragmentIndex]
  }

  write(split: SplitRequest, client: Client): void {
    const writer = new ReplyWriter(client.resp3)
    this.join(writer, split, client)
    const bytes = writer.bytes()
    client.socket.append(bytes, 0, bytes.length)
  }

  /** Whether a reply has the shape that `join` reads. */
  protected abstract fits(reply: ReplyValue): boolean

  /** Writes the one reply. */
  protected abstract join(writer: ReplyWriter, split: SplitRequest, client: Client): void
}
