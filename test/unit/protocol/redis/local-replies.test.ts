/** The proxy's own replies, written and read: RESP2 and RESP3. */

import { describe, expect, test } from 'vitest'
import { HllCode, HllUnion } from '../../../../src/protocol/redis/hyperloglog.ts'
import { ReplyError, readReply } from '../../../../src/protocol/redis/reply-value.ts'
import { bulkOf, ReplyWriter } from '../../../../src/protocol/redis/reply-writer.ts'

function written(resp3: boolean): string {
  const writer = new ReplyWriter(resp3).map(1).bulk('k').array(5)
  writer.integer(-7).null().double('0.5').verbatim('t\xe9xt')
  return Buffer.from(writer.set(1).bulk('').bytes()).toString('latin1')
}

describe('a reply', () => {
  test('has the types of the client’s protocol', () => {
    expect(written(false)).toBe('*2\r\n$1\r\nk\r\n*5\r\n:-7\r\n$-1\r\n$3\r\n0.5\r\n$4\r\nt\xe9xt\r\n*1\r\n$0\r\n\r\n')
    expect(written(true)).toBe('%1\r\n$1\r\nk\r\n*5\r\n:-7\r\n_\r\n,0.5\r\n=8\r\ntxt:t\xe9xt\r\n~1\r\n$0\r\n\r\n')
  })

  test.each([false, true])('is read as it was written, RESP3 %s', resp3 => {
    expect(readReply(Buffer.from(written(resp3), 'latin1'), 0)).toEqual(['k', [-7, null, '0.5', 't\xe9xt', ['']]])
  })

  test('is read in every other type', () => {
    const reply = '*7\r\n+OK\r\n-ERR no\r\n#t\r\n#f\r\n*-1\r\n!3\r\nbad\r\n|1\r\n$1\r\na\r\n:1\r\n>1\r\n(12345\r\n'
    expect(readReply(Buffer.from(`xx${reply}`), 2)).toEqual([
      'OK',
      new ReplyError('ERR no'),
      true,
      false,
      null,
      'bad',
      ['12345'],
    ])
  })

  test('of bytes is a bulk of these bytes', () => {
    expect(`${Buffer.from(bulkOf(Buffer.from('hello'), 1, 3))}`).toBe('$2\r\nel\r\n')
    expect(`${Buffer.from(bulkOf(Buffer.from('hello'), 2, 2))}`).toBe('$0\r\n\r\n')
  })
})

/** An empty sparse HyperLogLog: XZERO of all 16,384 registers. */
const EMPTY = `HYLL\x01${'\0'.repeat(11)}\x7f\xff`

describe('a union of HyperLogLogs', () => {
  test('of empty ones counts nothing', () => {
    const union = new HllUnion()
    expect(union.add(EMPTY)).toBe(HllCode.ok)
    expect(union.count()).toBe(0)
  })

  test.each([
    ['', HllCode.notHll],
    ['HYLL', HllCode.notHll],
    [EMPTY.replace('HYLL', 'HYLX'), HllCode.notHll],
    [EMPTY.replace('\x01', '\x02'), HllCode.notHll],
    [EMPTY.replace('\x01', '\x00'), HllCode.notHll],
    [EMPTY.slice(0, -1), HllCode.corrupt],
    [EMPTY.slice(0, -2), HllCode.corrupt],
    [`${EMPTY}\x80`, HllCode.corrupt],
    [`${EMPTY}\x00`, HllCode.corrupt],
  ])('refuses %j', (value, code) => {
    expect(new HllUnion().add(value)).toBe(code)
  })

  test('counts what both have once', () => {
    const one = new HllUnion()
    // One register with 1, the rest 0.
    one.add(`HYLL\x01${'\0'.repeat(11)}\x80\x7f\xfe`)
    const count = one.count()
    one.add(`HYLL\x01${'\0'.repeat(11)}\x80\x7f\xfe`)
    expect(one.count()).toBe(count)
    expect(count).toBe(1)
  })
})
