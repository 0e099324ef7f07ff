import { describe, expect, test } from 'vitest'
import { isHttp, splitInline } from '../../../../src/protocol/redis/inline.ts'
import { Random, runSeed } from '../../../support/random.ts'
import { decode, encode } from '../../../support/wire/resp.ts'
import { latin1 } from './feeding.ts'

function split(line: string): unknown {
  // Bytes around the line must not matter.
  const bytes = latin1(`"x${line}y"`)
  const request = splitInline(bytes, 2, bytes.length - 2)
  return request === null ? null : decode(Buffer.from(request))
}

describe('words', () => {
  test.each([
    ['PING\r\n', ['PING']],
    ['PING\n', ['PING']],
    ['\r\n', []],
    ['   \r\n', []],
    ['  SET\t a   b \r\n', ['SET', 'a', 'b']],
    ['SET "a b" c\r\n', ['SET', 'a b', 'c']],
    ["SET 'a b' c\r\n", ['SET', 'a b', 'c']],
    ['SET "" \'\'\r\n', ['SET', '', '']],
    ['SET a"b c" d\r\n', ['SET', 'ab c', 'd']],
    ['SET "\\x41\\n\\r\\t\\b\\a\\"\\\\\\q"\r\n', ['SET', 'A\n\r\t\b\x07"\\q']],
    ['SET "\\x4"\r\n', ['SET', 'x4']],
    ["SET 'it\\'s \\n \\x41'\r\n", ['SET', "it's \\n \\x41"]],
    ['SET "it\'s" \'say "x"\'\r\n', ['SET', "it's", 'say "x"']],
    ['SET \xff\x80 \x01\r\n', ['SET', '\xff\x80', '\x01']],
    ['SET \\x41 a\\ b\r\n', ['SET', '\\x41', 'a\\', 'b']],
  ])('%j', (line, words) => {
    expect(split(line)).toEqual(words)
  })

  test.each([
    'SET "a\r\n',
    "SET 'a\r\n",
    'SET "a"b\r\n',
    "SET 'a'b\r\n",
    'SET "a\\"\r\n',
    "SET 'a\\'\r\n",
    '"\r\n',
    'a"\r\n',
  ])('%j is refused: the quotes are not balanced', line => {
    expect(split(line)).toBe(null)
  })
})

test('the request is the one that a client would have sent', () => {
  const line = latin1('set k "\\x00\\xff"\r\n')
  expect(Buffer.from(splitInline(line, 0, line.length)!)).toEqual(encode('set', 'k', Buffer.from([0, 255])))
})

test('quoted words of any bytes come out as they went in', () => {
  const random = new Random(runSeed())
  for (let i = 0; i < 2000; i++) {
    const words = Array.from({ length: random.between(1, 5) }, () => random.bytes(random.below(20)).toString('latin1'))
    const quoted = words.map(
      word => `"${[...word].map(char => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`).join('')}"`,
    )
    expect(split(`${quoted.join(' ')}\n`)).toEqual(words)
  }
})

test('lines of random bytes are split or refused, and nothing else', () => {
  const random = new Random(runSeed())
  const alphabet = ' \t"\'\\x41nab\0\xff\r'
  for (let i = 0; i < 50_000; i++) {
    const line = Array.from({ length: random.below(20) }, () => random.pick([...alphabet])).join('')
    const words = split(`${line}\n`)
    if (words !== null) expect(Array.isArray(words)).toBe(true)
  }
})

describe('a web browser', () => {
  test.each([
    'POST / HTTP/1.1\r\n',
    'post /\r\n',
    'Host: localhost:22121\r\n',
    'host:\r\n',
    'HOST:\tx\n',
    'GET / HTTP/1.1\r\n',
    'PUT /a?b HTTP/1.0\n',
    'OPTIONS * HTTP/1.1\r\n',
    'M-SEARCH http://a/b HTTP/1.1\r\n',
    'CONNECT a:6379 HTTP/1.1\r\n',
    'PRI * HTTP/2.0\r\n',
  ])('%j', line => {
    expect(isHttp(latin1(`x${line}`), 1, 1 + line.length)).toBe(true)
  })

  test.each([
    'POSTS a\r\n',
    'HOST a\r\n',
    'HOST::\r\n',
    'HOSTZ x\r\n',
    'GET host: post\r\n',
    'POST',
    '\r\n',
    ' POST /\r\n',
    'SET key HTTP/1.1\r\n',
    'GET /path\r\n',
    'SET /path value HTTP/1.1\r\n',
  ])('not %j', line => {
    expect(isHttp(latin1(line), 0, line.length)).toBe(false)
  })
})
