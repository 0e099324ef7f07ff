import { describe, expect, test } from 'vitest'
import {
  MAX_KEY_BYTES,
  MAX_LINE_BYTES,
  MemcacheRequestParser,
} from '../../../../src/protocol/memcache/request-parser.ts'
import { Parsed } from '../../../../src/protocol/parser.ts'
import { Random, runSeed } from '../../../support/random.ts'
import { allCuts, latin1, readRequests } from './feeding.ts'

const ERROR = "refuse 'ERROR'"
const BAD_LINE = "refuse 'CLIENT_ERROR bad command line format'"
const SILENT = "refuse ''"
const CLOSE_BAD_LINE = "close 'CLIENT_ERROR bad command line format'"

const key250 = 'k'.repeat(MAX_KEY_BYTES)
const key251 = 'k'.repeat(MAX_KEY_BYTES + 1)
const manyKeys = Array.from({ length: 300 }, (_, i) => `key:${i}`)

/** Name, bytes, and what is found in them. */
const CASES: readonly (readonly [string, string, readonly string[]])[] = [
  ['get', 'get a\r\n', ['get(a) > "get a\\r\\n"']],
  ['several keys', 'gets a b a\r\n', ['gets(a,b,a) > "gets a b a\\r\\n"']],
  ['runs of spaces', '  get  a   b \r\n', ['get(a,b) > "get  a   b \\r\\n"']],
  ['a bare line feed ends a line', 'get a\nget b\n', ['get(a) > "get a\\n"', 'get(b) > "get b\\n"']],
  ['a CR within a key belongs to it', 'get a\rb\r\r\n', ['get(a\rb\r) > "get a\\rb\\r\\r\\n"']],
  ['no key', 'get\r\nget \r\n', [ERROR, ERROR]],
  ['the longest key', `get ${key250}\r\n`, [`get(${key250}) > "get ${key250}\\r\\n"`]],
  ['a key that is too long, among others', `get a ${key251} b\r\nmn\r\n`, [BAD_LINE, 'mn() > "mn\\r\\n"']],
  [
    'a list of keys longer than a line may be',
    `get ${manyKeys.join(' ')}\r\n`,
    [`get(${manyKeys.join()}) > "get ${manyKeys.join(' ')}\\r\\n"`],
  ],
  ['gat', 'gat 10 a\r\ngats -1 a b\r\n', ['gat(a) > "gat 10 a\\r\\n"', 'gats(a,b) > "gats -1 a b\\r\\n"']],
  [
    'gat without a number',
    'gat x a\r\ngat 10\r\n',
    ["refuse 'CLIENT_ERROR invalid exptime argument'", 'gat() > "gat 10\\r\\n"'],
  ],
  [
    'gat with one key and more spaces than a line has room for',
    `gat 0 ${' '.repeat(MAX_LINE_BYTES)}a\r\n`,
    ["close 'CLIENT_ERROR line too long'"],
  ],
  ['set', 'set k 1 2 3\r\nabc\r\n', ['set(k) > "set k 1 2 3\\r\\nabc\\r\\n"']],
  [
    'data that looks like protocol',
    'set k 0 0 9\r\nget a\r\n\r\n\r\n',
    ['set(k) > "set k 0 0 9\\r\\nget a\\r\\n\\r\\n\\r\\n"'],
  ],
  ['no data', 'add k 0 0 0\r\n\r\n', ['add(k) > "add k 0 0 0\\r\\n\\r\\n"']],
  [
    'noreply is cut out',
    'set k 0 0 1 noreply\r\nx\r\nget k\r\n',
    ['set(k) all > "set k 0 0 1\\r\\nx\\r\\n"', 'get(k) > "get k\\r\\n"'],
  ],
  ['noreply and spaces', 'delete  k  noreply \r\n', ['delete(k) all > "delete  k \\r\\n"']],
  [
    'negative expiry',
    'set k 0 -1 1\r\nx\r\ntouch k -1\r\n',
    ['set(k) > "set k 0 -1 1\\r\\nx\\r\\n"', 'touch(k) > "touch k -1\\r\\n"'],
  ],
  [
    'flags of 64 bits',
    'set k 18446744073709551615 0 1\r\nx\r\n',
    ['set(k) > "set k 18446744073709551615 0 1\\r\\nx\\r\\n"'],
  ],
  ['flags beyond 64 bits', 'set k 18446744073709551616 0 1\r\nx\r\nmn\r\n', [BAD_LINE, 'mn() > "mn\\r\\n"']],
  [
    'leading zeros',
    'set k 000000000000000000000000 -00 001\r\nx\r\n',
    ['set(k) > "set k 000000000000000000000000 -00 001\\r\\nx\\r\\n"'],
  ],
  ['a refused set takes its data along', 'set k 0 x 9\r\nflush_all\r\nmn\r\n', [BAD_LINE, 'mn() > "mn\\r\\n"']],
  [
    'a refused set with a long key takes its data along',
    `set ${key251} 0 0 9\r\nflush_all\r\nmn\r\n`,
    [BAD_LINE, 'mn() > "mn\\r\\n"'],
  ],
  ['a refused set says nothing after noreply', 'set k -1 0 1 noreply\r\nx\r\nmn\r\n', [SILENT, 'mn() > "mn\\r\\n"']],
  ['too many words take their data along', 'set k 0 0 3 a b\r\nabc\r\n', [ERROR]],
  [
    'a word where noreply may stand is ignored, as memcached does',
    'set k 0 0 1 foo\r\nx\r\n',
    ['set(k) > "set k 0 0 1 foo\\r\\nx\\r\\n"'],
  ],
  [
    'data longer than declared',
    'set k 0 0 1\r\nabc\r\nmn\r\n',
    ["refuse 'CLIENT_ERROR bad data chunk'", ERROR, 'mn() > "mn\\r\\n"'],
  ],
  [
    'data shorter than declared',
    'set k 0 0 5\r\nabc\r\nmn\r\nmn\r\n',
    ["refuse 'CLIENT_ERROR bad data chunk'", ERROR, 'mn() > "mn\\r\\n"'],
  ],
  ['a length that is no number closes', 'set k 0 0 x\r\nflush_all\r\n', [CLOSE_BAD_LINE]],
  ['a negative length closes', 'set k 0 0 -1\r\nflush_all\r\n', [CLOSE_BAD_LINE]],
  ['a length above 2 GB closes', 'set k 0 0 2147483646\r\n', [CLOSE_BAD_LINE]],
  ['a length that wraps at 32 bits closes', 'set k 0 0 4294967297\r\nx\r\n', [CLOSE_BAD_LINE]],
  ['no length closes', 'set k 0 0\r\nflush_all\r\n', ["close 'ERROR'"]],
  [
    'cas',
    'cas k 0 0 1 18446744073709551615 noreply\r\nx\r\n',
    ['cas(k) all > "cas k 0 0 1 18446744073709551615\\r\\nx\\r\\n"'],
  ],
  ['cas without its number', 'cas k 0 0 1\r\nx\r\nmn\r\n', [ERROR, 'mn() > "mn\\r\\n"']],
  ['cas with a bad number', 'cas k 0 0 1 -1\r\nx\r\n', [BAD_LINE]],
  [
    'arithmetic leaves numbers to the server',
    'incr k abc\r\ndecr k 1 noreply\r\n',
    ['incr(k) > "incr k abc\\r\\n"', 'decr(k) all > "decr k 1\\r\\n"'],
  ],
  ['wrong counts', 'incr k\r\ndelete\r\ntouch k\r\ntouch k 1 2 3\r\n', [ERROR, ERROR, ERROR, ERROR]],
  ['a key called noreply', 'delete noreply\r\n', ['delete(noreply) > "delete noreply\\r\\n"']],
  ['old delete with a time', 'delete k 0\r\n', ['delete(k) > "delete k 0\\r\\n"']],
  ['upper case', 'GET a\r\n', [ERROR]],
  ['unknown', 'foo bar\r\nget1 a\r\n\r\n', [ERROR, ERROR, ERROR]],
  ['refused', 'shutdown\r\nwatch\r\nlru_crawler metadump all\r\n', [ERROR, ERROR, ERROR]],
  [
    'keyless',
    'version\r\nquit\r\nmn\r\nstats items\r\n',
    ['version() > "version\\r\\n"', 'quit() > "quit\\r\\n"', 'mn() > "mn\\r\\n"', 'stats() > "stats items\\r\\n"'],
  ],
  [
    'flush_all',
    'flush_all\r\nflush_all noreply\r\nflush_all 5 noreply\r\n',
    ['flush_all() > "flush_all\\r\\n"', 'flush_all() all > "flush_all\\r\\n"', 'flush_all() all > "flush_all 5\\r\\n"'],
  ],
  ['verbosity', 'verbosity 1\r\nverbosity\r\n', ['verbosity() > "verbosity 1\\r\\n"', ERROR]],
  ['meta get', 'mg k v t O1\r\n', ['mg(k) > "mg k v t O1\\r\\n"']],
  [
    'quiet is cut out',
    'mg k v q k\r\nmd k q\r\n',
    ['mg(k) nominal > "mg k v k\\r\\n"', 'md(k) nominal > "md k\\r\\n"'],
  ],
  ['quiet by its first byte', 'mg k quiet\r\n', ['mg(k) nominal > "mg k\\r\\n"']],
  ['quiet twice', 'mg k q q\r\n', ["refuse 'CLIENT_ERROR duplicate flag'"]],
  ['meta set', 'ms k 3 T0 q\r\nabc\r\n', ['ms(k) nominal > "ms k 3 T0\\r\\nabc\\r\\n"']],
  [
    'meta set with a long key takes its data along',
    `ms ${key251} 9\r\nflush_all\r\nmn\r\n`,
    [BAD_LINE, 'mn() > "mn\\r\\n"'],
  ],
  ['meta set without a length', 'ms k\r\nflush_all\r\n', [CLOSE_BAD_LINE]],
  ['meta set in the old form', 'ms k S3\r\nabc\r\n', [CLOSE_BAD_LINE]],
  [
    'meta set with more flags than memcached reads',
    `ms k 1 ${'O'.repeat(17).split('').join(' ')}\r\nx\r\n`,
    ["refuse 'CLIENT_ERROR options flags too long'"],
  ],
  [
    'binary key',
    'mg Zm9v v b\r\nme Zm9v b\r\n',
    ['mg(Zm9v) binary > "mg Zm9v v b\\r\\n"', 'me(Zm9v) binary > "me Zm9v b\\r\\n"'],
  ],
  [
    'me takes b in one place only',
    'me Zm9v bx\r\nme Zm9v v b\r\n',
    ['me(Zm9v) > "me Zm9v bx\\r\\n"', 'me(Zm9v) > "me Zm9v v b\\r\\n"'],
  ],
  [
    'a binary key that is not base64',
    'mg !!!! b\r\nms !!!! 1 b\r\nx\r\n',
    ["refuse 'CLIENT_ERROR error decoding key'", "refuse 'CLIENT_ERROR error decoding key'"],
  ],
  ['meta without a key', 'mg\r\nma\r\nme\r\n', [ERROR, ERROR, BAD_LINE]],
  [
    'a NUL is refused: memcached would see another line',
    'get a\0b\r\nset a\0b 0 0 1\r\nx\r\nmn\r\n',
    [BAD_LINE, BAD_LINE, 'mn() > "mn\\r\\n"'],
  ],
  ['a long line', `foo ${'x'.repeat(MAX_LINE_BYTES)}\r\nmn\r\n`, ["close 'CLIENT_ERROR line too long'"]],
  [
    'the longest line',
    `incr k ${'1'.repeat(MAX_LINE_BYTES - 9)}\r\n`,
    [`incr(k) > "incr k ${'1'.repeat(MAX_LINE_BYTES - 9)}\\r\\n"`],
  ],
  ['a line of one byte more', `incr k ${'1'.repeat(MAX_LINE_BYTES - 8)}\r\n`, ["close 'CLIENT_ERROR line too long'"]],
  ['spaces without end', ' '.repeat(MAX_LINE_BYTES), ["close 'CLIENT_ERROR line too long'"]],
  ['binary protocol', `\x80`, ["close ''"]],
  ['HTTP, whatever the method', 'PATCH / HTTP/1.1\r\nset p 0 0 1\r\nx\r\n', ["close ''"]],
  ['a key that looks like the end of HTTP', 'get / HTTP/1.1\r\n', ['get(/,HTTP/1.1) > "get / HTTP/1.1\\r\\n"']],
  ['TLS client hello', '\x16\x03\x01\0', ["close ''"]],
]

