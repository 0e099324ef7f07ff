import { expect, it } from 'vitest'
import { parseExactNumber, parseNumber, parsePort } from '../../../src/config/number.ts'

it.each([
  ['0', 0],
  ['0400', 400],
  ['2147483647', 2147483647],
  ['2147483648', -1],
  ['4294967295', -1],
  ['4294967296', 0],
  ['4294967297', 1],
  ['1234567890123456789', 2112454933],
  ['9'.repeat(40), -1],
  ['', -1],
  ['-1', -1],
  ['+5', -1],
  ['1_000', -1],
  ['0x10', -1],
  ['1.5', -1],
  [' 1', -1],
  ['1\n', -1],
  ['\u0661', -1],
])('reads %j as nutcracker’s 32-bit sum does: %d', (text, value) => {
  expect(parseNumber(text)).toBe(value)
})

it.each([
  ['2147483647', 2147483647],
  ['2147483648', -1],
  ['4294967297', -1],
  ['007', 7],
  ['x', -1],
])('reads %j without wrapping: %d', (text, value) => {
  expect(parseExactNumber(text)).toBe(value)
})

it.each([
  ['1', 1],
  ['65535', 65535],
  ['65536', 0],
  ['0', 0],
  ['', 0],
  ['http', 0],
])('takes %j for port %d', (text, port) => {
  expect(parsePort(text)).toBe(port)
})
