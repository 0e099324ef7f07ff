/** Damaged input: the parsers neither throw nor hang, and say the same of it in whatever pieces it comes. */

import { expect, test } from 'vitest'
import { Random, runSeed } from '../../../support/random.ts'
import { latin1, readReplies, readRequests } from './feeding.ts'

const MUTATIONS = 100_000

const REQUESTS = [
  'get a\r\nget a b c\r\n',
  'gats -1 key1 key2\r\n',
  'set key 1 0 5\r\nhello\r\nget key\r\n',
  'cas key 1 0 5 77 noreply\r\nhello\r\n',
  'add key 0 -1 0\r\n\r\nincr key 5 noreply\r\ndecr key 5\r\n',
  'delete key noreply\r\ntouch key 10\r\nversion\r\nquit\r\n',
  'mg Zm9v b v q O12 k\r\nmn\r\n',
  'ms key 5 T10 q F1\r\nhello\r\nmd key q\r\nma key N0 J1 D2 v\r\nme key\r\n',
  'flush_all 0 noreply\r\nverbosity 1\r\nstats items\r\nfoo\r\n\r\n',
]

const REPLIES = [
  'VALUE key 0 5\r\nhello\r\nEND\r\n',
  'VALUE a 1 0 17\r\n\r\nVALUE b 0 2 18\r\n\r\n\r\nEND\r\n',
  'STORED\r\nNOT_STORED\r\nEXISTS\r\nNOT_FOUND\r\nDELETED\r\nTOUCHED\r\nEND\r\n',
  '12 \r\nVERSION 1.6.18\r\nERROR\r\nCLIENT_ERROR bad data chunk\r\nSERVER_ERROR out of memory\r\n',
  'STAT pid 1\r\nSTAT version 1.6\r\nEND\r\nOK\r\nRESET\r\n',
  'VA 5 f0 kkey\r\nhello\r\nHD\r\nEN\r\nNS\r\nEX O1\r\nNF\r\nMN\r\nME key exp=-1\r\n',
]

const INTERESTING = [0, 9, 10, 13, 32, 43, 45, 48, 57, 65, 98, 113, 128, 255]

function mutate(random: Random, corpus: readonly string[]): Buffer {
  let bytes = latin1(random.pick(corpus))
  for (let i = random.between(1, 4); i > 0; i--) {
    const at = random.below(bytes.length)
    const kind = random.below(5)
    if (kind === 0) bytes[at] = random.pick(INTERESTING)
    else if (kind === 1) bytes[at] = random.below(256)
    else if (kind === 2)
      bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from([random.pick(INTERESTING)]), bytes.subarray(at)])
    else if (kind === 3) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + random.between(1, 5))])
    else bytes = Buffer.concat([bytes.subarray(0, at), latin1(random.pick(corpus)), bytes.subarray(at)])
    if (bytes.length === 0) return latin1(random.pick(corpus))
  }
  return bytes
}

function sameInPieces(read: (stream: Buffer, cuts?: readonly number[]) => string[], corpus: readonly string[]): void {
  const seed = runSeed()
  for (let i = 0; i < MUTATIONS; i++) {
    const random = new Random(seed).fork(i)
    const bytes = mutate(random, corpus)
    const whole = read(bytes).join('\n')
    const pieces = read(bytes, random.cuts(bytes.length, random.between(2, 12))).join('\n')
    if (pieces !== whole)
      expect(pieces, `seed ${seed}, input ${i}: ${JSON.stringify(bytes.toString('latin1'))}`).toBe(whole)
  }
}

test('mutated requests', { timeout: 120_000 }, () => {
  sameInPieces(readRequests, REQUESTS)
})

test('mutated replies', { timeout: 120_000 }, () => {
  sameInPieces(readReplies, REPLIES)
})
