/** Damaged input: the parsers neither throw nor hang, and say the same of it in whatever pieces it comes. */

import { expect, test } from 'vitest'
import { Random, runSeed } from '../../../support/random.ts'
import { latin1, readReplies, readRequests } from './feeding.ts'

const MUTATIONS = 100_000

const REQUESTS = [
  '*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n',
  '*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$11\r\nhello\r\nworld\r\n*1\r\n$4\r\nPING\r\n',
  '*4\r\n$3\r\nDEL\r\n$1\r\na\r\n$0\r\n\r\n$2\r\n\r\n\r\n',
  '*0\r\n*-1\r\nPING\r\nSET a "b c"\r\n\r\n',
  '*5\r\n$4\r\nMSET\r\n$2\r\n*1\r\n$2\r\n$1\r\n$1\r\nb\r\n$3\r\n\r\n*\r\n',
  '*3\r\n$4\r\nEVAL\r\n$8\r\nreturn 1\r\n$1\r\n0\r\n*10\r\n$1\r\nx\r\n',
]

const REPLIES = [
  '+OK\r\n-ERR wrong\r\n:12\r\n:-1\r\n$-1\r\n*-1\r\n',
  '$5\r\nhello\r\n$0\r\n\r\n$4\r\n\r\n\r\n\r\n',
  '*3\r\n$1\r\na\r\n*2\r\n:1\r\n+x\r\n*0\r\n+next\r\n',
  '*1\r\n*1\r\n*1\r\n*2\r\n$-1\r\n-ERR\r\n$1\r\nb\r\n',
]

const RESP3_REPLIES = [
  ...REPLIES,
  '%2\r\n+a\r\n:1\r\n+b\r\n~1\r\n_\r\n#t\r\n,1.5\r\n(99\r\n',
  '|1\r\n+ttl\r\n:1\r\n=7\r\ntxt:abc\r\n!3\r\nERR\r\n>2\r\n+m\r\n*1\r\n|0\r\n:1\r\n',
]

const INTERESTING = [...'\r\n$*+-:%~>|_#,(=! 0129a\0\xff'].map(char => char.charCodeAt(0))

function mutate(random: Random, corpus: readonly string[]): Buffer {
  let bytes = latin1(random.pick(corpus))
  for (let i = random.between(1, 4); i > 0; i--) {
    const at = random.below(bytes.length)
    const kind = random.below(5)
    if (kind === 0) bytes[at] = random.pick(INTERESTING)
    else if (kind === 1) bytes[at] = random.below(256)
    else if (kind === 2) {
      bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from([random.pick(INTERESTING)]), bytes.subarray(at)])
    } else if (kind === 3) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + random.between(1, 5))])
    else bytes = Buffer.concat([bytes.subarray(0, at), latin1(random.pick(corpus)), bytes.subarray(at)])
    if (bytes.length === 0) return latin1(random.pick(corpus))
  }
  return bytes
}

function sameInPieces(read: (stream: Buffer, cuts?: readonly number[]) => string[], corpus: readonly string[]): void {
  const seed = runSeed()
  let malformed = 0
  for (let i = 0; i < MUTATIONS; i++) {
    const random = new Random(seed).fork(i)
    const bytes = mutate(random, corpus)
    const whole = read(bytes)
    const pieces = read(bytes, random.cuts(bytes.length, random.between(2, 12)))
    if (pieces.join('\n') !== whole.join('\n')) {
      expect(pieces, `seed ${seed}, input ${i}: ${JSON.stringify(bytes.toString('latin1'))}`).toEqual(whole)
    }
    const last = whole.at(-1)
    if (last === 'malformed' || last?.startsWith('refused')) malformed++
  }
  // The mutations are neither harmless nor so harsh that nothing gets through.
  expect(malformed).toBeGreaterThan(MUTATIONS / 20)
  expect(malformed).toBeLessThan((MUTATIONS * 19) / 20)
}

test('mutated requests', { timeout: 120_000 }, () => {
  sameInPieces(readRequests, REQUESTS)
})

test('mutated replies', { timeout: 120_000 }, () => {
  sameInPieces((stream, cuts) => readReplies(stream, cuts), REPLIES)
})

test('mutated replies of RESP3', { timeout: 120_000 }, () => {
  sameInPieces((stream, cuts) => readReplies(stream, cuts, true), RESP3_REPLIES)
})
