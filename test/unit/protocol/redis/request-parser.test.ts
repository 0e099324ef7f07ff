import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Parsed } from '../../../../src/protocol/parser.ts'
import { lookupCommand } from '../../../../src/protocol/redis/commands.ts'
import {
  FrameError,
  MAX_ARGUMENTS,
  MAX_BULK_BYTES,
  MAX_INLINE_BYTES,
  MAX_REQUEST_BYTES,
  RespRequestParser,
} from '../../../../src/protocol/redis/request-parser.ts'
import { Random, runSeed } from '../../../support/random.ts'
import { encode } from '../../../support/wire/resp.ts'
import { allCuts, latin1, passRequests, readRequests, workByteByByte } from './feeding.ts'

const GET = '*2\r\n$3\r\nGET\r\n$1\r\nk\r\n'

/** Bytes in, events out. */
const CASES: readonly (readonly [name: string, stream: string, events: readonly string[]])[] = [
  ['one request', GET, ['20: "GET" "k" GET']],
  [
    'several requests',
    `${GET}*1\r\n$4\r\nping\r\n${GET}`,
    ['20: "GET" "k" GET', '14: "ping" PING', '20: "GET" "k" GET'],
  ],
  ['a command in any case', '*2\r\n$3\r\ngEt\r\n$1\r\nk\r\n', ['20: "gEt" "k" GET']],
  ['an unknown command', '*1\r\n$3\r\nFOO\r\n', ['13: "FOO"']],
  ['an empty name', '*1\r\n$0\r\n\r\n', ['10: ""']],
  ['an empty key', '*2\r\n$3\r\nGET\r\n$0\r\n\r\n', ['19: "GET" "" GET']],
  [
    'binary data that looks like protocol',
    '*2\r\n$3\r\nGET\r\n$8\r\n\r\n$1\r\n*3\r\n',
    ['27: "GET" "\\r\\n$1\\r\\n*3" GET'],
  ],
  ['more arguments than there is room for at first', `*11\r\n${'$1\r\nx\r\n'.repeat(11)}`, [`82:${' "x"'.repeat(11)}`]],
  ['a length of two digits', '*2\r\n$3\r\nGET\r\n$10\r\n0123456789\r\n', ['30: "GET" "0123456789" GET']],
  ['empty frames', `*0\r\n*-1\r\n*-0\r\n*-999\r\n${GET}`, ['4:', '5:', '5:', '7:', '20: "GET" "k" GET']],
  ['an incomplete request', GET.slice(0, -1), []],
  ['nothing', '', []],
  ['an inline request', 'PING\r\n', ['inline "PING\\r\\n"']],
  ['inline requests ended by LF', 'PING\nGET a\n', ['inline "PING\\n"', 'inline "GET a\\n"']],
  ['an empty line', `\r\n${GET}`, ['inline "\\r\\n"', '20: "GET" "k" GET']],
  ['an inline request with a star in it', ' *1\r\n', ['inline " *1\\r\\n"']],
  ['an inline request without an end', 'GET a', []],
  ['no count', '*\r\n', ['refused: multibulkLength']],
  ['a count that is no number', '*a\r\n', ['refused: multibulkLength']],
  ['a count with leading zeros', '*02\r\n', ['refused: multibulkLength']],
  ['a count with a plus', '*+2\r\n', ['refused: multibulkLength']],
  ['a minus alone', '*-\r\n', ['refused: multibulkLength']],
  ['a minus in the middle', '*1-1\r\n', ['refused: multibulkLength']],
  ['a negative count with letters', '*-1a\r\n', ['refused: multibulkLength']],
  ['a CR without LF behind the count', '*1\rx', ['refused: multibulkLength']],
  ['a CR without LF behind a negative count', '*-1\rx', ['refused: multibulkLength']],
  ['a LF alone behind the count', '*1\n$4\r\nPING\r\n', ['refused: multibulkLength']],
  ['too many arguments', `*${MAX_ARGUMENTS + 1}\r\n`, ['refused: multibulkLength']],
  ['a count that wraps at 32 bits', '*4294967297\r\n', ['refused: multibulkLength']],
  ['endless zeros', `*${'0'.repeat(100)}`, ['refused: multibulkLength']],
  ['an endless negative count', `*-${'1'.repeat(100)}`, ['refused: multibulkLength']],
  ['no dollar', '*1\r\n:4\r\n', ['refused: expectedDollar']],
  ['no length', '*1\r\n$\r\n', ['refused: bulkLength']],
  ['a negative length', '*1\r\n$-1\r\n', ['refused: bulkLength']],
  ['a length with leading zeros', '*1\r\n$04\r\nPING\r\n', ['refused: bulkLength']],
  ['a length too large', `*1\r\n$${MAX_BULK_BYTES + 1}\r\n`, ['refused: bulkLength']],
  ['a length that wraps at 32 bits', '*1\r\n$4294967300\r\nPING\r\n', ['refused: bulkLength']],
  ['data longer than said', '*1\r\n$4\r\nPINGX\r\n', ['refused: missingCrlf']],
  ['data shorter than said', '*2\r\n$4\r\nGET\r\n$1\r\nk\r\n', ['refused: missingCrlf']],
  ['a CR without LF behind data', '*1\r\n$4\r\nPING\rX', ['refused: missingCrlf']],
  ['requests before a refusal', `${GET}*x\r\n${GET}`, ['20: "GET" "k" GET', 'refused: multibulkLength']],
]

