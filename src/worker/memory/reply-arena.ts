/**
 * Keeps replies that came before their turn, in shared chunks. A chunk is filled from the front, and reused when every
 * reply in it is released. Data plane; one arena a worker.
 */

import { assert } from '../../bytes/assert.ts'
import { copyBytes, newWordBuffer, type WordBuffer } from '../../bytes/word-buffer.ts'
import type { LentMemory } from './lent-memory.ts'
import { BLOCK_BYTES } from './slab.ts'

const CHUNK_BYTES = BLOCK_BYTES
/** Replies above this get a buffer of their own, which later goes out without a copy. */
const OWN_BUFFER_BYTES = 16_384
const KEPT_CHUNKS = 32
/** Chunks kept when the worker has become quiet after a burst. */
const QUIET_CHUNKS = 2

export class ArenaChunk {
  buf: WordBuffer
  used = 0
  /** Replies in it that are still kept. */
  references = 0
  /** A chunk of one large reply; never reused. */
  readonly single: boolean

  constructor(buf: WordBuffer, single: boolean) {
    this.buf = buf
    this.single = single
  }
}

export class ReplyArena {
  private readonly lentMemory: LentMemory
  private current: ArenaChunk
  private readonly kept: ArenaChunk[] = []
  /** Replies that are kept. */
  outstanding = 0

  constructor(lentMemory: LentMemory) {
    this.lentMemory = lentMemory
    this.current = newChunk()
    lentMemory.count(CHUNK_BYTES)
  }

  /** Copies [start, end) of buf. @returns the chunk, with one more reference; the copy ends at its `used`. */
  keep(buf: Uint8Array, start: number, end: number): ArenaChunk {
    const length = end - start
    if (length > OWN_BUFFER_BYTES) {
      const own = newWordBuffer(length)
      copyBytes(buf, start, end, own, 0)
      return this.keepOwned(own, length)
    }
    if (this.current.used + length > CHUNK_BYTES) {
      // The full chunk lives on in the messages that refer to it.
      this.current = this.kept.pop() ?? newChunk()
      this.lentMemory.count(CHUNK_BYTES)
    }
    const chunk = this.current
    chunk.used = copyBytes(buf, start, end, chunk.buf, chunk.used)
    chunk.references++
    this.outstanding++
    return chunk
  }

  /** Keeps a whole buffer without a copy. The buffer is the arena's from now on. @param end where the reply ends in it. */
  keepOwned(buf: WordBuffer, end: number): ArenaChunk {
    const own = new ArenaChunk(buf, true)
    own.used = end
    own.references = 1
    this.outstanding++
    this.lentMemory.count(buf.length)
    return own
  }

  release(chunk: ArenaChunk): void {
    assert(chunk.references > 0, 'a kept reply is released once')
    chunk.references--
    this.outstanding--
    if (chunk.references > 0) return
    if (chunk.single) {
      this.lentMemory.count(-chunk.buf.length)
      return
    }
    chunk.used = 0
    if (chunk === this.current) return
    this.lentMemory.count(-CHUNK_BYTES)
    if (this.kept.length < KEPT_CHUNKS) this.kept.push(chunk)
  }

  /** Leaves most of the kept chunks to the garbage collector. */
  trim(): void {
    if (this.kept.length > QUIET_CHUNKS) this.kept.length = QUIET_CHUNKS
  }
}

function newChunk(): ArenaChunk {
  return new ArenaChunk(newWordBuffer(CHUNK_BYTES), false)
}
