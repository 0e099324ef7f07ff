/**
 * Finds the ends of the values in an MGET reply while it arrives: bulks and nulls, RESP2 and RESP3. Data plane; no I/O, no copies. Used by
 * `worker/redis/split/split.ts` where the reply is too large to be gathered.
 *
 *     $5\r\n hello\r\n   $-1\r\n   _\r\n          `step` ends at the end of each value, or with the bytes
 */

import { CR, DOLLAR, LF, MINUS, NINE, UNDERSCORE, ZERO } from '../../bytes/ascii.ts'
import type { ValueScanner } from '../parser.ts'

const MALFORMED = -1
/** Larger lengths are no reply of a server we know (Redis: 512 MB values). */
const MAX_LENGTH = 0x7fff_ffff

export class BulkScanner implements ValueScanner {
  endsValue = false
  private valuesLeft: number
  /** Bytes still to come of the current value's data, its line end included; 0 = its head line is read. */
  private dataLeft = 0
  /** Of the head line: bytes so far, type, and what its digits say. */
  private lineBytes = 0
  private type = 0
  private length = 0
  private negative = false
  private carriageReturn = false

  /** @param values in the reply. */
  constructor(values: number) {
    this.valuesLeft = values
  }

  get done(): boolean {
    return this.valuesLeft === 0
  }

  step(buf: Uint8Array, at: number, end: number): number {
    this.endsValue = false
    let p = at
    if (this.dataLeft === 0) {
      p = this.line(buf, at, end)
      // `lineBytes` is 0 after the line's end.
      if (p === MALFORMED || this.lineBytes > 0) return p
      if (this.negative || this.type === UNDERSCORE) return this.endValue(p)
      this.dataLeft = this.length + 2
    }
    const take = end - p < this.dataLeft ? end - p : this.dataLeft
    p += take
    this.dataLeft -= take
    if (this.dataLeft > 0) return p
    return buf[p - 1] === LF ? this.endValue(p) : MALFORMED
  }

  private endValue(place: number): number {
    this.valuesLeft--
    this.endsValue = true
    return place
  }

  /** Reads on in the head line. @returns the place after it, or after the bytes. */
  private line(buf: Uint8Array, at: number, end: number): number {
    for (let p = at; p < end; p++) {
      const byte = buf[p]
      if (this.lineBytes === 0) {
        if (byte !== DOLLAR && byte !== UNDERSCORE) return MALFORMED
        this.type = byte
        this.length = 0
        this.negative = false
        this.carriageReturn = false
      } else if (this.carriageReturn) {
        if (byte !== LF) return MALFORMED
        this.lineBytes = 0
        return p + 1
      } else if (byte === CR) {
        this.carriageReturn = true
      } else if (byte === MINUS && this.lineBytes === 1) {
        this.negative = true
      } else if (byte >= ZERO && byte <= NINE) {
        this.length = this.length * 10 + byte - ZERO
        if (this.length > MAX_LENGTH) return MALFORMED
      } else {
        return MALFORMED
      }
      this.lineBytes++
    }
    return end
  }
}
