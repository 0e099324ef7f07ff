import { describe, expect, test } from 'vitest'
import * as replies from '../../../../src/protocol/redis/replies.ts'
import { FrameError, RespRequestParser } from '../../../../src/protocol/redis/request-parser.ts'
import { encode, replyEnd } from '../../../support/wire/resp.ts'
import { latin1, readReplies } from './feeding.ts'

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1')
}

function unknown(...args: string[]): string {
  const request = encode(...args)
  const parser = new RespRequestParser()
  // Not at the beginning of its buffer, as most requests.
  const buf = Buffer.concat([latin1('xxx'), request])
  parser.parse(buf, 3, buf.length)
  return text(replies.unknownCommand(parser, buf))
}

test('every constant is one whole reply', () => {
  const constants = Object.entries(replies).filter(([, value]) => value instanceof Uint8Array)
  expect(constants.length).toBeGreaterThan(5)
  for (const [name, bytes] of constants) {
    expect([name, readReplies(Buffer.from(bytes as Uint8Array))]).toEqual([name, [text(bytes as Uint8Array)]])
  }
})

describe('unknown command', () => {
  test.each([
    [['FOO'], "-ERR unknown command 'FOO', with args beginning with: \r\n"],
    [['foo', 'a', 'b'], "-ERR unknown command 'foo', with args beginning with: 'a' 'b' \r\n"],
    [['', ''], "-ERR unknown command '', with args beginning with: '' \r\n"],
  ])('%j', (args, reply) => {
    expect(unknown(...args)).toBe(reply)
  })

  test('line ends in what is repeated do not make a second reply', () => {
    const reply = unknown('FOO\r\n+OK\r\n', 'a\nb', '\r\n-ERR\r\n')
    expect(readReplies(latin1(reply))).toEqual([reply])
    expect(reply).toBe("-ERR unknown command 'FOO  +OK  ', with args beginning with: 'a b' '  -ERR  ' \r\n")
  })

  test('what is repeated is short, however long or many the arguments', () => {
    const reply = unknown('F'.repeat(5000), ...Array.from({ length: 1000 }, () => 'a'.repeat(1000)))
    expect(reply.length).toBeLessThan(400)
    expect(readReplies(latin1(reply))).toEqual([reply])
  })
})

describe('frame errors', () => {
  test.each(Object.entries(FrameError))('%s', (_, error) => {
    for (let byte = 0; byte < 256; byte++) {
      const reply = Buffer.from(replies.frameError(error, byte))
      expect(replyEnd(reply, 0, reply.length)).toBe(reply.length)
      expect(text(reply)).toMatch(/^-ERR Protocol error: /)
    }
  })

  test('each has its own words', () => {
    // A TLS client gets none.
    const told = Object.values(FrameError).filter(error => error !== FrameError.none && error !== FrameError.tls)
    expect(new Set(told.map(error => text(replies.frameError(error, 65)))).size).toBe(told.length)
  })
})

test('wrong number of arguments, key too long', () => {
  expect(text(replies.wrongArguments('GET'))).toBe("-ERR wrong number of arguments for 'get' command\r\n")
  expect(text(replies.keyTooLong(20_000, 16_335))).toBe('-ERR key of 20000 bytes is longer than the limit of 16335\r\n')
})
