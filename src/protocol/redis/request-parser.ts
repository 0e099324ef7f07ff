/**
 * Finds one RESP request in a byte range, in place: its end, its command and where its arguments
 * lie. Data plane; no I/O, no copies. One instance serves many connections; a connection keeps one
 * to itself only while a request is incomplete.
 *
 *     *3\r\n $3\r\n SET\r\n $1\r\n k\r\n $5\r\n value\r\n
 *     start        args[0]      args[2]       args[4]    end        args[2i], args[2i+1] = [start, end) of argument i, from `start`
 *
 * Resumable: after `incomplete` it is called again with the same bytes and more behind them, and
 * goes on at the token where it stopped.
 */

import { CR, DOLLAR, LF, NINE, STAR, type ViewedBytes, ZERO } from '../../bytes/ascii.ts'
import { Parsed, type ParsedCode } from '../parser.ts'
import { type Command, lookupCommand, UNKNOWN_COMMAND } from './commands.ts'
import { HEAD_WORDS_BYTES, knownHead, learnHead, NAME_START } from './request-heads.ts'

/** Largest argument: Redis's own `proto-max-bulk-len`. @testOnly */
export const MAX_BULK_BYTES = 536_870_912
/**
 * Most arguments: above this a request is taken for garbage (Redis: 1,048,576 before 7.0, INT_MAX
 * since).
 */
export const MAX_ARGUMENTS = 1_048_576
/**
 * The same for who has not said the password yet: Redis's own limits (networking.c,
 * processMultibulkBuffer).
 */
const UNAUTHENTICATED_ARGUMENTS = 10
const UNAUTHENTICATED_BULK_BYTES = 16_384
/** A length line longer than this is malformed: `$` and 10 digits and CR LF fit many times. */
const MAX_LENGTH_LINE = 64
/**
 * Offsets are below 2^31; what lies behind it in one read is not looked at. Redis closes a client
 * at half of it (`client-query-buffer-limit`).
 * @testOnly
 */
export const MAX_REQUEST_BYTES = 0x7ff0_0000
/** First byte of a TLS connection: a record of type handshake. */
const TLS_HANDSHAKE = 0x16
/** Redis's limit on an inline request (PROTO_INLINE_MAX_SIZE). @testOnly */
export const MAX_INLINE_BYTES = 65_536

/** Why a frame was refused; `replies.ts` has the texts. */
export const FrameError = {
  none: 0,
  multibulkLength: 1,
  bulkLength: 2,
  expectedDollar: 3,
  missingCrlf: 4,
  inlineTooLong: 5,
  requestTooLong: 6,
  unauthenticatedCount: 7,
  unauthenticatedBulk: 8,
  /** A TLS handshake. */
  tls: 9,
} as const

const State = { count: 0, length: 1, data: 2 } as const

/** Arguments that `args` has room for. */
const FIRST_ARGS = 8
const KEPT_ARGS = 2048

/** Results of `readNumber` beside the value itself. */
const NOT_YET = -1
const MALFORMED = -2

export class RespRequestParser {
  /** [start, end) of the complete request in the buffer of the last `parse`. */
  start = 0
  end = 0
  command: Command = UNKNOWN_COMMAND
  /** Arguments including the command's name. 0 for an inline request or an empty frame. */
  argCount = 0
  /** Pairs of offsets from `start`; see the drawing. */
  args: Int32Array = new Int32Array(FIRST_ARGS * 2)
  /** The request is a line of text, [start, end) with its line end: `inline.ts` takes it apart. */
  inline = false
  /** One of `FrameError` after `error`; `errorByte` is the offending byte for `expectedDollar`. */
  error = 0
  errorByte = 0
  /** After `incomplete`: bytes that the request needs in total, at least; 0 = unknown. */
  need = 0
  /**
   * After `incomplete`: bytes before this place are never looked at again; `parse` may go on
   * without them, with a negative `start`.
   */
  safe = 0
  /** After `incomplete`: arguments that are whole. */
  wholeArgs = 0

  private mostArguments = MAX_ARGUMENTS
  private mostBulkBytes = MAX_BULK_BYTES
  private state: number = State.count
  /** Arguments that `args` has room for. */
  private argRoom = FIRST_ARGS
  /** Where the token begins that is not whole yet, from `start`. */
  private at = 0
  private arg = 0
  private argBytes = 0
  /** Bytes of an inline request that have no line end. */
  private scanned = 0
  /** Set by readNumber: the place after the line. */
  private lineEnd = 0

