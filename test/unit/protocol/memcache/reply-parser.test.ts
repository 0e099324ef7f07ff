import { describe, expect, test } from 'vitest'
import { ReplyKind } from '../../../../src/protocol/memcache/reply-kind.ts'
import { MAX_REPLY_LINE_BYTES, MemcacheReplyParser } from '../../../../src/protocol/memcache/reply-parser.ts'
import { Parsed } from '../../../../src/protocol/parser.ts'
import { Random, runSeed } from '../../../support/random.ts'
import { allCuts, latin1, readReplies } from './feeding.ts'

/** Long enough for the shortcut of plain lines. */
const DATA = 'v'.repeat(32)

/** Each whole reply and its kind. */
const REPLIES: readonly (readonly [string, number])[] = [
  ['VALUE k 0 5\r\nhello\r\nEND\r\n', ReplyKind.values],
  ['VALUE k 0 5 123\r\nEND\r\n\r\nEND\r\n', ReplyKind.values],
  ['VALUE a 1 0\r\n\r\nVALUE b 4294967295 2\r\n\r\n\r\nEND\r\n', ReplyKind.values],
  ['VALUE a\rb 1 1\r\nx\r\nEND \r\n', ReplyKind.values],
  [`VALUE k 0 32\r\n${DATA}\r\nEND\r\n`, ReplyKind.values],
  [`VALUE k 12345678 32\r\n${DATA}\r\nVALUE l 123456789 32\r\n${DATA}\r\nEND\r\n`, ReplyKind.values],
  [`VALUE k 0 00000032\r\n${DATA}\r\nVALUE l 0 000000032\r\n${DATA}\r\nEND\r\n`, ReplyKind.values],
  [`VALUE k 0 32 9\r\n${DATA}\r\nVALUE l 0 32 \r\n${DATA}\r\nEND\r\n`, ReplyKind.values],
  [`VALUE k x 32\r\n${DATA}\r\nVALUE l\tm 0 32\r\n${DATA}\r\nEND\r\n`, ReplyKind.values],
  [`VALUE ${'k'.repeat(250)} 0 1\r\nx\r\nVALUE ${'k'.repeat(257)} 0 32\r\n${DATA}\r\nEND\r\n`, ReplyKind.values],
  [`VALUE k 0 32\r\n${DATA}\r\nVALUE l 0 0\r\n\r\nSERVER_ERROR out of memory\r\n`, ReplyKind.serverError],
  ['VALUE a 0 1\r\nx\r\nSERVER_ERROR out of memory writing get response\r\n', ReplyKind.serverError],
  ['END\r\n', ReplyKind.end],
  ['STORED\r\n', ReplyKind.stored],
  ['NOT_STORED\r\n', ReplyKind.notStored],
  ['EXISTS\r\n', ReplyKind.exists],
  ['NOT_FOUND\r\n', ReplyKind.notFound],
  ['DELETED\r\n', ReplyKind.deleted],
  ['TOUCHED  \r\n', ReplyKind.touched],
  ['0\r\n', ReplyKind.number],
  ['18446744073709551615 \r\n', ReplyKind.number],
  ['VERSION 1.6.18\r\n', ReplyKind.version],
  ['ERROR\r\n', ReplyKind.error],
  ['ERROR: shutdown not enabled\r\n', ReplyKind.error],
  ['CLIENT_ERROR bad data chunk\r\n', ReplyKind.clientError],
  ['SERVER_ERROR object too large for cache\r\n', ReplyKind.serverError],
  ['OK\r\n', ReplyKind.ok],
  ['RESET\r\n', ReplyKind.reset],
  ['STAT pid 1\r\nSTAT version 1.6.18\r\nEND\r\n', ReplyKind.stats],
  ['ITEM k [1 b; 0 s]\r\nEND\r\n', ReplyKind.stats],
  ['PREFIX p get 1 hit 1 set 0 del 0\r\nEND\r\n', ReplyKind.stats],
  ['HD\r\n', ReplyKind.metaDone],
  ['HD kfoo O1 c17\r\n', ReplyKind.metaDone],
  ['VA 0\r\n\r\n', ReplyKind.metaValue],
  ['VA 5 f0 kfoo\r\nEN\r\n!\r\n', ReplyKind.metaValue],
  ['EN\r\n', ReplyKind.metaMiss],
  ['NS\r\n', ReplyKind.metaNotStored],
  ['EX O7\r\n', ReplyKind.metaExists],
  ['NF\r\n', ReplyKind.metaNotFound],
  ['MN\r\n', ReplyKind.metaNoop],
  ['ME foo exp=-1 la=1 cas=29 fetch=yes cls=1 size=64\r\n', ReplyKind.metaDebug],
]

