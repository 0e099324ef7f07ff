/**
 * Finds one memcached request in a byte range, in place: its end, its command, its keys, and what
 * of it goes to a server. Data plane; no I/O, no copies. One instance serves many connections; a
 * connection keeps one to itself only while a request is incomplete.
 *
 *     set key 0 0 5 noreply\r\n value\r\n
 *     head          cutStart  cutEnd  end        to a server go [head, cutStart) and [cutEnd, end)
 *
 * A server must answer every request exactly once, or replies would be paired with other requests.
 * So `noreply` and the meta flag `q` are cut out, and the proxy drops the replies that the client
 * did not want (`suppress`). A request with data is sent only when the server will read its data
 * block as data: what memcached would refuse before it knows the length is refused here.
 *
 * Resumable: after `incomplete` the caller passes the same bytes with more behind them. The line is
 * split into tokens once it is complete.
 */

import { CR, encodeText, equalsText, findByte, LF, readDecimal, SPACE } from '../../bytes/ascii.ts'
import { Parsed, type ParsedCode } from '../parser.ts'
import { decodeBase64 } from './base64.ts'
import { Action, type Command, Form, lookupCommand, UNKNOWN_COMMAND } from './commands.ts'
import { isDecimalUpTo, isInteger, MAX_EXPTIME_BYTES } from './numbers.ts'
import { RequestError, type RequestErrorCode } from './replies.ts'

/** memcached's KEY_MAX_LENGTH; nutcracker's too. */
export const MAX_KEY_BYTES = 250
/**
 * Longest line, with its line end, but for lists of keys: memcached closes a connection that sent
 * more than this without a line end (try_read_command_ascii), and would take all clients' requests
 * with it.
 */
export const MAX_LINE_BYTES = 2048
/** Most spaces before the command of a longer line, for the same reason. */
const MAX_LEADING_SPACES = 100
/** memcached: INT_MAX less the line end of the data. */
const MAX_VALUE_BYTES = 2_147_483_645
/**
 * memcached's MFLAG_MAX_OPT_LENGTH, less its end token. `ms` with more is refused before its data
 * is read.
 */
const MAX_META_TOKENS = 19

/** Which replies the client does not want. */
export const Suppress = { nothing: 0, nominal: 1, all: 2 } as const
export type SuppressCode = (typeof Suppress)[keyof typeof Suppress]

const NOREPLY = encodeText('noreply')
const UINT64_MAX = encodeText('18446744073709551615')

const HTTP = encodeText('HTTP/')

const BINARY_MAGIC = 0x80
const TLS_HANDSHAKE = 0x16
const LOWER_B = 98
const LOWER_Q = 113

const FIRST_TOKENS = 64
const KEPT_TOKENS = 8192

/** Scratch for the check of a binary key; its content is never read. */
const decoded = new Uint8Array(MAX_KEY_BYTES)

export class MemcacheRequestParser {
  /** [start, end) of the request in the last buffer. After `error` too, unless the stream ends. */
  start = 0
  end = 0
  command: Command = UNKNOWN_COMMAND
  /** Pairs of offsets from `start`: the words of the line, the name first. */
  tokens: Int32Array = new Int32Array(FIRST_TOKENS)
  tokenCount = 0
  /** The keys are tokens [firstKey, firstKey + keyCount). */
  firstKey = 0
  keyCount = 0
  /** The key is base64 (meta flag `b`): it is routed by its decoded bytes. */
  binaryKey = false
  suppress: SuppressCode = Suppress.nothing
  /** Offsets from `start`, see the drawing. Nothing cut: both are equal. */
  head = 0
  cutStart = 0
  cutEnd = 0
  /** After `error`: index into `REFUSALS`. With `suppress` at `all` there is no reply. */
  error: RequestErrorCode = RequestError.none
  /** After `incomplete`: bytes that the request needs in total; 0 = unknown. */
  need = 0
  /** Bytes before this index are not needed again. Always 0: requests are read whole. */
  safe = 0
  /** Bytes of the line with its end, from `start`. */
  lineBytes = 0

