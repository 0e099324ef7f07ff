/** Runs the memcached parsers over a byte stream that arrives in pieces, as a connection would, and tells what they found. */

import { REFUSALS } from '../../../../src/protocol/memcache/replies.ts'
import { MemcacheReplyParser } from '../../../../src/protocol/memcache/reply-parser.ts'
import { MemcacheRequestParser, Suppress } from '../../../../src/protocol/memcache/request-parser.ts'
import { Parsed, type ParsedCode } from '../../../../src/protocol/parser.ts'

export function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1')
}

interface Parser {
  readonly end: number
  parse(buf: Uint8Array, start: number, end: number): ParsedCode
}

/** @param cuts ascending offsets where the stream is split. @param found called after each result; false ends the stream. */
function feed(
  parser: Parser,
  stream: Buffer,
  cuts: readonly number[],
  found: (buf: Buffer, code: ParsedCode) => boolean,
) {
  let begin = 0
  let move = 0
  for (const available of [...cuts, stream.length]) {
    while (begin < available) {
      // The bytes move between the calls, as they do from a read buffer to a tail, and what lies behind them is old and means nothing.
      const offset = move++ % 3
      const buf = Buffer.alloc(offset + available - begin + 8, '\n')
      stream.copy(buf, offset, begin, available)
      const code = parser.parse(buf, offset, offset + available - begin)
      if (code === Parsed.incomplete) break
      if (!found(buf, code)) return
      if (parser.end <= offset || parser.end > offset + available - begin) throw new Error(`End at ${parser.end}`)
      begin += parser.end - offset
    }
  }
}

/** What the parser says of one request, as one line of text. */
function describeRequest(parser: MemcacheRequestParser, buf: Buffer, code: ParsedCode): string {
  const place = (offset: number): number => parser.start + offset
  const suppress = Object.keys(Suppress)[parser.suppress]
  if (code === Parsed.error) {
    const refusal = REFUSALS[parser.error]!
    const reply = parser.suppress === Suppress.all ? '' : Buffer.from(refusal.reply).toString('latin1').trimEnd()
    return `${refusal.closes ? 'close' : 'refuse'} '${reply}'`
  }
  const keys: string[] = []
  for (let i = parser.firstKey; i < parser.firstKey + parser.keyCount; i++) {
    keys.push(buf.toString('latin1', place(parser.tokens[i * 2]!), place(parser.tokens[i * 2 + 1]!)))
  }
  const sent =
    buf.toString('latin1', place(parser.head), place(parser.cutStart)) +
    buf.toString('latin1', place(parser.cutEnd), parser.end)
  const flags = `${suppress === 'nothing' ? '' : ` ${suppress}`}${parser.binaryKey ? ' binary' : ''}`
  return `${parser.command.name}(${keys.join()})${flags} > ${JSON.stringify(sent)}`
}

/** The requests in `stream`, in order; the rest that is not whole is not mentioned. */
export function readRequests(stream: Buffer, cuts: readonly number[] = []): string[] {
  const parser = new MemcacheRequestParser()
  const events: string[] = []
  feed(parser, stream, cuts, (buf, code) => {
    events.push(describeRequest(parser, buf, code))
    return code === Parsed.complete || !REFUSALS[parser.error]!.closes
  })
  return events
}

/** The replies in `stream`, each with its kind; `malformed` ends the list. */
export function readReplies(stream: Buffer, cuts: readonly number[] = []): string[] {
  const parser = new MemcacheReplyParser()
  const events: string[] = []
  feed(parser, stream, cuts, (buf, code) => {
    events.push(
      code === Parsed.error ? 'malformed' : `${parser.kind} ${buf.toString('latin1', parser.start, parser.end)}`,
    )
    return code === Parsed.complete
  })
  return events
}

/** Every way to cut a stream once, and byte by byte. */
export function allCuts(length: number): number[][] {
  const everywhere = Array.from({ length: Math.max(0, length - 1) }, (_, i) => i + 1)
  return [everywhere, ...everywhere.map(cut => [cut])]
}
