/** Runs the RESP parsers over a byte stream that arrives in pieces, as a connection would, and tells what they found. */

import { withWords } from '../../../../src/bytes/word-buffer.ts'
import { Parsed, type ParsedCode } from '../../../../src/protocol/parser.ts'
import { RespReplyParser } from '../../../../src/protocol/redis/reply-parser.ts'
import { FrameError, RespRequestParser } from '../../../../src/protocol/redis/request-parser.ts'

export function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1')
}

interface Parser {
  readonly start: number
  readonly end: number
  readonly need: number
  parse(buf: Uint8Array, start: number, end: number): ParsedCode
}

interface Feed {
  /** Ascending offsets where the stream is split. */
  readonly cuts: readonly number[]
  /** The bytes have a second view, as the worker's own buffers have. */
  readonly viewed: boolean
  /** Called after each result; false ends the stream. */
  readonly found: (buf: Buffer, code: ParsedCode) => boolean
  /** Called when the parser wants more than [offset, end). */
  readonly waits: (offset: number, end: number) => void
}

function feed(parser: Parser, stream: Buffer, { cuts, viewed, found, waits }: Feed): void {
  let begin = 0
  let move = 0
  let needed = 0
  for (const available of [...cuts, stream.length]) {
    while (begin < available) {
      // The bytes move between the calls, as they do from a read buffer to a tail, and what lies around them is old and means nothing.
      const offset = move++ % 3
      const end = offset + available - begin
      const buf = viewed ? withWords(Buffer.alloc(end + 8, '\r\n')) : Buffer.alloc(end + 8, '\r\n')
      stream.copy(buf, offset, begin, available)
      const code = parser.parse(buf, offset, end)
      if (code === Parsed.incomplete) {
        if (parser.need !== 0 && parser.need <= end - offset) throw new Error(`Needs ${parser.need} of ${end - offset}`)
        needed = parser.need
        waits(offset, end)
        break
      }
      if (!found(buf, code)) return
      if (parser.end <= offset || parser.end > end) throw new Error(`End ${parser.end} of [${offset}, ${end})`)
      if (parser.end - offset < needed) throw new Error(`Ends at ${parser.end - offset} and said it needs ${needed}`)
      needed = 0
      begin += parser.end - offset
    }
  }
}

const ERRORS = Object.keys(FrameError)

function describeRequest(parser: RespRequestParser, buf: Buffer, code: ParsedCode): string {
  if (code === Parsed.error) return `refused: ${ERRORS[parser.error]}`
  if (parser.inline) return `inline ${JSON.stringify(buf.toString('latin1', parser.start, parser.end))}`
  const words = [`${parser.end - parser.start}:`]
  for (let i = 0; i < parser.argCount; i++) {
    const [start, end] = [parser.args[i * 2]!, parser.args[i * 2 + 1]!]
    words.push(JSON.stringify(buf.toString('latin1', parser.start + start, parser.start + end)))
  }
  if (parser.argCount > 0 && parser.command.name !== '') words.push(parser.command.name)
  return words.join(' ')
}

/**
 * The requests in `stream`, in order, each with its size; a refusal ends the list. The rest that is not whole is not mentioned.
 * @throws when they are others where the bytes can be read by words.
 */
export function readRequests(stream: Buffer, cuts: readonly number[] = []): string[] {
  const events = readRequestsOf(stream, cuts, false)
  const viewed = readRequestsOf(stream, cuts, true)
  if (events.join('\n') !== viewed.join('\n')) throw new Error(`By bytes ${events.join()}, by words ${viewed.join()}`)
  return events
}

function readRequestsOf(stream: Buffer, cuts: readonly number[], viewed: boolean): string[] {
  const parser = new RespRequestParser()
  const events: string[] = []
  feed(parser, stream, {
    cuts,
    viewed,
    found: (buf, code) => {
      events.push(describeRequest(parser, buf, code))
      return code === Parsed.complete
    },
    waits: (offset, end) => {
      if (parser.safe < offset || parser.safe > end) throw new Error(`Safe at ${parser.safe} of [${offset}, ${end})`)
    },
  })
  return events
}

/**
 * The same, but bytes that the parser is done with are forgotten once two arguments are whole, as for a request that passes through.
 * Tells sizes and refusals only.
 */
export function passRequests(stream: Buffer, cuts: readonly number[]): string[] {
  const parser = new RespRequestParser()
  const events: string[] = []
  let begin = 0
  let gone = 0
  for (const available of [...cuts, stream.length]) {
    while (begin + gone < available) {
      const buf = stream.subarray(begin + gone, available)
      const code = parser.parse(buf, -gone, buf.length)
      if (code === Parsed.incomplete) {
        if (parser.wholeArgs >= 2) gone += parser.safe
        break
      }
      if (code === Parsed.error) return [...events, `refused: ${ERRORS[parser.error]}`]
      events.push(`${parser.end + gone}`)
      begin += parser.end + gone
      gone = 0
    }
  }
  return events
}

/** The replies in `stream`; `malformed` ends the list. */
export function readReplies(stream: Buffer, cuts: readonly number[] = [], resp3 = false): string[] {
  const parser = new RespReplyParser()
  parser.resp3 = resp3
  const events: string[] = []
  let exact = 0
  feed(parser, stream, {
    cuts,
    viewed: false,
    found: (buf, code) => {
      events.push(code === Parsed.error ? 'malformed' : buf.toString('latin1', parser.start, parser.end))
      if (exact > 0 && code === Parsed.complete && parser.end - parser.start !== exact) {
        throw new Error(`Ends at ${parser.end - parser.start} and said ${exact}`)
      }
      exact = 0
      return code === Parsed.complete
    },
    waits: () => {
      exact = parser.exact ? parser.need : 0
    },
  })
  return events
}

/** Every way to cut a stream once, and byte by byte. */
export function allCuts(length: number): number[][] {
  const everywhere = Array.from({ length: Math.max(0, length - 1) }, (_, i) => i + 1)
  return [everywhere, ...everywhere.map(cut => [cut])]
}

/**
 * How many bytes a parser looks at when `stream`, one whole message, comes byte by byte.
 * @throws when it is not incomplete up to the last byte, and complete then.
 */
export function workByteByByte(parser: Parser, stream: Uint8Array): number {
  let touched = 0
  let end = 0
  const bytes = new Proxy(stream, {
    get(target, key) {
      if (key === 'indexOf') {
        return (byte: number, from: number): number => {
          const at = target.subarray(0, end).indexOf(byte, from)
          touched += (at < 0 ? end : at) - from
          return at
        }
      }
      if (typeof key === 'string' && key >= '0' && key < ':') touched++
      return Reflect.get(target, key, target) as unknown
    },
  })
  for (end = 1; end < stream.length; end++) {
    if (parser.parse(bytes, 0, end) !== Parsed.incomplete) throw new Error(`Not incomplete after ${end} bytes`)
  }
  if (parser.parse(bytes, 0, end) !== Parsed.complete) throw new Error('Not complete at the end')
  return touched
}