  /** The line is whole and understood; its data is not. */
  private hasLine = false
  /** Bytes without a line end that are known, from `start`. */
  private scanned = 0
  /** Bytes of the data block without its line end; -1 = the command has none. */
  private dataBytes = -1
  private hasNul = false

  get idle(): boolean {
    return this.scanned === 0 && !this.hasLine
  }

  reset(): void {
    this.scanned = 0
    this.hasLine = false
    this.need = 0
    if (this.tokens.length > KEPT_TOKENS) this.tokens = new Int32Array(FIRST_TOKENS)
  }

  /** The ASCII protocol has no authentication. */
  restrict(): void {}

  /** @param start of the request, also of one that is continued. @param end of what has arrived. */
  parse(buf: Uint8Array, start: number, end: number): ParsedCode {
    this.start = start
    if (!this.hasLine) {
      let lineEnd = end
      if (this.scanned > 0) {
        lineEnd = findByte(buf, start + this.scanned, end, LF) + 1
        if (lineEnd > end) return this.waitLine(buf, start, end)
      } else if (start < end) {
        const first = buf[start]
        if (first === BINARY_MAGIC) return this.fail(RequestError.binaryProtocol)
        if (first === TLS_HANDSHAKE) return this.fail(RequestError.tls)
      }
      this.error = RequestError.none
      if (!this.splitLine(buf, start, lineEnd)) return this.waitLine(buf, start, end)
      this.dataBytes = -1
      this.readLine(buf, start)
    }
    return this.dataBytes < 0 ? this.finish(start + this.lineBytes) : this.readData(buf, start, end)
  }

  private finish(end: number): ParsedCode {
    this.end = end
    this.scanned = 0
    this.hasLine = false
    return this.error === RequestError.none ? Parsed.complete : Parsed.error
  }

  private fail(error: RequestErrorCode): ParsedCode {
    this.error = error
    this.suppress = Suppress.nothing
    return Parsed.error
  }

  private waitLine(buf: Uint8Array, start: number, end: number): ParsedCode {
    if (end - start >= MAX_LINE_BYTES && !isKeyList(buf, start, end)) return this.fail(RequestError.lineTooLong)
    this.scanned = end - start
    this.need = 0
    this.safe = start
    return Parsed.incomplete
  }

  private readData(buf: Uint8Array, start: number, end: number): ParsedCode {
    const total = this.lineBytes + this.dataBytes + 2
    if (end - start < total) {
      this.hasLine = true
      this.need = total
      const dataEnd = start + total - 2
      this.safe = dataEnd < end ? dataEnd : end
      return Parsed.incomplete
    }
    const requestEnd = start + total
    if (this.error === RequestError.none && (buf[requestEnd - 2] !== CR || buf[requestEnd - 1] !== LF)) {
      // As memcached: the declared bytes are skipped, and what follows is read as the next line.
      this.error = RequestError.badData
    }
    return this.finish(requestEnd)
  }

  /** Splits the line into tokens. @returns false when the line does not end before `end`. */
  private splitLine(buf: Uint8Array, start: number, end: number): boolean {
    let tokens = this.tokens
    let count = 0
    let p = start
    this.hasNul = false
    for (;;) {
      while (p < end && buf[p] === SPACE) p++
      const from = p
      let byte = SPACE
      while (p < end) {
        byte = buf[p]
        if (byte <= SPACE) {
          if (byte === SPACE || byte === LF) break
          if (byte === 0) this.hasNul = true
        }
        p++
      }
      if (p >= end) return false
      const tokenEnd = byte === LF && p > from && buf[p - 1] === CR ? p - 1 : p
      if (tokenEnd > from) {
        if (count * 2 === tokens.length) tokens = this.growTokens()
        tokens[count * 2] = from - start
        tokens[count * 2 + 1] = tokenEnd - start
        count++
      }
      if (byte === LF) break
    }
    this.tokenCount = count
    this.lineBytes = p + 1 - start
    return true
  }

  private growTokens(): Int32Array {
    const bigger = new Int32Array(this.tokens.length * 2)
    bigger.set(this.tokens)
    this.tokens = bigger
    return bigger
  }

