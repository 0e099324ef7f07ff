/**
 * Copies of a request or reply into an output slab, by length: where words end and `Buffer.copy`
 * begins. Run by `run.ts`.
 */

import { copyBytes, newWordBuffer } from '../../../src/bytes/word-buffer.ts'
import { BATCH, type Suite, sink } from '../suite.ts'

const LENGTHS = [5, 8, 16, 32, 38, 64, 256, 512, 4096, 16_384]

function copyTask(bytes: number): () => void {
  const from = newWordBuffer(65_536).fill(7)
  const to = newWordBuffer(32_768)
  return () => {
    let end = 0
    for (let i = 0; i < BATCH; i++) end += copyBytes(from, i, i + bytes, to, i & 1023)
    sink.value += end
  }
}

export const suite: Suite = {
  name: 'bytes/word-buffer',
  tasks: LENGTHS.map(bytes => ({ name: `copy ${bytes} bytes`, batch: BATCH, fn: copyTask(bytes) })),
}
