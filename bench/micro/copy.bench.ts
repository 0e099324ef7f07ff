/** Copies of a request or reply into an output slab, by length: where the byte loop ends and `Buffer.copy` begins. Run by `run.ts`. */

import { copyBytes } from '../../src/worker/slab.ts'
import { BATCH, type Suite, sink } from './suite.ts'

const LENGTHS = [5, 16, 32, 33, 64, 256, 4096, 16_384]

function copyTask(bytes: number): () => void {
  const from = Buffer.alloc(65_536, 7)
  const to = Buffer.alloc(32_768)
  return () => {
    let end = 0
    for (let i = 0; i < BATCH; i++) end += copyBytes(from, i, i + bytes, to, i & 1023)
    sink.value += end
  }
}

export const suite: Suite = {
  name: 'worker/slab',
  tasks: LENGTHS.map(bytes => ({ name: `copy ${bytes} bytes`, batch: BATCH, fn: copyTask(bytes) })),
}
