/**
 * Where a reply waits that came before its turn: shared chunks, filled from the front and reused when the last reply in them has gone.
 * Data plane; one arena a thread.
 */

import { copyBytes, newWordBuffer, type WordBuffer } from '../../bytes/word-buffer.ts'
import { countBytes } from './lent-memory.ts'
import { BLOCK_BYTES } from './slab.ts'

const CHUNK_BYTES = BLOCK_BYTES
/** Replies above this get a buffer of their own, which later goes out without a copy. */
const OWN_BUFFER_BYTES = 16_384
const KEPT_CHUNKS = 32
/** As many as are kept when the thread has grown quiet after a burst. */
const QUIET_CHUNKS = 2

export class HoldChunk {
  buf: WordBuffer
  used = 0
  /** Replies in it that still wait. */
  refs = 0
  /** A chunk of one large reply; never reused. */
  single: boolean

  constructor(bytes: number, single: boolean) {
    this.buf = newWordBuffer(bytes)
    this.single = single
  }
}

let current = new HoldChunk(CHUNK_BYTES, false)
countBytes(CHUNK_BYTES)
const kept: HoldChunk[] = []

/** Copies [start, end) of buf. @returns the chunk, with one more reference; the copy ends at its `used`. */
export function holdBytes(buf: Uint8Array, start: number, end: number): HoldChunk {
  const length = end - start
  if (length > OWN_BUFFER_BYTES) {
    const own = new HoldChunk(length, true)
    own.used = copyBytes(buf, start, end, own.buf, 0)
    own.refs = 1
    countBytes(length)
    return own
  }
  if (current.used + length > CHUNK_BYTES) {
    // The full chunk lives on in the messages that refer to it.
    current = kept.pop() ?? new HoldChunk(CHUNK_BYTES, false)
    countBytes(CHUNK_BYTES)
  }
  const chunk = current
  chunk.used = copyBytes(buf, start, end, chunk.buf, chunk.used)
  chunk.refs++
  return chunk
}

/** Takes a whole buffer as a held reply, without a copy. */
export function holdOwned(buf: WordBuffer, end: number): HoldChunk {
  const own = new HoldChunk(0, true)
  own.buf = buf
  own.used = end
  own.refs = 1
  countBytes(buf.length)
  return own
}

export function releaseHold(chunk: HoldChunk): void {
  chunk.refs--
  if (chunk.refs > 0) return
  if (chunk.single) {
    countBytes(-chunk.buf.length)
    return
  }
  chunk.used = 0
  if (chunk === current) return
  countBytes(-CHUNK_BYTES)
  if (kept.length < KEPT_CHUNKS) kept.push(chunk)
}

/** Leaves most of the kept chunks to the garbage collector. */
export function trimHolds(): void {
  if (kept.length > QUIET_CHUNKS) kept.length = QUIET_CHUNKS
}