describe('requests are found and understood', () => {
  test.each(CASES)('%s', (_, bytes, expected) => {
    expect(readRequests(latin1(bytes))).toEqual(expected)
  })
})

describe('a request in pieces is the same request', () => {
  test.each(CASES)('%s', (_, bytes, expected) => {
    const stream = latin1(bytes)
    const wanted = expected.join('\n')
    for (const cuts of allCuts(stream.length).slice(0, 700)) {
      const found = readRequests(stream, cuts).join('\n')
      if (found !== wanted) expect(found, `cut at ${cuts.slice(0, 5)}`).toBe(wanted)
    }
  })

  test('all of them one after another, in random chunks', () => {
    const random = new Random(runSeed())
    const open = CASES.filter(([, , expected]) => !expected.at(-1)!.startsWith('close'))
    for (let round = 0; round < 200; round++) {
      const chosen = Array.from({ length: 20 }, () => random.pick(open))
      const stream = latin1(chosen.map(([, bytes]) => bytes).join(''))
      const expected = chosen.flatMap(([, , events]) => events)
      expect(readRequests(stream, random.cuts(stream.length, 30)), `seed ${random.seed}, round ${round}`).toEqual(
        expected,
      )
    }
  })
})

test('the size of a request with data is told as soon as its line is whole', () => {
  const parser = new MemcacheRequestParser()
  const line = latin1('set k 0 0 1000000 noreply\r\n')
  expect(parser.parse(line, 0, line.length)).toBe(Parsed.incomplete)
  expect(parser.need).toBe(line.length + 1_000_000 + 2)
  expect(parser.idle).toBe(false)
})

