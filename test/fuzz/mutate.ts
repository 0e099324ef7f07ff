/** A seeded mutator: takes streams of a corpus, joins and damages them as broken or hostile peers would. */

import { readFileSync } from 'node:fs'
import type { Random } from '../support/random.ts'

const MOST_STREAMS = 4
const MOST_MUTATIONS = 6

/** Bytes and tokens on which parsers turn. */
const TOKENS = [
  ...'\r\n*$:+-_,#%~>(= 0189\0\x7f\x80\xff',
  ...[
    '\r\n',
    '\r\n\r\n',
    '$-1\r\n',
    '*-1\r\n',
    '*0\r\n',
    '$0\r\n\r\n',
    '*1000000\r\n',
    '$536870913\r\n',
    '2147483648',
    '4294967297',
  ],
  ...['9999999999999999999999', 'noreply', ' noreply\r\n', 'END\r\n', 'VALUE ', 'get ', 'SET', '\n', ' '],
].map(token => Buffer.from(token, 'latin1'))

export function loadCorpus(file: string): Buffer[] {
  const { streams } = JSON.parse(readFileSync(new URL(`corpus/${file}`, import.meta.url), 'utf8')) as {
    streams: string[]
  }
  return streams.map(stream => Buffer.from(stream, 'latin1'))
}

/** One to `most` streams of the corpus, changed in up to six places; sometimes in none. */
export function mutate(
  random: Random,
  corpus: readonly Buffer[],
  most = MOST_STREAMS,
  tokens: readonly Buffer[] = TOKENS,
): Buffer {
  const parts = Array.from({ length: random.between(1, most) }, () => random.pick(corpus))
  let bytes: Buffer = Buffer.concat(parts)
  for (let left = random.between(0, MOST_MUTATIONS); left > 0; left--) {
    bytes = mutateOnce(random, bytes, corpus, tokens)
  }
  return bytes
}

function mutateOnce(random: Random, bytes: Buffer, corpus: readonly Buffer[], tokens: readonly Buffer[]): Buffer {
  const at = random.below(bytes.length + 1)
  const end = Math.min(bytes.length, at + random.between(1, 12))
  switch (random.below(8)) {
    case 0:
      return replace(bytes, at, Math.min(at + 1, bytes.length), Buffer.from([random.below(256)]))
    case 1:
      return replace(bytes, at, at, random.pick(tokens))
    case 2:
      return replace(bytes, at, end, random.pick(tokens))
    case 3:
      return replace(bytes, at, end, Buffer.alloc(0))
    case 4:
      return replace(bytes, at, at, bytes.subarray(at, end))
    case 5:
      return bytes.subarray(0, at)
    case 6:
      return replace(bytes, at, at, random.pick(corpus))
    default:
      return changeDigit(random, bytes, at)
  }
}

function replace(bytes: Buffer, from: number, to: number, by: Uint8Array): Buffer {
  return Buffer.concat([bytes.subarray(0, from), by, bytes.subarray(to)])
}

/** Makes the next length or count after `at` wrong. */
function changeDigit(random: Random, bytes: Buffer, at: number): Buffer {
  for (let digit = at; digit < bytes.length; digit++) {
    if (bytes[digit]! < 48 || bytes[digit]! > 57) continue
    return replace(bytes, digit, digit + 1, Buffer.from([48 + random.below(10)]))
  }
  return bytes
}