const MALFORMED: readonly string[] = [
  '\r\n',
  'garbage\r\n',
  'END\n',
  'STORED now\r\n',
  'STOREDX\r\n',
  '12x\r\n',
  '-1\r\n',
  'BUSY x\r\n',
  'VALUE k 0 1\r\nxy\r\nEND\r\n',
  'VALUE k 0 x\r\n',
  `VALUE k 0 32\r\n${DATA}xxEND\r\n`,
  `VALUE k 0 32\n${DATA}\r\nEND\r\n`,
  `VALUE k  32\r\n${DATA}\r\nEND\r\n`,
  `VALUE  0 32\r\n${DATA}\r\nEND\r\n`,
  `STAT a 1\r\nVALUE k 0 32\r\n${DATA}\r\nEND\r\n`,
  `VALUES k 0 32\r\n${DATA}\r\nEND\r\n`,
  'VALUE k 0\r\n',
  'VALUE  0 1\r\nx\r\n',
  'VALUE k 0 2147483648\r\n',
  'VALUE k 0 1\r\nx\r\nSTORED\r\n',
  'VALUE k 0 1\r\nx\r\nSTAT a 1\r\n',
  'STAT a 1\r\nVALUE k 0 1\r\nx\r\nEND\r\n',
  'STAT a 1\r\nSTORED\r\n',
  'VA x\r\n',
  'VA 1\r\nxyz\r\n',
  `VERSION ${'x'.repeat(MAX_REPLY_LINE_BYTES)}\r\n`,
]

describe('replies end where they end', () => {
  test.each(REPLIES)('%j', (reply, kind) => {
    const expected = [`${kind} ${reply}`]
    const stream = latin1(reply)
    expect(readReplies(stream)).toEqual(expected)
    for (const cuts of allCuts(stream.length)) expect(readReplies(stream, cuts)).toEqual(expected)
  })

  test('one after another, in random chunks', () => {
    const random = new Random(runSeed())
    for (let round = 0; round < 200; round++) {
      const chosen = Array.from({ length: 20 }, () => random.pick(REPLIES))
      const stream = latin1(chosen.map(([reply]) => reply).join(''))
      const expected = chosen.map(([reply, kind]) => `${kind} ${reply}`)
      expect(readReplies(stream, random.cuts(stream.length, 30)), `seed ${random.seed}, round ${round}`).toEqual(
        expected,
      )
    }
  })
})

describe('what is no reply breaks the connection', () => {
  test.each(MALFORMED)('%j', reply => {
    const stream = latin1(reply)
    expect(readReplies(stream)).toEqual(['malformed'])
    for (const cuts of allCuts(stream.length).slice(0, 60)) expect(readReplies(stream, cuts)).toEqual(['malformed'])
  })
})

test('a value says how much is still to come', () => {
  const parser = new MemcacheReplyParser()
  const line = latin1('VALUE k 0 1000000\r\nabc')
  expect(parser.parse(line, 0, line.length)).toBe(Parsed.incomplete)
  expect(parser.need).toBe('VALUE k 0 1000000\r\n'.length + 1_000_000 + 2 + 'END\r\n'.length)
})