  /** Understands a whole line: everything but `end`. Sets `error` where it is refused. */
  private readLine(buf: Uint8Array, start: number): void {
    const tokens = this.tokens
    const count = this.tokenCount
    this.suppress = Suppress.nothing
    this.binaryKey = false
    this.keyCount = 0
    this.cutStart = this.cutEnd = this.lineBytes
    if (count === 0) {
      this.command = UNKNOWN_COMMAND
      this.refuse(this.lineBytes > MAX_LINE_BYTES ? RequestError.lineTooLong : RequestError.unknown)
      return
    }
    const head = tokens[0]
    this.head = head
    const command = lookupCommand(buf, start + head, start + tokens[1])
    this.command = command
    const form = command.form
    if (this.lineBytes > MAX_LINE_BYTES && (head > MAX_LEADING_SPACES || form > Form.touchKeys)) {
      this.refuse(RequestError.lineTooLong)
      return
    }
    // The length first: the data block is skipped by it, whatever else is wrong with the line.
    const lengthToken = form === Form.store || form === Form.storeCas ? 4 : form === Form.metaStore ? 2 : 0
    if (lengthToken > 0 && !this.readLength(buf, start, lengthToken)) return
    const args = count - 1
    if (args < command.min || (command.max >= 0 && args > command.max)) {
      this.refuse(command.form === Form.metaDebug ? RequestError.badLine : RequestError.unknown)
      return
    }
    if (form === Form.keys || form === Form.touchKeys) this.readKeys(buf, start, form === Form.keys ? 1 : 2)
    else if (form <= Form.key) this.readKeyed(buf, start, form)
    else if (form <= Form.metaStore) this.readMeta(buf, start, form)
    else this.readAdmin(buf, start, form)
    // A token of memcached's ends at a NUL byte: it would read another line than the proxy.
    if (this.hasNul) this.refuse(RequestError.badLine)
  }

  /** Only the first error is kept. */
  private refuse(error: RequestErrorCode): void {
    if (this.error === RequestError.none) this.error = error
  }

  /** @returns false when the data's length is unknown. */
  private readLength(buf: Uint8Array, start: number, token: number): boolean {
    if (this.tokenCount <= token) {
      this.refuse(this.command.form === Form.metaStore ? RequestError.badLength : RequestError.missingLength)
      return false
    }
    const bytes = this.decimal(buf, start, token, MAX_VALUE_BYTES)
    if (bytes < 0) {
      this.readNoreply(buf, start)
      this.refuse(RequestError.badLength)
      return false
    }
    this.dataBytes = bytes
    return true
  }

  private decimal(buf: Uint8Array, start: number, token: number, max: number): number {
    return readDecimal(buf, start + this.tokens[token * 2], start + this.tokens[token * 2 + 1], max)
  }

  /** Cuts every `noreply` at the end of the line: memcached obeys the last word. */
  private readNoreply(buf: Uint8Array, start: number): void {
    const { tokens } = this
    let first = this.tokenCount
    while (first > 1 && equalsText(buf, start + tokens[first * 2 - 2], start + tokens[first * 2 - 1], NOREPLY)) first--
    if (first === this.tokenCount) return
    this.suppress = Suppress.all
    this.cutStart = tokens[first * 2 - 1]
    this.cutEnd = tokens[this.tokenCount * 2 - 1]
  }

  /** Cuts a token, with the spaces before it, out of the bytes that are sent. */
  private cut(token: number): void {
    this.cutStart = this.tokens[token * 2 - 1]
    this.cutEnd = this.tokens[token * 2 + 1]
  }

  private readKeys(buf: Uint8Array, start: number, first: number): void {
    const tokens = this.tokens
    this.firstKey = first
    this.keyCount = this.tokenCount - first
    for (let i = first * 2; i < this.tokenCount * 2; i += 2) {
      if (tokens[i + 1] - tokens[i] > MAX_KEY_BYTES) this.refuse(RequestError.keyTooLong)
    }
    if (first === 1) return
    // With one key the line is forwarded unchanged; with more its fragments are written by the
    // proxy.
    if (this.keyCount === 1 && this.lineBytes > MAX_LINE_BYTES) this.refuse(RequestError.lineTooLong)
    const exptimeFits = tokens[3] - tokens[2] <= MAX_EXPTIME_BYTES
    if (!exptimeFits || !isInteger(buf, start + tokens[2], start + tokens[3])) this.refuse(RequestError.badExptime)
  }

