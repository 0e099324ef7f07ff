import { createHash, randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { md5Words } from '../../../src/hashkit/md5.ts'
import pointVectors from '../../vectors/ketama-point-vectors.json' with { type: 'json' }

test('gives the four words that make ketama points', () => {
  const words = new Uint32Array(4)
  for (const vector of pointVectors.vectors) {
    const text = Buffer.from(vector.text, 'latin1')
    md5Words(text, 0, text.length, words, 0)
    expect([...words], vector.text).toEqual(vector.points)
  }
})

test('gives whole digests at every length around the block boundaries, at any place in the result', () => {
  const words = new Uint32Array(9)
  for (let length = 0; length < 200; length++) {
    const bytes = randomBytes(length + 2)
    words.fill(7)
    md5Words(bytes, 1, 1 + length, words, 3)
    const digest = createHash('md5')
      .update(bytes.subarray(1, 1 + length))
      .digest()
    expect(Buffer.from(words.buffer, 12, 16).toString('hex'), bytes.toString('hex')).toBe(digest.toString('hex'))
    expect([...words.subarray(0, 3), ...words.subarray(7)]).toEqual([7, 7, 7, 7, 7])
  }
})
