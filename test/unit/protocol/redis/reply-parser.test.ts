import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Parsed } from '../../../../src/protocol/parser.ts'
import { RespReplyParser } from '../../../../src/protocol/redis/reply-parser.ts'
import { Random, runSeed } from '../../../support/random.ts'
import { allCuts, latin1, readReplies, workByteByByte } from './feeding.ts'

const MALFORMED = 'malformed'

/** Bytes in, events out, for RESP2. The forms are nutcracker's, where they are wider than Redis's. */
const CASES: readonly (readonly [name: string, stream: string, events: readonly string[]])[] = [
  ['a status', '+OK\r\n', ['+OK\r\n']],
  ['an empty status', '+\r\n', ['+\r\n']],
  ['an error', '-ERR no such key\r\n', ['-ERR no such key\r\n']],
  ['an error without words', '-\r\n', ['-\r\n']],
  ['a line longer than the loop looks', `+${'x'.repeat(200)}\r\n:1\r\n`, [`+${'x'.repeat(200)}\r\n`, ':1\r\n']],
  ['an integer', ':0\r\n:12\r\n:-5\r\n', [':0\r\n', ':12\r\n', ':-5\r\n']],
  ['an integer without digits', ':\r\n', [':\r\n']],
  ['minus signs anywhere', ':1-2-\r\n', [':1-2-\r\n']],
  ['a bulk', '$5\r\nhello\r\n', ['$5\r\nhello\r\n']],
  ['an empty bulk', '$0\r\n\r\n', ['$0\r\n\r\n']],
  ['a bulk that looks like protocol', '$7\r\n$1\r\n\r\n+\r\n+OK\r\n', ['$7\r\n$1\r\n\r\n+\r\n', '+OK\r\n']],
  ['a length with leading zeros', '$0005\r\nhello\r\n', ['$0005\r\nhello\r\n']],
  ['null', '$-1\r\n', ['$-1\r\n']],
  ['null in any words', '$-anything\r\n$-\r\n', ['$-anything\r\n', '$-\r\n']],
  ['an array', '*2\r\n$1\r\na\r\n$-1\r\n', ['*2\r\n$1\r\na\r\n$-1\r\n']],
  ['an empty array', '*0\r\n+OK\r\n', ['*0\r\n', '+OK\r\n']],
  ['a null array', '*-1\r\n+OK\r\n', ['*-1\r\n', '+OK\r\n']],
  [
    'an array of everything',
    '*5\r\n+a\r\n-b\r\n:1\r\n$1\r\nc\r\n*0\r\n',
    ['*5\r\n+a\r\n-b\r\n:1\r\n$1\r\nc\r\n*0\r\n'],
  ],
  [
    'nested arrays that end together',
    '*2\r\n*1\r\n*1\r\n:1\r\n*2\r\n*0\r\n*1\r\n:2\r\n+next\r\n',
    ['*2\r\n*1\r\n*1\r\n:1\r\n*2\r\n*0\r\n*1\r\n:2\r\n', '+next\r\n'],
  ],
  ['deep nesting', `${'*1\r\n'.repeat(50)}:1\r\n`, [`${'*1\r\n'.repeat(50)}:1\r\n`]],
  ['several replies', '+a\r\n:1\r\n$-1\r\n*1\r\n+b\r\n', ['+a\r\n', ':1\r\n', '$-1\r\n', '*1\r\n+b\r\n']],
  ['an incomplete reply', '*2\r\n$1\r\na\r\n', []],
  ['a line ended by LF alone', '+OK\n', []],
  ['a CR without LF in a status', '+OK\rx', [MALFORMED]],
  ['a CR without LF in an error', '-ERR\r\r\n', [MALFORMED]],
  ['a CR without LF in an integer', ':1\rx', [MALFORMED]],
  ['a CR without LF in null', '$-1\rx', [MALFORMED]],
  ['a letter in an integer', ':1a\r\n', [MALFORMED]],
  ['an endless integer', `:${'1'.repeat(200)}`, [MALFORMED]],
  ['a bulk without a length', '$\r\n', [MALFORMED]],
  ['a letter in a length', '$1a\r\n', [MALFORMED]],
  ['an endless length', `$${'0'.repeat(200)}`, [MALFORMED]],
  ['a length too large', '$2147483648\r\n', [MALFORMED]],
  ['data longer than said', '$1\r\nab\r\n', [MALFORMED]],
  ['data shorter than said', '$3\r\nab\r\n+OK\r\n', [MALFORMED]],
  ['an array without a count', '*\r\n', [MALFORMED]],
  ['a count too large', '*2147483648\r\n', [MALFORMED]],
  ['replies before one that is malformed', '+a\r\n?\r\n+b\r\n', ['+a\r\n', MALFORMED]],
  ['a malformed element', '*2\r\n:1\r\nx\r\n', [MALFORMED]],
  ...['_', '#', ',', '%', '~', '>', '(', '=', '!', '|', '\r', '\n', ' ', '\0', '\xff'].map(
    type => [`the type ${JSON.stringify(type)}`, `${type}1\r\n`, [MALFORMED]] as const,
  ),
]

