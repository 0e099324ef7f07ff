import { expect, test } from 'vitest'
import { BulkScanner } from '../../../../src/protocol/redis/value-scanner.ts'

const VALUES = ['$5\r\nhello\r\n', '$-1\r\n', '$0\r\n\r\n', '_\r\n', '$12\r\nwith\r\nlines\n\r\n']
const REPLY = Buffer.from(`${VALUES.join('')}+OK\r\n`)

/** The values that the scanner finds when the bytes come in pieces of this size. */
function found(bytes: Buffer, values: number, size: number): { texts: string[]; rest: string } {
  const scanner = new BulkScanner(values)
  const texts: string[] = []
  let text = ''
  let at = 0
  while (!scanner.done && at < bytes.length) {
    const end = Math.min(bytes.length, at + size)
    while (at < end && !scanner.done) {
      const next = scanner.step(bytes, at, end)
      if (next < 0) return { texts, rest: 'malformed' }
      text += bytes.toString('latin1', at, next)
      at = next
      if (!scanner.endsValue) continue
      texts.push(text)
      text = ''
    }
  }
  return { texts, rest: bytes.toString('latin1', at) }
}

test.each([1, 2, 3, 4, 5, 7, 11, 100])('finds each value in pieces of %i bytes, and nothing behind them', size => {
  expect(found(REPLY, VALUES.length, size)).toEqual({ texts: VALUES, rest: '+OK\r\n' })
})

test.each([
  '+OK\r\n',
  '*1\r\n$1\r\na\r\n',
  '$5\nhello\r\n',
  '$x\r\n',
  '$1\rx',
  '$1\r\nab\r',
  '$99999999999\r\n',
  '$1-\r\n',
])('%j is malformed in one piece and byte by byte', text => {
  const bytes = Buffer.from(`${text}\r\n\r\n`)
  expect(found(bytes, 1, 1).rest).toBe('malformed')
  expect(found(bytes, 1, 100).rest).toBe('malformed')
})
