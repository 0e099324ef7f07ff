import { getSystemErrorMap } from 'node:util'
import { expect, test } from 'vitest'
import { strerror } from '../../../src/shared/strerror.ts'

test("a name gives the C library's words", () => {
  expect(strerror('EADDRINUSE')).toBe('Address already in use')
  expect(strerror('ENOTFOUND')).toBe('Name or service not known')
})

test('a libuv code gives the same words as its name', () => {
  for (const [code, [name]] of getSystemErrorMap()) {
    expect(strerror(code)).toBe(strerror(name))
  }
})

test('an error without words of its own shows its name', () => {
  expect(strerror('ERR_SOMETHING')).toBe('ERR_SOMETHING')
  expect(strerror(-99_999)).toContain('99999')
  expect(strerror(0)).toBe('error 0')
})
