/**
 * Reads a complete reply, RESP2 or RESP3, as values. Data plane, for rare requests whose replies
 * the proxy puts together.
 */

import { CR } from '../../bytes/ascii.ts'
import { latin1 } from '../../bytes/text.ts'

/**
 * Texts and doubles one char a byte; errors are `ReplyError`; sets are arrays, maps arrays of keys
 * and values in turn.
 */
export type ReplyValue = string | number | boolean | null | ReplyError | ReplyValue[]

export class ReplyError {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

export function isTexts(value: ReplyValue): value is string[] {
  return Array.isArray(value) && value.every(each => typeof each === 'string')
}

/** @param length of each; fewer are too few. */
export function isArrays(value: ReplyValue, length: number): value is ReplyValue[][] {
  return Array.isArray(value) && value.every(each => Array.isArray(each) && each.length >= length)
}

/** @param buf holds a whole reply in [start, end), as the reply parser found it. */
export function readReply(buf: Uint8Array, start: number): ReplyValue {
  return new Reader(buf, start).value()
}

class Reader {
  private readonly buf: Uint8Array
  private at: number

  constructor(buf: Uint8Array, at: number) {
    this.buf = buf
    this.at = at
  }

  value(): ReplyValue {
    const type = String.fromCharCode(this.buf[this.at])
    const lineEnd = this.buf.indexOf(CR, this.at)
    const line = latin1(this.buf, this.at + 1, lineEnd)
    this.at = lineEnd + 2
    switch (type) {
      case '$':
      case '!':
        return this.bulk(Number(line), 0)
      case '=':
        // `txt:` before the text.
        return this.bulk(Number(line), 4)
      case '*':
      case '~':
      case '>':
        return this.values(Number(line))
      case '%':
        return this.values(Number(line) * 2)
      case '|':
        this.values(Number(line) * 2)
        return this.value()
      case ':':
        return Number(line)
      case '_':
        return null
      case '#':
        return line === 't'
      case '-':
        return new ReplyError(line)
      default:
        return line
    }
  }

  private bulk(length: number, skipped: number): string | null {
    if (length < 0) return null
    const from = this.at
    this.at += length + 2
    return latin1(this.buf, from + skipped, from + length)
  }

  private values(count: number): ReplyValue[] | null {
    if (count < 0) return null
    return Array.from({ length: count }, () => this.value())
  }
}
