/**
 * RESP for tests, written apart from the parsers in `src/protocol` so that a mistake there cannot
 * hide here. It understands RESP2 and RESP3 replies and requests in multi-bulk form, and is strict:
 * anything else is a `RespError`.
 */

export class RespError extends Error {}

export type RespArgument = string | number | Uint8Array

/** One request as multi-bulk. Strings are bytes, one char a byte (Latin-1). */
export function encode(...args: readonly RespArgument[]): Buffer {
  const parts: Uint8Array[] = [Buffer.from(`*${args.length}\r\n`)]
  for (const arg of args) {
    const bytes = typeof arg === 'object' ? arg : Buffer.from(String(arg), 'latin1')
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, CRLF)
  }
  return Buffer.concat(parts)
}

const CRLF = Buffer.from('\r\n')

export type RespValue = string | number | null | Error | RespValue[]

/**
 * A parsed value: strings one char a byte, `-` lines as Error, maps and sets flattened to arrays.
 */
export function decode(reply: Buffer): RespValue {
  const reader = new RespReader(reply, reply.length)
  const value = reader.value()
  if (value === undefined) throw new RespError(`Incomplete: ${printable(reply)}`)
  if (reader.at !== reply.length) throw new RespError(`Bytes after the reply: ${printable(reply)}`)
  return value
}

/**
 * Where the value that starts at `at` ends, or -1 when `[at, end)` does not hold all of it.
 * @throws RespError on malformed bytes.
 */
export function replyEnd(bytes: Buffer, at: number, end: number): number {
  let pending = 1
  let position = at
  while (pending > 0) {
    const line = lineEnd(bytes, position, end)
    if (line < 0) return -1
    const type = bytes[position]!
    const isBulk = BULKS.includes(type)
    const count = isBulk || type === ATTRIBUTE || AGGREGATES.includes(type) ? readLength(bytes, position + 1, line) : 0
    position = line + 2
    pending--
    if (isBulk) {
      if (count >= 0) {
        if (position + count + 2 > end) return -1
        if (bytes[position + count] !== CR || bytes[position + count + 1] !== LF) {
          throw new RespError(`No CRLF after a bulk of ${count} bytes: ${printable(bytes.subarray(at, end))}`)
        }
        position += count + 2
      }
    } else if (type === ATTRIBUTE) {
      // It is no value of its own: the one that it belongs to follows.
      pending += count * 2 + 1
    } else if (AGGREGATES.includes(type)) {
      pending += Math.max(0, count) * (type === PERCENT ? 2 : 1)
    } else if (!SIMPLE.includes(type)) {
      throw new RespError(`Not a RESP type: ${printable(bytes.subarray(position - 2, end))}`)
    }
  }
  return position
}

/** Bytes for messages: control characters and high bytes escaped, cut after `limit` characters. */
export function printable(bytes: Uint8Array, limit = 400): string {
  const text = JSON.stringify(Buffer.from(bytes.subarray(0, limit)).toString('latin1')).replace(
    /[\u007f-\u00ff]/g,
    char => `\\x${char.charCodeAt(0).toString(16)}`,
  )
  return bytes.length > limit ? `${text}… (${bytes.length} bytes)` : text
}

const CR = 13
const LF = 10
/** Bulk string, verbatim string, bulk error: a length, and that many bytes. */
const BULKS = [...'$=!'].map(char => char.charCodeAt(0))
const PERCENT = 37
const ATTRIBUTE = 124
const AGGREGATES = [...'*%~>'].map(char => char.charCodeAt(0))
const SIMPLE = [...'+-:_,#('].map(char => char.charCodeAt(0))

function lineEnd(bytes: Buffer, at: number, end: number): number {
  const cr = bytes.indexOf(CR, at)
  if (cr < 0 || cr + 1 >= end) return -1
  if (bytes[cr + 1] !== LF) throw new RespError(`CR without LF: ${printable(bytes.subarray(at, end))}`)
  return cr
}

/** `$-` and `*-` with anything behind are null, as nutcracker reads them and passes them on. */
function readLength(bytes: Buffer, at: number, end: number): number {
  const text = bytes.toString('latin1', at, end)
  if (text.startsWith('-')) return -1
  if (!/^\d+$/.test(text)) throw new RespError(`Not a length: ${JSON.stringify(text)}`)
  return Number(text)
}

class RespReader {
  at = 0
  readonly #bytes: Buffer
  readonly #end: number

  constructor(bytes: Buffer, end: number) {
    this.#bytes = bytes
    this.#end = end
  }

  /** Next value, or undefined when incomplete. */
  value(): RespValue | undefined {
    if (replyEnd(this.#bytes, this.at, this.#end) < 0) return undefined
    return this.#complete()
  }

  #complete(): RespValue {
    const line = lineEnd(this.#bytes, this.at, this.#end)
    const type = this.#bytes[this.at]!
    const text = this.#bytes.toString('latin1', this.at + 1, line)
    this.at = line + 2
    if (BULKS.includes(type)) return this.#bulk(text.startsWith('-') ? -1 : Number(text))
    if (AGGREGATES.includes(type)) {
      if (text.startsWith('-')) return null
      return Array.from({ length: Number(text) * (type === PERCENT ? 2 : 1) }, () => this.#complete())
    }
    if (type === 45) return new Error(text)
    if (type === 58) return Number(text)
    return type === 95 ? null : text
  }

  #bulk(length: number): string | null {
    if (length < 0) return null
    const text = this.#bytes.toString('latin1', this.at, this.at + length)
    this.at += length + 2
    return text
  }
}