  private oneKey(): void {
    this.firstKey = 1
    this.keyCount = 1
    if (this.tokens[3] - this.tokens[2] > MAX_KEY_BYTES) this.refuse(RequestError.keyTooLong)
  }

  /**
   * `store`, `storeCas`, `key`: a wrong number after a key is the server's to refuse where no data
   * follows.
   */
  private readKeyed(buf: Uint8Array, start: number, form: number): void {
    if (this.tokenCount > 2) this.readNoreply(buf, start)
    this.oneKey()
    if (form === Form.key) return
    const tokens = this.tokens
    if (!isDecimalUpTo(buf, start + tokens[4], start + tokens[5], UINT64_MAX)) this.refuse(RequestError.badLine)
    if (!isInteger(buf, start + tokens[6], start + tokens[7])) this.refuse(RequestError.badLine)
    if (form === Form.storeCas && !isDecimalUpTo(buf, start + tokens[10], start + tokens[11], UINT64_MAX)) {
      this.refuse(RequestError.badLine)
    }
  }

  /** memcached looks at a flag's first byte only, so `q` and `quiet` are the same flag. */
  private readMeta(buf: Uint8Array, start: number, form: number): void {
    const tokens = this.tokens
    this.oneKey()
    let quiet = 0
    if (form === Form.metaDebug) {
      this.binaryKey = this.tokenCount > 2 && tokens[5] - tokens[4] === 1 && buf[start + tokens[4]] === LOWER_B
    } else {
      for (let token = form === Form.metaStore ? 3 : 2; token < this.tokenCount; token++) {
        const flag = buf[start + tokens[token * 2]]
        if (flag === LOWER_B) this.binaryKey = true
        if (flag !== LOWER_Q) continue
        quiet++
        this.suppress = Suppress.nominal
        this.cut(token)
      }
    }
    if (quiet > 1) this.refuse(RequestError.duplicateFlag)
    if (form === Form.metaStore && this.tokenCount - quiet > MAX_META_TOKENS) this.refuse(RequestError.tooManyFlags)
    if (this.binaryKey && this.error === RequestError.none) {
      const bytes = decodeBase64(buf, start + tokens[2], start + tokens[3], decoded)
      if (bytes < 0) this.refuse(RequestError.badBinaryKey)
    }
  }

  private readAdmin(buf: Uint8Array, start: number, form: number): void {
    if (form === Form.admin && this.tokenCount > 1) this.readNoreply(buf, start)
    if (this.command.action !== Action.refuse) return
    if (this.command.refusal !== null) this.refuse(RequestError.notServed)
    else this.refuse(isHttp(buf, start, this.tokens, this.tokenCount) ? RequestError.http : RequestError.unknown)
  }
}

/**
 * Whether a line is the first one of an HTTP request: its last word is the version. memcached
 * checks the same.
 */
function isHttp(buf: Uint8Array, start: number, tokens: Int32Array, count: number): boolean {
  const last = start + tokens[count * 2 - 2]
  const end = start + tokens[count * 2 - 1]
  return count > 1 && end - last > HTTP.length && equalsText(buf, last, last + HTTP.length, HTTP)
}

/**
 * Whether a line may have any length: memcached accepts long lines of `get` and `gets`, and the
 * proxy splits `gat` and `gats`.
 */
function isKeyList(buf: Uint8Array, start: number, end: number): boolean {
  let p = start
  while (p < end && p - start <= MAX_LEADING_SPACES && buf[p] === SPACE) p++
  const name = p
  while (p < end && p - name < 5 && buf[p] !== SPACE) p++
  return p < end && buf[p] === SPACE && lookupCommand(buf, name, p).form <= Form.touchKeys
}