const RESP3_CASES: typeof CASES = [
  [
    'the simple types',
    '_\r\n#t\r\n,1.5e3\r\n(12345678901234567890\r\n',
    ['_\r\n', '#t\r\n', ',1.5e3\r\n', '(12345678901234567890\r\n'],
  ],
  ['a verbatim string', '=7\r\ntxt:a\r\n\r\n', ['=7\r\ntxt:a\r\n\r\n']],
  ['a blob error', '!5\r\nERR x\r\n', ['!5\r\nERR x\r\n']],
  ['a map', '%2\r\n+a\r\n:1\r\n+b\r\n_\r\n+next\r\n', ['%2\r\n+a\r\n:1\r\n+b\r\n_\r\n', '+next\r\n']],
  [
    'a set and a push',
    '~2\r\n:1\r\n:2\r\n>2\r\n+message\r\n$1\r\nx\r\n',
    ['~2\r\n:1\r\n:2\r\n', '>2\r\n+message\r\n$1\r\nx\r\n'],
  ],
  ['empty aggregates', '%0\r\n~0\r\n>0\r\n', ['%0\r\n', '~0\r\n', '>0\r\n']],
  [
    'an attribute before a value',
    '|1\r\n+ttl\r\n:3600\r\n$1\r\na\r\n+next\r\n',
    ['|1\r\n+ttl\r\n:3600\r\n$1\r\na\r\n', '+next\r\n'],
  ],
  ['an empty attribute', '|0\r\n:1\r\n:2\r\n', ['|0\r\n:1\r\n', ':2\r\n']],
  [
    'an attribute inside an array',
    '*2\r\n|1\r\n+a\r\n+b\r\n:1\r\n:2\r\n:3\r\n',
    ['*2\r\n|1\r\n+a\r\n+b\r\n:1\r\n:2\r\n', ':3\r\n'],
  ],
  [
    'a map of maps',
    '%1\r\n%1\r\n:1\r\n:2\r\n%1\r\n:3\r\n:4\r\n:5\r\n',
    ['%1\r\n%1\r\n:1\r\n:2\r\n%1\r\n:3\r\n:4\r\n', ':5\r\n'],
  ],
  ['a count too large for a map', '%1073741824\r\n', [MALFORMED]],
  ['a type that RESP3 does not have', '@1\r\n', [MALFORMED]],
]

const ALL_CASES = [
  ...CASES.map(each => [...each, false] as const),
  ...RESP3_CASES.map(([name, ...rest]) => [`RESP3: ${name}`, ...rest, true] as const),
]

describe.each(ALL_CASES)('%s', (_name, stream, events, resp3) => {
  test('whole', () => {
    expect(readReplies(latin1(stream), [], resp3)).toEqual(events)
  })

  test('byte by byte and at every split', () => {
    for (const cuts of allCuts(stream.length)) {
      expect({ cuts, events: readReplies(latin1(stream), cuts, resp3) }).toEqual({ cuts, events })
    }
  })

  test('in random pieces', () => {
    const random = new Random(runSeed())
    for (let i = 0; i < 50; i++) {
      const cuts = random.cuts(stream.length, random.between(2, 8))
      expect({ cuts, events: readReplies(latin1(stream), cuts, resp3) }).toEqual({ cuts, events })
    }
  })
})

const bytes = fc.uint8Array({ maxLength: 60 }).map(value => Buffer.from(value).toString('latin1'))
const line = bytes.map(text => text.replace(/[\r\n]/g, ' '))
const bulkOf = (type: string) => bytes.map(text => `${type}${text.length}\r\n${text}\r\n`)
const integer = fc.maxSafeInteger().map(value => `:${value}\r\n`)

function aggregate(type: string, values: readonly string[], perCount: number): string {
  return `${type}${values.length / perCount}\r\n${values.join('')}`
}

