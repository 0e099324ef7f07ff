/**
 * Finds the end of a reply whose bytes are not kept: of one above `max_message_bytes`, which is dropped as it arrives, or
 * of a large list, which goes to the client as it arrives. Only an incomplete line is kept. Data plane; exists while such
 * a reply arrives.
 *
 *     VALUE a 0 1000000\r\n │ 1,000,002 bytes pass uncounted │ VALUE b 0 …        the parser sees lines only
 */

import type { ReplyParser } from '../../protocol/parser.ts'
import { Parsed } from '../../protocol/parser.ts'
import type { Tail, TailPool } from '../memory/tail.ts'

/** Results of `consume` beside the place after the reply. */
export const Rest = { goesOn: -1, malformed: -2 } as const

export class ReplyRest {
  private readonly parser: ReplyParser
  /** Bytes of the reply that have been passed on or dropped. */
  private passedBytes = 0
  /** Bytes still to come of the value that is being read. */
  private valueLeft = 0
  private tail: Tail | null = null
  private readonly tails: TailPool

  /** @param parser in the middle of the reply; this object's own from now on. Its bytes so far are [start, end) of buf. */
  constructor(tails: TailPool, parser: ReplyParser, buf: Uint8Array, start: number, end: number) {
    this.tails = tails
    this.parser = parser
    this.keepUnread(buf, start, end)
  }

  /** Takes the next bytes, [start, end) of buf. @returns the place after the reply, or one of `Rest`. */
  consume(buf: Uint8Array, start: number, end: number): number {
    let at = start
    if (this.valueLeft > 0) {
      const count = Math.min(this.valueLeft, end - at)
      this.valueLeft -= count
      this.passedBytes += count
      at += count
      if (this.valueLeft > 0) return Rest.goesOn
      if (this.parser.skipValue()) return at
    }
    const { tail } = this
    if (tail === null) return this.scan(buf, at, end)
    this.tail = null
    tail.fill(buf, at, end, 0)
    const place = this.scan(tail.buf, 0, tail.length)
    const { length } = tail
    tail.release()
    return place < 0 ? place : end - (length - place)
  }

  private scan(buf: Uint8Array, start: number, end: number): number {
    // Where the reply's first byte would lie: before the buffer, by as many bytes as have passed.
    const code = this.parser.parse(buf, start - this.passedBytes, end)
    if (code === Parsed.error) return Rest.malformed
    if (code === Parsed.complete) return this.parser.end
    this.keepUnread(buf, start, end)
    return Rest.goesOn
  }

  /** The parser has stopped within a value, which may go, or a line, which stays. */
  private keepUnread(buf: Uint8Array, start: number, end: number): void {
    const { valueEnd, tokenStart } = this.parser
    const seen = this.passedBytes + end - start
    if (valueEnd > 0) {
      this.valueLeft = valueEnd - seen
      this.passedBytes = seen
      return
    }
    const tail = this.tails.acquire()
    tail.fill(buf, end - (seen - tokenStart), end, 0)
    this.tail = tail
    this.passedBytes = tokenStart
  }

  close(): void {
    this.tail?.release()
    this.tail = null
  }
}
