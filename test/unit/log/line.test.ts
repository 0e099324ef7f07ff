/** nutcracker's log line: shape, time, and safety against what peers send. */

import { describe, expect, it } from 'vitest'
import { cutMessage, escapeText, formatLine, formatSignalLine, MESSAGE_LIMIT } from '../../../src/log/line.ts'

describe('formatLine', () => {
  it('gives local time with milliseconds, the component and the message', () => {
    const time = new Date(2026, 0, 2, 3, 4, 5, 6)
    expect(formatLine(time, 'listener', 'all is well')).toBe('[2026-01-02 03:04:05.006] listener: all is well\n')
  })

  it('keeps the fields where scripts cut: date, time, place, message', () => {
    const fields = formatLine(new Date(), 'worker 1', 'conf: x').split('] ')
    expect(fields[0]).toMatch(/^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}$/)
    expect(fields[1]).toBe('worker 1: conf: x\n')
  })
})

describe('formatSignalLine', () => {
  it('has dots for the time', () => {
    expect(formatSignalLine('signal 1 (SIGHUP) received')).toBe(
      '[.......................] signal 1 (SIGHUP) received\n',
    )
  })
})

describe('escapeText', () => {
  it('makes every control character visible, so that no peer forges a line or speaks to a terminal', () => {
    for (let code = 0; code < 0x20; code++)
      expect(escapeText(String.fromCharCode(code))).toMatch(/^\\(n|r|t|x[01][0-9a-f])$/)
    expect(escapeText('GET\r\n[2026] forged\t\0')).toBe('GET\\r\\n[2026] forged\\t\\x00')
    expect(escapeText('\x1b[31m\x7f\x9b\u2028')).toBe('\\x1b[31m\\x7f\\x9b\\u2028')
  })

  it('leaves printable text of any language alone', () => {
    for (const text of ['', 'plain', 'a\\n', 'ключ', 'é ÿ', '键']) expect(escapeText(text)).toBe(text)
  })
})

describe('cutMessage', () => {
  it('cuts what is very long and marks the cut', () => {
    expect(cutMessage('x'.repeat(MESSAGE_LIMIT))).toHaveLength(MESSAGE_LIMIT)
    expect(cutMessage('x'.repeat(MESSAGE_LIMIT + 1))).toBe(`${'x'.repeat(MESSAGE_LIMIT)}...`)
  })
})
