/**
 * Finds the end of one RESP reply in a byte range, in place. Data plane; no I/O, no copies. One
 * instance a server connection.
 *
 * Any nesting depth (a stack of counts, not recursion), RESP2 and, where `resp3` is set, RESP3.
 * Resumable: after `incomplete` it is called again with the same bytes and more behind them, and
 * goes on at the token where it stopped.
 */

import { COLON, CR, DOLLAR, LF, MINUS, NINE, PLUS, STAR, ZERO } from '../../bytes/ascii.ts'
import { Parsed, type ParsedCode } from '../parser.ts'

const FIRST_DEPTH = 8
/** Scanning a line byte by byte pays up to about this length; then `indexOf`. */
const LOOP_BYTES = 64
/**
 * Numbers longer than this are malformed: no server writes them, and they would be scanned again
 * with each read.
 */
const MAX_NUMBER_LINE = 64
/** Larger counts and lengths are no reply of a server we know (Redis: 512 MB values). */
const MAX_COUNT = 0x7fff_ffff

const NOT_YET = -1
const MALFORMED = -2

export class RespReplyParser {
  /** [start, end) of the complete reply in the buffer of the last `parse`. */
  start = 0
  end = 0
  /** After `incomplete`: bytes that the reply needs in total, at least; 0 = unknown. */
  need = 0
  /** After `incomplete`: the reply is one bulk, and `need` its exact size. */
  exact = false
  resp3 = false

  /** Where the token begins that is not whole yet, from `start`. */
  private at = 0
  private depth = 0
  /** Values still to come at each level of nesting. */
  private counts: Int32Array = new Int32Array(FIRST_DEPTH)
  /** Bytes of the line at `at` that are known to have no line end. */
  private scanned = 0
  private lineEnd = 0
  private number = 0

  reset(): void {
    this.at = 0
    this.depth = 0
    this.scanned = 0
    this.need = 0
  }

  /**
   * @param start where the reply begins, also when it goes on with one.
   * @param end end of the bytes that are here.
   */
  parse(buf: Uint8Array, start: number, end: number): ParsedCode {
    this.start = start
    if (this.at === 0 && this.depth === 0) {
      const bulkEnd = shortBulk(buf, start, end)
      if (bulkEnd > 0) {
        this.end = bulkEnd
        return Parsed.complete
      }
    }
    let p = start + this.at
    for (;;) {
      if (p >= end) return this.wait(start, p, 0)
      const type = buf[p]
      let step: number
      if (type === DOLLAR) step = this.bulk(buf, start, p, end)
      else if (type === PLUS || type === MINUS) step = this.line(buf, p, end)
      else if (type === COLON) step = this.integer(buf, p, end)
      else if (type === STAR) step = this.aggregate(buf, p, end, 1)
      else step = this.resp3 ? this.typed(buf, start, p, end, type) : MALFORMED
      if (step < 0) {
        if (step === MALFORMED) return Parsed.error
        return this.wait(start, p, this.need)
      }
      p = step
      let depth = this.depth
      while (depth > 0 && this.counts[depth - 1] === 0) depth--
      this.depth = depth
      if (depth === 0) {
        this.end = p
        this.at = 0
        return Parsed.complete
      }
      this.counts[depth - 1]--
      this.need = 0
    }
  }

  get valueEnd(): number {
    return this.need
  }

  get tokenStart(): number {
    return this.at
  }

  /**
   * After `incomplete` within a bulk: its bytes have gone by, up to `valueEnd`.
   * @returns true when the reply is whole.
   */
  skipValue(): boolean {
    this.at = this.need
    this.need = 0
    while (this.depth > 0 && this.counts[this.depth - 1] === 0) this.depth--
    if (this.depth === 0) {
      this.at = 0
      return true
    }
    this.counts[this.depth - 1]--
    return false
  }

  private wait(start: number, p: number, need: number): ParsedCode {
    this.at = p - start
    this.need = need
    this.exact = need > 0 && this.depth === 0
    return Parsed.incomplete
  }

  /** `$<n>\r\n<n bytes>\r\n` or `$-…\r\n`. @returns the place after it, or a code. */
  private bulk(buf: Uint8Array, start: number, p: number, end: number): number {
    this.need = 0
    if (p + 1 >= end) return NOT_YET
    if (buf[p + 1] === MINUS) return this.line(buf, p, end)
    const code = this.readLength(buf, p + 1, end)
    if (code < 0) return code
    const dataEnd = this.lineEnd + this.number
    if (dataEnd + 2 > end) {
      this.need = dataEnd + 2 - start
      return NOT_YET
    }
    return buf[dataEnd] === CR && buf[dataEnd + 1] === LF ? dataEnd + 2 : MALFORMED
  }

