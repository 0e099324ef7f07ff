import { randomBytes } from 'node:crypto'
import fastCrc32c from 'fast-crc32c'
import { expect, test } from 'vitest'
import { crc32c } from '../../../src/hashkit/crc32c.ts'

test('gives the published check value', () => {
  expect(crc32c(Buffer.from('123456789'), 0, 9) >>> 0).toBe(0xe3069283)
})

test('gives what the package fast-crc32c gives', () => {
  for (let length = 0; length < 400; length++) {
    const bytes = randomBytes(length + 7)
    const expected = fastCrc32c.calculate(bytes.subarray(3, 3 + length))
    expect(crc32c(bytes, 3, 3 + length) >>> 0, bytes.toString('hex')).toBe(expected)
  }
})
