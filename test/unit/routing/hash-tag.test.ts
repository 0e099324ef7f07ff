import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { tagEnd, tagStart } from '../../../src/routing/hash-tag.ts'

/** The part of the key that is hashed. */
function hashed(tag: string, key: string): string {
  const bytes = Buffer.from(`xx${key}${tag}`, 'latin1')
  const end = 2 + key.length
  const first = tagStart(bytes, 2, end, tag.charCodeAt(0))
  const last = first < 0 ? -1 : tagEnd(bytes, first, end, tag.charCodeAt(1))
  return last < 0 ? key : bytes.toString('latin1', first, last)
}

describe('hash tag', () => {
  test.each([
    ['{}', 'user:{42}:x', '42'],
    ['{}', '{}{a}', '{}{a}'],
    ['{}', 'a{}b', 'a{}b'],
    ['{}', '{a', '{a'],
    ['{}', 'a}', 'a}'],
    ['{}', '}{', '}{'],
    ['{}', '{', '{'],
    ['{}', '', ''],
    ['{}', '{{a}}', '{a'],
    ['{}', '{a}{b}', 'a'],
    ['{}', '}a{b}', 'b'],
    ['$$', 'a$x$b', 'x'],
    ['$$', 'a$$b$c$', 'a$$b$c$'],
    ['$$', 'a$b', 'a$b'],
  ])('%s of %s hashes %s', (tag, key, expected) => {
    expect(hashed(tag, key)).toBe(expected)
  })

  test('is what a search for the first pair finds', () => {
    const key = fc.array(fc.constantFrom('{', '}', 'a'), { maxLength: 8 }).map(chars => chars.join(''))
    fc.assert(
      fc.property(key, text => {
        const open = text.indexOf('{')
        const close = open < 0 ? -1 : text.indexOf('}', open + 1)
        expect(hashed('{}', text)).toBe(close > open + 1 ? text.slice(open + 1, close) : text)
      }),
    )
  })
})