  reset(): void {
    this.state = State.count
    this.at = 0
    this.arg = 0
    this.scanned = 0
    this.need = 0
    this.restrict(false)
    if (this.argRoom > KEPT_ARGS) {
      this.args = new Int32Array(FIRST_ARGS * 2)
      this.argRoom = FIRST_ARGS
    }
  }

  /** @param on the sender has not authenticated: it may say little. Until `reset`. */
  restrict(on: boolean): void {
    this.mostArguments = on ? UNAUTHENTICATED_ARGUMENTS : MAX_ARGUMENTS
    this.mostBulkBytes = on ? UNAUTHENTICATED_BULK_BYTES : MAX_BULK_BYTES
  }

  /**
   * @param start where the request begins, also when it goes on with one.
   * @param end end of the bytes that are here.
   */
  parse(buf: Uint8Array, start: number, end: number): ParsedCode {
    this.start = start
    if (this.state === State.count && end - start >= HEAD_WORDS_BYTES) this.beginKnown(buf, start)
    let p = start + this.at
    if (this.state === State.count) {
      this.wholeArgs = 0
      if (p >= end) return this.wait(start, p, 0)
      if (buf[p] !== STAR) return this.parseInline(buf, start, end)
      const count = this.readNumber(buf, p + 1, end)
      if (count < 0) return count === NOT_YET ? this.wait(start, p, 0) : this.fail(FrameError.multibulkLength)
      if (count > this.mostArguments) {
        return this.fail(count > MAX_ARGUMENTS ? FrameError.multibulkLength : FrameError.unauthenticatedCount)
      }
      p = this.lineEnd
      this.argCount = count
      this.inline = false
      this.arg = 0
      if (count === 0) return this.finish(p)
      this.state = State.length
    }
    let lengthKnown = this.state === State.data
    this.state = State.length
    const argCount = this.argCount
    let arg = this.arg
    let args = this.args
    let bytes = this.argBytes
    if (arg === argCount) return this.finish(p)
    for (;;) {
      if (lengthKnown) {
        lengthKnown = false
      } else {
        // One or two digits are read in place, as most lengths have no more: 20 ns less a request
        // than by `readNumber`.
        const tens = p + 5 <= end && buf[p] === DOLLAR ? buf[p + 1] - ZERO : -1
        const ones = tens < 0 ? -1 : buf[p + 2] - ZERO
        if (tens >= 0 && tens <= 9 && ones === CR - ZERO && buf[p + 3] === LF) {
          bytes = tens
          p += 4
        } else if (tens > 0 && tens <= 9 && ones >= 0 && ones <= 9 && buf[p + 3] === CR && buf[p + 4] === LF) {
          bytes = tens * 10 + ones
          p += 5
        } else {
          bytes = this.readLength(buf, p, end)
          if (bytes < 0) return bytes === NOT_YET ? this.waitAt(start, p, arg, 0) : Parsed.error
          p = this.lineEnd
        }
      }
      const dataEnd = p + bytes
      if (dataEnd + 2 > end) {
        if (dataEnd + 2 - start > MAX_REQUEST_BYTES) return this.fail(FrameError.requestTooLong)
        return this.waitForData(start, p, arg, bytes, end)
      }
      if (buf[dataEnd] !== CR || buf[dataEnd + 1] !== LF) return this.fail(FrameError.missingCrlf)
      if (arg === 0) this.lookup(buf, start, p, dataEnd, end)
      if (arg === this.argRoom) args = this.growArgs()
      args[arg * 2] = p - start
      args[arg * 2 + 1] = dataEnd - start
      p = dataEnd + 2
      arg++
      if (arg === argCount) return this.finish(p)
    }
  }

  /**
   * Goes past the count and the name of a request that begins as one before it did: 45 ns less than
   * reading them.
   */
  private beginKnown(buf: Uint8Array, start: number): void {
    const { words } = buf as ViewedBytes
    if (words === undefined) return
    const head = knownHead(words, start)
    if (head === null) return
    this.command = head.command
    this.argCount = head.argCount
    this.inline = false
    this.wholeArgs = 0
    this.args[0] = NAME_START
    this.args[1] = head.bytes - 2
    this.arg = 1
    this.at = head.bytes
    this.state = State.length
  }

  /** The name [from, to) is whole. */
  private lookup(buf: Uint8Array, start: number, from: number, to: number, end: number): void {
    this.command = lookupCommand(buf, from, to)
    const { words } = buf as ViewedBytes
    if (words !== undefined && from - start === NAME_START && end - start >= HEAD_WORDS_BYTES) {
      learnHead(words, start, to, this.argCount, this.command)
    }
  }