  /** A line up to CR LF. A CR that no LF follows is malformed, as for nutcracker. */
  private line(buf: Uint8Array, p: number, end: number): number {
    this.need = 0
    let q = p + 1 + this.scanned
    const loopEnd = q + LOOP_BYTES < end ? q + LOOP_BYTES : end
    while (q < loopEnd && buf[q] !== CR) q++
    if (q === loopEnd && q < end) q = buf.indexOf(CR, q)
    if (q < 0 || q + 1 >= end) {
      // The last byte may be the CR.
      if (end - p > LOOP_BYTES) this.scanned = end - p - 2
      return NOT_YET
    }
    this.scanned = 0
    return buf[q + 1] === LF ? q + 2 : MALFORMED
  }

  /** Digits and minus signs in any order, possibly none: nutcracker's rule. */
  private integer(buf: Uint8Array, p: number, end: number): number {
    this.need = 0
    let q = p + 1
    while (q < end) {
      const byte = buf[q]
      if ((byte >= ZERO && byte <= NINE) || byte === MINUS) {
        if (q - p > MAX_NUMBER_LINE) return MALFORMED
        q++
        continue
      }
      if (byte !== CR) return MALFORMED
      if (q + 1 >= end) return NOT_YET
      return buf[q + 1] === LF ? q + 2 : MALFORMED
    }
    return NOT_YET
  }

  /** `*<n>\r\n` opens a level of n × `factor` values; `*-1\r\n` and `*0\r\n` are whole. */
  private aggregate(buf: Uint8Array, p: number, end: number, factor: number): number {
    this.need = 0
    if (p + 1 >= end) return NOT_YET
    if (buf[p + 1] === MINUS) return this.line(buf, p, end)
    const code = this.readLength(buf, p + 1, end)
    if (code < 0) return code
    const count = this.number * factor
    if (count > MAX_COUNT) return MALFORMED
    if (this.depth === this.counts.length) {
      const bigger = new Int32Array(this.depth * 2)
      bigger.set(this.counts)
      this.counts = bigger
    }
    this.counts[this.depth++] = count
    return this.lineEnd
  }

  /** Decimal and CR LF at p; sets `number` and `lineEnd`. @returns 0 or a code. */
  private readLength(buf: Uint8Array, from: number, end: number): number {
    let p = from
    let value = 0
    while (p < end) {
      const byte = buf[p]
      if (byte >= ZERO && byte <= NINE) {
        value = value * 10 + byte - ZERO
        if (value > MAX_COUNT || p - from > MAX_NUMBER_LINE) return MALFORMED
        p++
        continue
      }
      if (byte !== CR || p === from) return MALFORMED
      if (p + 1 >= end) return NOT_YET
      if (buf[p + 1] !== LF) return MALFORMED
      this.number = value
      this.lineEnd = p + 2
      return 0
    }
    return NOT_YET
  }

  /**
   * RESP3: `_ # , (` lines, `! =` bulks, `~ >` arrays, `% |` maps (an attribute `|` comes before
   * the value that it belongs to).
   */
  private typed(buf: Uint8Array, start: number, p: number, end: number, type: number): number {
    switch (type) {
      case 95: // _
      case 35: // #
      case 44: // ,
      case 40: // (
        return this.line(buf, p, end)
      case 33: // !
      case 61: // =
        return this.bulk(buf, start, p, end)
      case 126: // ~
      case 62: // >
        return this.aggregate(buf, p, end, 1)
      case 37: // %
        return this.aggregate(buf, p, end, 2)
      case 124: {
        // |
        const next = this.aggregate(buf, p, end, 2)
        if (next >= 0 && this.depth > 0) this.counts[this.depth - 1]++
        return next
      }
      default:
        return MALFORMED
    }
  }
}

/**
 * Most replies are bulks of less than a hundred bytes: 15 ns less each.
 * @returns the end of a whole one at `start`, or 0.
 */
function shortBulk(buf: Uint8Array, start: number, end: number): number {
  if (start + 6 > end) return 0
  const fourth = buf[start + 3]
  if ((fourth !== CR && fourth !== LF) || buf[start] !== DOLLAR) return 0
  const tens = buf[start + 1] - ZERO
  if (tens < 0 || tens > 9) return 0
  const third = buf[start + 2]
  let dataEnd: number
  if (fourth === LF) {
    if (third !== CR) return 0
    dataEnd = start + 4 + tens
  } else {
    if (third < ZERO || third > NINE || buf[start + 4] !== LF) return 0
    dataEnd = start + 5 + tens * 10 + third - ZERO
  }
  return dataEnd + 2 <= end && buf[dataEnd] === CR && buf[dataEnd + 1] === LF ? dataEnd + 2 : 0
}
