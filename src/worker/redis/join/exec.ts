/**
 * EXEC of a transaction whose replies do not all come from one server: those of several servers
 * (`multi: split`), and the proxy's own (CLIENT). Data plane.
 */

import { CR, encodeText, findByte, MINUS, STAR } from '../../../bytes/ascii.ts'
import { latin1 } from '../../../bytes/text.ts'
import { errorLine } from '../../../protocol/redis/replies.ts'
import { valueEnd } from '../../../protocol/redis/value-end.ts'
import type { FailureCode } from '../../request/failure.ts'
import type { Message } from '../../request/message.ts'
import type { ReplyTarget } from '../../request/reply-target.ts'
import type { Joiner, SplitRequest } from '../../request/split-request.ts'

/**
 * Where the reply to one queued request comes from: a part (the index of a server's MULTI), or the
 * proxy when EXEC is answered.
 */
export type ExecPlace = number | OwnReply

/** A reply of the proxy's own. */
export interface OwnReply {
  /** Called before EXEC is sent, again until it returns true: the reply can be given then. */
  prepare(): boolean
  run(): Uint8Array
}

const NOT_EXECUTED = errorLine('the server did not execute its part of the transaction')

/** One instance a request. */
export class ExecJoiner implements Joiner {
  readonly partial = true
  readonly closesWhenStrict = false
  readonly #places: readonly ExecPlace[]
  /** By part: the reply that is no array of the right length. */
  readonly #whole: Uint8Array[] = []
  readonly #parts: number

  constructor(places: readonly ExecPlace[], parts: number) {
    this.#places = places
    this.#parts = parts
  }

  accept(_split: SplitRequest, fragment: Message, buf: Uint8Array, start: number, end: number): boolean {
    const part = fragment.fragmentIndex
    const lineEnd = findByte(buf, start, end, CR)
    const wanted = this.#places.reduce<number>((count, place) => (place === part ? count + 1 : count), 0)
    if (buf[start] !== STAR || latinNumber(buf, start + 1, lineEnd) !== wanted) {
      this.#whole[part] = Uint8Array.prototype.slice.call(buf, start, end)
      return true
    }
    fragment.keepReply(buf, start, end)
    fragment.nextValueAt = fragment.replyStart + lineEnd + 2 - start
    return true
  }

  write(split: SplitRequest, client: ReplyTarget): void {
    if (this.#parts === 1 && this.#whole[0] !== undefined) {
      append(client, this.#whole[0])
      return
    }
    append(client, encodeText(`*${this.#places.length}\r\n`))
    for (const place of this.#places) {
      if (typeof place !== 'number') append(client, place.run())
      else this.#writeNext(split, client, place)
    }
    client.noteReply(split.heldBytes)
  }

  /**
   * Writes the next reply of a part: an error in the place of each, where the server has sent none.
   */
  #writeNext(split: SplitRequest, client: ReplyTarget, part: number): void {
    const fragment = split.fragments[part]
    const whole = this.#whole[part]
    if (fragment.chunk !== null) {
      const from = fragment.nextValueAt
      fragment.nextValueAt = valueEnd(fragment.reply!, from, fragment.replyEnd)
      client.socket.append(fragment.reply!, from, fragment.nextValueAt)
    } else if (whole !== undefined) {
      append(client, whole[0] === MINUS ? whole : NOT_EXECUTED)
    } else {
      append(client, client.pool.protocol.failureReplies[split.failure] ?? NOT_EXECUTED)
    }
  }

  /**
   * No server has answered: the transaction is lost with them, and so is the client's connection.
   */
  recover(split: SplitRequest, client: ReplyTarget, failure: FailureCode): boolean {
    client.loseServer(split.parent, failure)
    return true
  }
}

function append(client: ReplyTarget, bytes: Uint8Array): void {
  client.socket.append(bytes, 0, bytes.length)
}

function latinNumber(buf: Uint8Array, start: number, end: number): number {
  return Number(latin1(buf, start, end))
}