  private finish(end: number): ParsedCode {
    this.end = end
    this.state = State.count
    this.at = 0
    this.arg = 0
    return Parsed.complete
  }

  private fail(error: number): ParsedCode {
    this.error = error
    return Parsed.error
  }

  private waitAt(start: number, p: number, arg: number, need: number): ParsedCode {
    this.arg = arg
    this.wholeArgs = arg
    return this.wait(start, p, need)
  }

  /** The argument's `bytes` bytes from p on are not all here. */
  private waitForData(start: number, p: number, arg: number, bytes: number, end: number): ParsedCode {
    const dataEnd = p + bytes
    this.state = State.data
    this.argBytes = bytes
    this.waitAt(start, p, arg, dataEnd + 2 - start)
    this.safe = dataEnd < end ? dataEnd : end
    return Parsed.incomplete
  }

  /** `$<n>\r\n` at p; sets `lineEnd`. @returns n, NOT_YET, or MALFORMED with `error` set. */
  private readLength(buf: Uint8Array, p: number, end: number): number {
    if (p >= end) return NOT_YET
    if (buf[p] !== DOLLAR) {
      this.errorByte = buf[p]
      this.error = FrameError.expectedDollar
      return MALFORMED
    }
    const bytes = this.readNumber(buf, p + 1, end)
    if (bytes === MALFORMED || bytes > MAX_BULK_BYTES) this.error = FrameError.bulkLength
    else if (bytes > this.mostBulkBytes) this.error = FrameError.unauthenticatedBulk
    else return bytes
    return MALFORMED
  }

  private wait(start: number, p: number, need: number): ParsedCode {
    this.at = p - start
    this.need = need
    this.safe = p
    return Parsed.incomplete
  }

  /**
   * Decimal at p, ended by CR LF; sets `lineEnd`. As Redis reads it (string2ll): no sign that
   * counts, no leading zeros, no empty number. `-1` and the like give MALFORMED for a length, and 0
   * for a count of arguments, where Redis ignores the frame.
   */
  private readNumber(buf: Uint8Array, from: number, end: number): number {
    let p = from
    let value = 0
    while (p < end) {
      const byte = buf[p]
      if (byte >= ZERO && byte <= NINE) {
        value = value * 10 + byte - ZERO
        if (value > MAX_BULK_BYTES || p - from > MAX_LENGTH_LINE) return MALFORMED
        p++
        continue
      }
      if (byte !== CR) return this.readNegative(buf, from, end)
      if (p === from || (buf[from] === ZERO && p - from > 1)) return MALFORMED
      if (p + 1 >= end) return NOT_YET
      if (buf[p + 1] !== LF) return MALFORMED
      this.lineEnd = p + 2
      return value
    }
    return NOT_YET
  }

  private readNegative(buf: Uint8Array, from: number, end: number): number {
    if (this.state !== State.count || buf[from] !== 45) return MALFORMED
    let p = from + 1
    while (p < end && buf[p] >= ZERO && buf[p] <= NINE) p++
    if (p - from > MAX_LENGTH_LINE) return MALFORMED
    if (p >= end) return NOT_YET
    if (p === from + 1 || buf[p] !== CR) return MALFORMED
    if (p + 1 >= end) return NOT_YET
    if (buf[p + 1] !== LF) return MALFORMED
    this.lineEnd = p + 2
    return 0
  }

  private parseInline(buf: Uint8Array, start: number, end: number): ParsedCode {
    if (buf[start] === TLS_HANDSHAKE) return this.fail(FrameError.tls)
    const lineFeed = buf.indexOf(LF, start + this.scanned)
    if (lineFeed < 0 || lineFeed >= end) {
      if (end - start > MAX_INLINE_BYTES) return this.fail(FrameError.inlineTooLong)
      this.scanned = end - start
      this.need = 0
      this.safe = start
      this.wholeArgs = 0
      return Parsed.incomplete
    }
    if (lineFeed - start > MAX_INLINE_BYTES) return this.fail(FrameError.inlineTooLong)
    this.scanned = 0
    this.inline = true
    this.argCount = 0
    return this.finish(lineFeed + 1)
  }

  /** As arguments arrive, not as the count promises: a promise costs its sender nothing. */
  private growArgs(): Int32Array {
    const bigger = new Int32Array(this.args.length * 2)
    bigger.set(this.args)
    this.args = bigger
    this.argRoom *= 2
    return bigger
  }
}