/** Replies of RESP2, or of both. */
function replyOf(resp3: boolean): fc.Arbitrary<string> {
  const { reply } = fc.letrec<{ reply: string }>(tie => {
    const leaves = [
      line.map(text => `+${text}\r\n`),
      line.map(text => `-${text}\r\n`),
      integer,
      bulkOf('$'),
      fc.constantFrom('$-1\r\n', '*-1\r\n', '*0\r\n'),
    ]
    const list = fc.array(tie('reply'), { maxLength: 5 })
    const branches = [list.map(values => aggregate('*', values, 1))]
    if (resp3) {
      leaves.push(fc.constantFrom('_\r\n', '#t\r\n', ',inf\r\n', '(-1\r\n', '%0\r\n'), bulkOf('='), bulkOf('!'))
      const pairs = fc.array(fc.tuple(tie('reply'), tie('reply')), { maxLength: 3 }).map(pair => pair.flat())
      branches.push(list.map(values => aggregate('~', values, 1)))
      branches.push(list.map(values => aggregate('>', values, 1)))
      branches.push(pairs.map(values => aggregate('%', values, 2)))
      branches.push(fc.tuple(pairs, tie('reply')).map(([values, value]) => aggregate('|', values, 2) + value))
    }
    return { reply: fc.oneof({ maxDepth: 6, depthSize: 'medium' }, fc.oneof(...leaves), ...branches) }
  })
  return reply
}

test.each([false, true])('any replies, in any pieces, come out as they went in (RESP3: %s)', resp3 => {
  const seed = runSeed()
  const random = new Random(seed)
  const property = fc.property(fc.array(replyOf(resp3), { minLength: 1, maxLength: 6 }), replies => {
    const stream = latin1(replies.join(''))
    expect(readReplies(stream, [], resp3)).toEqual(replies)
    expect(readReplies(stream, random.cuts(stream.length, random.between(2, 20)), resp3)).toEqual(replies)
  })
  fc.assert(property, { seed, numRuns: 1000 })
})

describe('nesting', () => {
  test('3000 levels, as nutcracker passes them', () => {
    const deep = `${'*2\r\n:1\r\n'.repeat(3000)}+end\r\n`
    const stream = latin1(deep + deep)
    expect(readReplies(stream)).toEqual([deep, deep])
    expect(readReplies(stream, [4, 5, 6, 7, 1000, 17_001, deep.length - 1, deep.length + 3])).toEqual([deep, deep])
  })

  test('a million levels', () => {
    const deep = `${'*1\r\n'.repeat(1_000_000)}+end\r\n`
    const stream = latin1(deep)
    const parser = new RespReplyParser()
    expect(parser.parse(stream, 0, stream.length)).toBe(Parsed.complete)
    expect(parser.end).toBe(stream.length)
  })
})

describe('need', () => {
  test('tells the size of a bulk exactly, from its head on', () => {
    const parser = new RespReplyParser()
    const head = latin1('xx$1000000\r\n')
    expect(parser.parse(head, 2, head.length)).toBe(Parsed.incomplete)
    expect([parser.need, parser.exact]).toEqual([10 + 1_000_000 + 2, true])
  })

  test('is a lower bound for a bulk in an array', () => {
    const parser = new RespReplyParser()
    const head = latin1('*2\r\n$1000000\r\n')
    expect(parser.parse(head, 0, head.length)).toBe(Parsed.incomplete)
    expect([parser.need, parser.exact]).toEqual([4 + 10 + 1_000_000 + 2, false])
  })

  test('is unknown where the length is not known', () => {
    const parser = new RespReplyParser()
    const head = latin1('$10000')
    expect(parser.parse(head, 0, head.length)).toBe(Parsed.incomplete)
    expect([parser.need, parser.exact]).toEqual([0, false])
  })
})

test('reset forgets a reply that was not whole', () => {
  const parser = new RespReplyParser()
  const begun = latin1(`*3\r\n*2\r\n:1\r\n+${'x'.repeat(100)}`)
  const next = latin1('+OK\r\n')
  for (let length = 1; length <= begun.length; length++) {
    expect(parser.parse(begun, 0, length)).toBe(Parsed.incomplete)
    parser.reset()
    expect(parser.parse(next, 0, next.length)).toBe(Parsed.complete)
    expect(parser.end).toBe(next.length)
  }
})

test.each([
  ['a large bulk', `$20000\r\n${'x'.repeat(20_000)}\r\n`],
  ['many elements', `*2000\r\n${'$3\r\nabc\r\n'.repeat(2000)}`],
  ['many empty elements', `*4000\r\n${'*0\r\n'.repeat(4000)}`],
  ['deep nesting', `${'*1\r\n'.repeat(4000)}:1\r\n`],
  ['a long status', `+${'x'.repeat(20_000)}\r\n`],
  ['a long error in an array', `*2\r\n-${'x'.repeat(20_000)}\r\n:1\r\n`],
])('%s byte by byte takes work in proportion to its size', (_, stream) => {
  expect(workByteByByte(new RespReplyParser(), latin1(stream))).toBeLessThan(stream.length * 12)
})
