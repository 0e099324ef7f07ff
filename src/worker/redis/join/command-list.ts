/**
 * The reply of any server (`client/any-server.ts`) to COMMAND, COMMAND LIST, INFO or DOCS, without
 * what the pool does not serve. Data plane. What stays goes to the client byte for byte, as the
 * server wrote it.
 */

import { CR, DOLLAR, LF, MINUS, PERCENT, PLUS, STAR, TILDE } from '../../../bytes/ascii.ts'
import { latin1 } from '../../../bytes/text.ts'
import { Parsed } from '../../../protocol/parser.ts'
import { RespReplyParser } from '../../../protocol/redis/reply-parser.ts'
import type { AnyServerRequest } from '../../client/any-server.ts'
import type { Client } from '../../client/client.ts'
import type { Message } from '../../request/message.ts'
import type { Joiner, SplitRequest } from '../../request/split-request.ts'
import { cannotServe, refuseReply } from './replies.ts'

/**
 * `entries`: arrays that begin with a name, or nulls; `names`: texts; `documents`: names, each with
 * a map; `count`: as entries, counted.
 */
export type ListForm = 'entries' | 'names' | 'documents' | 'count'

export class CommandListJoiner implements Joiner {
  readonly partial = false
  readonly closesWhenStrict = false
  private readonly form: ListForm
  private readonly resp3: boolean
  /** @param name upper case. */
  private readonly isServed: (name: string) => boolean
  /** COMMAND INFO with names answers for each of them. */
  private readonly showsNulls: boolean
  private reply: Uint8Array | null = null

  constructor(form: ListForm, resp3: boolean, showsNulls: boolean, isServed: (name: string) => boolean) {
    this.form = form
    this.resp3 = resp3
    this.showsNulls = showsNulls
    this.isServed = isServed
  }

  accept(split: SplitRequest, _fragment: Message, buf: Uint8Array, start: number, end: number): boolean {
    const any = split as AnyServerRequest
    if (cannotServe(buf, start) && any.askNext()) return true
    // An error of the server is the answer.
    const filtered =
      buf[start] === MINUS ? Uint8Array.prototype.slice.call(buf, start, end) : this.filter(buf, start, end)
    if (filtered === null) return refuseReply(split)
    this.reply = filtered
    any.answered()
    return true
  }

  write(_split: SplitRequest, client: Client): void {
    client.socket.append(this.reply!, 0, this.reply!.length)
  }

  /** @returns null when the reply has another shape. */
  private filter(buf: Uint8Array, start: number, end: number): Uint8Array | null {
    const pairs = this.form === 'documents'
    if (buf[start] !== STAR && buf[start] !== (pairs ? PERCENT : TILDE)) return null
    const bodyStart = lineEnd(buf, start, end)
    const kept: Uint8Array[] = []
    let elements = 0
    const parser = new RespReplyParser()
    parser.resp3 = this.resp3
    for (let at = bodyStart; at < end; ) {
      const next = elementEnd(parser, buf, at, end)
      const last = pairs && next > 0 ? elementEnd(parser, buf, next, end) : next
      if (last < 0) return null
      const name = this.nameOf(buf, at, next)
      if (name === null ? this.form === 'entries' : this.isServed(name.toUpperCase())) {
        kept.push(buf.subarray(at, last))
        elements++
      } else if (this.form === 'entries' && this.showsNulls) {
        kept.push(this.resp3 ? NULL : NULL_BULK)
        elements++
      }
      at = last
    }
    if (this.form === 'count') return Buffer.from(`:${elements}\r\n`)
    const count = pairs && buf[start] === STAR ? elements * 2 : elements
    return Buffer.concat([Buffer.from(`${String.fromCharCode(buf[start])}${count}\r\n`), ...kept])
  }

  /** @returns null when the element has no name. */
  private nameOf(buf: Uint8Array, start: number, end: number): string | null {
    let at = start
    if (this.form === 'entries' || this.form === 'count') {
      if (buf[start] !== STAR && buf[start] !== PERCENT) return null
      at = lineEnd(buf, start, end)
    }
    if (buf[at] === PLUS) return latin1(buf, at + 1, lineEnd(buf, at, end) - 2)
    if (buf[at] !== DOLLAR) return null
    const from = lineEnd(buf, at, end)
    return latin1(buf, from, lineEnd(buf, from, end) - 2)
  }
}

const NULL_BULK = Buffer.from('$-1\r\n')
const NULL = Buffer.from('_\r\n')

/** Place after the line that begins at `start`. */
function lineEnd(buf: Uint8Array, start: number, end: number): number {
  let at = start
  while (at < end && !(buf[at] === LF && buf[at - 1] === CR)) at++
  return at + 1
}

/** Place after the value that begins at `start`; -1 = it is not whole. */
function elementEnd(parser: RespReplyParser, buf: Uint8Array, start: number, end: number): number {
  if (parser.parse(buf, start, end) === Parsed.complete) return parser.end
  parser.reset()
  return -1
}