test('a reset parser begins anew', () => {
  const parser = new MemcacheRequestParser()
  const half = latin1('set k 0 0 5\r\nab')
  expect(parser.parse(half, 0, half.length)).toBe(Parsed.incomplete)
  parser.reset()
  expect(parser.idle).toBe(true)
  const whole = latin1('get a\r\n')
  expect(parser.parse(whole, 0, whole.length)).toBe(Parsed.complete)
  expect(parser.command.name).toBe('get')
})

test('a long line is scanned once, however small its pieces', () => {
  // 200,000 keys in pieces of 64 bytes: scanning anew each time would take minutes.
  const stream = latin1(`get ${'key:0000 '.repeat(200_000)}\r\n`)
  const parser = new MemcacheRequestParser()
  const begun = performance.now()
  for (let end = 64; end < stream.length; end += 64)
    expect(parser.parse(stream, 0, end) === Parsed.incomplete).toBe(true)
  expect(parser.parse(stream, 0, stream.length)).toBe(Parsed.complete)
  expect(parser.keyCount).toBe(200_000)
  expect(performance.now() - begun).toBeLessThan(5_000)
})

test('a request with data is found although its bytes are forgotten as soon as they are safe', () => {
  const stream = latin1(`set key 0 0 100\r\n${'\r\nget a\r\n'.repeat(11)}!\r\nget b\r\n`)
  const whole = stream.length - 'get b\r\n'.length
  for (let step = 1; step < 40; step++) {
    const parser = new MemcacheRequestParser()
    let gone = 0
    let code: number = Parsed.incomplete
    for (let end = step; code === Parsed.incomplete; end += step) {
      const rest = stream.subarray(gone, Math.min(end, stream.length))
      code = parser.parse(rest, -gone, rest.length)
      if (code === Parsed.incomplete) gone += parser.safe
      else expect(gone + parser.end, `in pieces of ${step}`).toBe(whole)
    }
    expect(code).toBe(Parsed.complete)
    expect(gone).toBeGreaterThan(0)
  }
})
