import { describe, expect, test } from 'vitest'
import { decodeBase64 } from '../../../../src/protocol/memcache/base64.ts'
import { COMMANDS, lookupCommand, UNKNOWN_COMMAND } from '../../../../src/protocol/memcache/commands.ts'
import { REFUSALS, RequestError } from '../../../../src/protocol/memcache/replies.ts'
import { MemcacheRequestParser } from '../../../../src/protocol/memcache/request-parser.ts'
import { mergeStats } from '../../../../src/protocol/memcache/stats-merge.ts'
import { acceptedByNutcracker } from '../../../../src/protocol/memcache/strict.ts'
import { isValue, valueEnd, valueEndOf } from '../../../../src/protocol/memcache/values.ts'
import { Parsed } from '../../../../src/protocol/parser.ts'
import { Random, runSeed } from '../../../support/random.ts'
import { latin1 } from './feeding.ts'

describe('command table', () => {
  test('every command is found by its name, and only by that', () => {
    for (const command of COMMANDS) {
      const name = latin1(command.name)
      expect(lookupCommand(name, 0, name.length)).toBe(command)
      for (const other of [
        `${command.name}x`,
        command.name.slice(1),
        command.name.toUpperCase(),
        `${command.name}\0`,
      ]) {
        expect(lookupCommand(latin1(other), 0, other.length).name).not.toBe(command.name)
      }
    }
    expect(lookupCommand(latin1(''), 0, 0)).toBe(UNKNOWN_COMMAND)
  })

  test('positions are the indexes', () => {
    expect(COMMANDS.map(command => command.index)).toEqual(COMMANDS.map((_, index) => index))
  })

  test('every reason for a refusal has its reply', () => {
    expect(REFUSALS.length).toBe(Object.keys(RequestError).length)
    for (const { reply, closes, reason } of REFUSALS) {
      if (reply.length > 0) expect(Buffer.from(reply).toString()).toMatch(/^(ERROR|CLIENT_ERROR [^\r\n]+)\r\n$/)
      expect(reason !== '').toBe(closes)
    }
  })
})

describe('base64', () => {
  test('decodes what Node encodes', () => {
    const random = new Random(runSeed())
    for (let length = 1; length < 188; length++) {
      const bytes = random.bytes(length)
      const text = latin1(`xx${bytes.toString('base64')}yy`)
      const out = new Uint8Array(250)
      expect(decodeBase64(text, 2, text.length - 2, out)).toBe(length)
      expect(Buffer.from(out.subarray(0, length)).equals(bytes), `seed ${random.seed}`).toBe(true)
    }
  })

  test.each(['', 'a', 'ab', 'abc', 'abcde', '!!!!', 'ab=c', 'a===', '====', 'ab==abcd', 'Zm9v!!!!', 'Zm9\xff'])(
    'refuses %j',
    text => {
      expect(decodeBase64(latin1(text), 0, text.length, new Uint8Array(250))).toBe(-1)
    },
  )
})

describe('what nutcracker accepts', () => {
  const accepts = (request: string): boolean => {
    const parser = new MemcacheRequestParser()
    const bytes = latin1(request)
    return parser.parse(bytes, 0, bytes.length) === Parsed.complete && acceptedByNutcracker(parser, bytes)
  }

  test.each([
    'get a\r\n',
    'gets  a b \r\n',
    '  get a\r\n',
    'set k 0 0 1\r\nx\r\n',
    'set k 99999999999 0 1 noreply\r\nx\r\n',
    'set k 0 0 2\r\n\r\r\r\n',
    'cas k 0 0 1 5\r\nx\r\n',
    'cas k 0 0 1 5 noreply\r\nx\r\n',
    'incr k -3\r\n',
    'decr k 1 noreply\r\n',
    'touch k -1\r\n',
    'delete k\r\n',
    'delete k noreply\r\n',
    'version \r\n',
    'quit\r\n',
    'get a\n',
  ])('%j', request => {
    expect(accepts(request)).toBe(true)
  })

  test.each([
    'gat 1 a\r\n',
    'get a\rb\r\n',
    'set k 0 -1 1\r\nx\r\n',
    'set k 0 0 1 foo\r\nx\r\n',
    'incr k x\r\n',
    'incr k -\r\n',
    'touch k noreply\r\n',
    'delete k 0\r\n',
    'delete k 0 noreply\r\n',
    'version 1\r\n',
    'quit x\r\n',
    'mg k\r\n',
    'mn\r\n',
    'stats\r\n',
    'flush_all\r\n',
    'verbosity 1\r\n',
  ])('not %j', request => {
    expect(accepts(request)).toBe(false)
  })
})

describe('statistics of many servers', () => {
  const a = {
    server: 'a',
    text: 'STAT pid 10\r\nSTAT uptime 9\r\nSTAT time 100\r\nSTAT version 1.6.18\r\nSTAT rusage_user 0.500000\r\nSTAT get_hits 18446744073709551615\r\nEND\r\n',
  }
  const b = {
    server: 'b',
    text: 'STAT pid 20\r\nSTAT uptime 5\r\nSTAT time 101\r\nSTAT version 1.6.21\r\nSTAT rusage_user 0.750000\r\nSTAT get_hits 1\r\nSTAT new 3\r\nEND\r\n',
  }

  test('counters are summed', () => {
    expect(mergeStats('', [a, b])).toBe(
      'STAT pid 10\r\nSTAT uptime 5\r\nSTAT time 101\r\nSTAT version 1.6.18,1.6.21\r\nSTAT rusage_user 1.250000\r\n' +
        'STAT get_hits 18446744073709551616\r\nSTAT new 3\r\nEND\r\n',
    )
  })

  test('one server stays as it is', () => {
    expect(mergeStats('', [a])).toBe(a.text)
  })

  test('items are summed by slab class', () => {
    const items = (count: number, age: number): string =>
      `STAT items:1:number ${count}\r\nSTAT items:1:age ${age}\r\nEND\r\n`
    expect(
      mergeStats('items', [
        { server: 'a', text: items(2, 7) },
        { server: 'b', text: items(3, 5) },
      ]),
    ).toBe(items(5, 7))
  })

  test('settings carry the name of their server', () => {
    const settings = 'STAT maxbytes 64\r\nEND\r\n'
    expect(
      mergeStats('settings', [
        { server: 'a', text: settings },
        { server: 'b', text: settings },
      ]),
    ).toBe('STAT a:maxbytes 64\r\nSTAT b:maxbytes 64\r\nEND\r\n')
  })

  test('lists of items follow each other', () => {
    const list = (key: string): string => `ITEM ${key} [1 b; 0 s]\r\nEND\r\n`
    expect(
      mergeStats('cachedump 1 0', [
        { server: 'a', text: list('k1') },
        { server: 'b', text: list('k2') },
      ]),
    ).toBe('ITEM k1 [1 b; 0 s]\r\nITEM k2 [1 b; 0 s]\r\nEND\r\n')
  })
})

test('only VALUE begins a block: other words with a V are the end of the walk', () => {
  for (const line of ['VERSION\r\n', 'VERSION 1.6.18\r\n', 'VA 5 kx\r\n', 'VA\r\n', 'END\r\n']) {
    expect([line, isValue(latin1(line), 0), valueEnd(latin1(line), 0)]).toEqual([line, false, 0])
  }
  const block = 'VALUE key 0 5 77\r\nhello\r\n'
  const list = latin1(`${block}END\r\n`)
  expect([isValue(list, 0), valueEnd(list, 0), valueEndOf(list, 0, 3)]).toEqual([true, block.length, block.length])
})