/** Names of the lengths that are remembered and of those that are not, in both cases, and with other counts of arguments. */
const ALIKE = ['GET', 'get', 'Get', 'GETX', 'SET', 'SE', 'S', 'INCR', 'EXISTS', 'EXPIRE', 'PERSIST', 'PING', 'XYZ', '']

test('requests that begin alike are told apart', () => {
  const random = new Random(runSeed())
  for (let round = 0; round < 200; round++) {
    const sent = Array.from({ length: random.between(1, 30) }, () => {
      const args = Array.from({ length: random.pick([0, 1, 1, 2, 3, 8, 9, 10]) }, () => 'x'.repeat(random.below(12)))
      return [random.pick(ALIKE), ...args]
    })
    const stream = latin1(sent.map(words => encode(...words).toString('latin1')).join(''))
    const found = readRequests(stream, random.chance(0.5) ? [] : random.cuts(stream.length, 6))
    const named = found.map(event => (/^\d+: ((?:"[^"]*" ?)*)/.exec(event)?.[1] ?? event).trim())
    expect(named).toEqual(sent.map(words => words.map(word => `"${word}"`).join(' ')))
    for (const [i, words] of sent.entries()) {
      const known = lookupCommand(latin1(words[0]!), 0, words[0]!.length).name
      expect(found[i]!.endsWith(`" ${known}`)).toBe(known !== '')
    }
  }
})

describe.each(CASES)('%s', (_name, stream, events) => {
  test('whole', () => {
    expect(readRequests(latin1(stream))).toEqual(events)
  })

  test('byte by byte and at every split', () => {
    for (const cuts of allCuts(stream.length)) {
      expect({ cuts, events: readRequests(latin1(stream), cuts) }).toEqual({ cuts, events })
    }
  })

  test('in random pieces', () => {
    const random = new Random(runSeed())
    for (let i = 0; i < 50; i++) {
      const cuts = random.cuts(stream.length, random.between(2, 8))
      expect({ cuts, events: readRequests(latin1(stream), cuts) }).toEqual({ cuts, events })
    }
  })
})

const argument = fc.uint8Array({ maxLength: 40 })
const requests = fc.array(fc.array(argument, { minLength: 1, maxLength: 30 }), { minLength: 1, maxLength: 8 })

test('any requests, in any pieces, come out as they went in', () => {
  const seed = runSeed()
  const random = new Random(seed)
  const property = fc.property(requests, list => {
    const stream = Buffer.concat(list.map(args => encode(...args)))
    const expected = list.map(args => args.map(arg => JSON.stringify(Buffer.from(arg).toString('latin1'))).join(' '))
    const events = readRequests(stream, random.cuts(stream.length, random.between(1, 20)))
    // Without the size before and the name of the command behind.
    expect(events.map(event => event.replace(/^\d+: /, '').replace(/(?<=") [A-Z.]+$/, ''))).toEqual(expected)
  })
  fc.assert(property, { seed, numRuns: 1000 })
})

test('a request whose first bytes are forgotten on the way ends where it would', () => {
  const seed = runSeed()
  const random = new Random(seed)
  let compared = 0
  for (let i = 0; i < 20_000; i++) {
    const list = Array.from({ length: random.between(1, 4) }, () =>
      encode('SET', ...Array.from({ length: random.between(1, 4) }, () => random.bytes(random.pick([0, 1, 10, 100])))),
    )
    const stream = Buffer.concat(list)
    if (random.chance(0.2)) stream[random.below(stream.length)] = random.below(256)
    const whole = readRequests(stream).map(event => (event.startsWith('refused') ? event : event.replace(/:.*/s, '')))
    const cuts = random.cuts(stream.length, random.between(1, 30))
    // A damaged stream may have become an inline request, which is never passed through.
    if (whole.some(event => event.startsWith('inline'))) continue
    expect({ seed, i, events: passRequests(stream, cuts) }).toEqual({ seed, i, events: whole })
    compared++
  }
  expect(compared).toBeGreaterThan(15_000)
})

describe('bounds', () => {
  test('the largest argument is waited for', () => {
    const parser = new RespRequestParser()
    const head = latin1(`*2\r\n$3\r\nGET\r\n$${MAX_BULK_BYTES}\r\n`)
    expect(parser.parse(head, 0, head.length)).toBe(Parsed.incomplete)
    expect(parser.need).toBe(head.length + MAX_BULK_BYTES + 2)
  })

  test('a request of more than 2^31 bytes is refused before its offsets overflow', () => {
    const parser = new RespRequestParser()
    const argumentHead = latin1(`$${MAX_BULK_BYTES}\r\n`)
    let buf = Buffer.concat([latin1('*9\r\n$4\r\nMSET\r\n'), argumentHead])
    let gone = 0
    let whole = 0
    let code: number = parser.parse(buf, 0, buf.length)
    while (code === Parsed.incomplete) {
      // The argument has arrived; only its end is at hand.
      gone = parser.need - 2
      buf = Buffer.concat([latin1('\r\n'), argumentHead])
      code = parser.parse(buf, -gone, buf.length)
      whole++
    }
    expect(code).toBe(Parsed.error)
    expect(parser.error).toBe(FrameError.requestTooLong)
    expect(whole).toBe(3)
    expect(gone).toBeLessThan(MAX_REQUEST_BYTES)
  })

  test.each([
    [MAX_INLINE_BYTES, 'inline '],
    [MAX_INLINE_BYTES + 1, 'refused'],
  ])('an inline request of %i bytes: %s', (bytes, outcome) => {
    const stream = Buffer.concat([Buffer.alloc(bytes, 'x'), latin1('\n')])
    for (const cuts of [[], [1000], [bytes - 1], [bytes]]) {
      expect(readRequests(stream, cuts).map(event => event.slice(0, 7))).toEqual([outcome])
    }
  })

  test('many arguments, and little room kept after a reset', () => {
    const stream = encode('DEL', ...Array.from({ length: 20_000 }, (_, i) => i))
    const parser = new RespRequestParser()
    expect(parser.parse(stream, 0, stream.length)).toBe(Parsed.complete)
    expect(parser.argCount).toBe(20_001)
    parser.reset()
    expect(parser.args.length).toBeLessThanOrEqual(4096)
    const small = latin1(GET)
    expect(parser.parse(small, 0, small.length)).toBe(Parsed.complete)
  })

  test('a count alone costs no memory', () => {
    const parser = new RespRequestParser()
    const head = latin1(`*${MAX_ARGUMENTS}\r\n$3\r\nDEL\r\n`)
    expect(parser.parse(head, 0, head.length)).toBe(Parsed.incomplete)
    expect(parser.args.length).toBeLessThan(100)
  })

  test('reset forgets a request that was not whole', () => {
    const parser = new RespRequestParser()
    const stream = latin1(GET)
    for (const begun of [GET, 'inline']) {
      for (let length = 1; length < begun.length; length++) {
        expect(parser.parse(latin1(begun), 0, length)).toBe(Parsed.incomplete)
        parser.reset()
        expect(parser.parse(stream, 0, stream.length)).toBe(Parsed.complete)
        expect(parser.end).toBe(stream.length)
      }
    }
  })
})

test.each([
  ['a large value', encode('SET', 'k', Buffer.alloc(20_000, 'x'))],
  ['many arguments', encode('DEL', ...Array.from({ length: 2000 }, (_, i) => i))],
  ['many empty arguments', encode('DEL', ...Array.from({ length: 4000 }, () => ''))],
  ['an inline request', latin1(`SET k ${'x'.repeat(20_000)}\n`)],
])('%s byte by byte takes work in proportion to its size', (_, stream) => {
  expect(workByteByByte(new RespRequestParser(), stream)).toBeLessThan(stream.length * 12)
})
