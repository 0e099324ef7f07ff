/**
 * RESP2 and RESP3 replies as typed values, every type kept apart, so that a map that came as an array is a difference. Written apart from
 * the parsers in `src/protocol`, as `../support/wire/resp.ts` is.
 */

import { RespError } from '../support/wire/resp.ts'

/** `type` is the first byte of the reply; a RESP2 null has the type of what is missing, `$` or `*`. */
export interface Value {
  readonly type: string
  /** One char a byte; what stands after the type byte, or the content of a bulk. `null` for nulls and for aggregates. */
  readonly text: string | null
  /** Elements of an aggregate: keys and values of a map take turns. `null` for anything else. */
  readonly elements: readonly Value[] | null
}

const BULKS = '$=!'
const AGGREGATES = '*%~>|'
const LINES = '+-:_,#('

interface Parsed {
  readonly value: Value
  readonly end: number
}

/** The value that starts at `at`, or null while `[at, end)` does not hold all of it. @throws RespError on malformed bytes. */
export function parseValue(bytes: Buffer, at: number, end: number): Parsed | null {
  const line = bytes.indexOf('\r\n', at)
  if (line < 0 || line + 2 > end) return null
  const type = String.fromCharCode(bytes[at]!)
  const text = bytes.toString('latin1', at + 1, line)
  const from = line + 2
  if (LINES.includes(type)) return { value: { type, text: type === '_' ? null : text, elements: null }, end: from }
  if (!/^(-1|\d+)$/.test(text)) throw new RespError(`Not a reply: ${JSON.stringify(type + text)}`)
  const length = Number(text)
  if (BULKS.includes(type)) {
    if (length < 0) return { value: { type, text: null, elements: null }, end: from }
    if (from + length + 2 > end) return null
    return {
      value: { type, text: bytes.toString('latin1', from, from + length), elements: null },
      end: from + length + 2,
    }
  }
  if (!AGGREGATES.includes(type)) throw new RespError(`Not a RESP type: ${JSON.stringify(type + text)}`)
  if (length < 0) return { value: { type, text: null, elements: null }, end: from }
  const elements: Value[] = []
  let position = from
  for (let left = length * (type === '%' || type === '|' ? 2 : 1); left > 0; left--) {
    const element = parseValue(bytes, position, end)
    if (element === null) return null
    elements.push(element.value)
    position = element.end
  }
  // Attributes precede the reply that they describe.
  if (type === '|') return parseValue(bytes, position, end)
  return { value: { type, text: null, elements }, end: position }
}

/** For `Wire.replies`: where the reply that starts at `at` ends, or -1. */
export function valueEnd(bytes: Buffer, at: number, end: number): number {
  return parseValue(bytes, at, end)?.end ?? -1
}

/** One whole reply. */
export function readValue(reply: Buffer): Value {
  const parsed = parseValue(reply, 0, reply.length)
  if (parsed === null) throw new RespError(`Incomplete: ${JSON.stringify(reply.toString('latin1'))}`)
  return parsed.value
}

export function isError(value: Value): boolean {
  return value.type === '-' || value.type === '!'
}

/** All text of a value, elements apart by a blank: what patterns look at and what reports show. */
export function textOf(value: Value): string {
  if (value.elements !== null) return `[${value.elements.map(textOf).join(' ')}]`
  const text = value.text ?? '(nil)'
  // A verbatim string begins with its format: txt:
  return value.type === '=' ? text.slice(4) : text
}

/** A value as one string, equal if and only if the values are; aggregates sorted where `ordered` is false. */
export function fingerprint(value: Value, ordered: boolean): string {
  if (value.elements === null) return `${value.type}${JSON.stringify(value.text)}`
  const step = value.type === '%' ? 2 : 1
  const parts: string[] = []
  for (let at = 0; at < value.elements.length; at += step) {
    const group = value.elements.slice(at, at + step).map(element => fingerprint(element, ordered))
    parts.push(group.join('='))
  }
  if (!ordered) parts.sort()
  return `${value.type}[${parts.join(' ')}]`
}
