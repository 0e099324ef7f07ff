/**
 * The bytes of a message that has not arrived whole. A connection has one only while it needs it. Data plane.
 *
 * It grows by doubling, or to the size that the parser knows the message to have, so that each byte is copied a few times at most however
 * large the message; and it takes no more than that message where its size is known, so that what follows is parsed in place.
 */

import { assert } from '../../bytes/assert.ts'
import { copyBytes, newWordBuffer, type WordBuffer } from '../../bytes/word-buffer.ts'
import type { LentMemory } from './lent-memory.ts'

const FIRST_BYTES = 512
const KEPT_TAILS = 64
/** Buffers up to this size are kept for reuse. */
const KEPT_BYTES = 65_536
/** A message is believed to be as large as it says up to this size; beyond it memory is taken as its bytes arrive. */
const TRUSTED_BYTES = 1_048_576

export class TailPool {
  readonly lentMemory: LentMemory
  private readonly kept: Tail[] = []
  /** Tails that are in use. */
  outstanding = 0

  constructor(lentMemory: LentMemory) {
    this.lentMemory = lentMemory
  }

  acquire(): Tail {
    const tail = this.kept.pop() ?? new Tail(this)
    tail.used = true
    this.outstanding++
    this.lentMemory.count(tail.buf.length)
    return tail
  }

  /** For `Tail.release` alone. */
  takeBack(tail: Tail): void {
    this.outstanding--
    this.lentMemory.count(-tail.buf.length)
    if (this.kept.length < KEPT_TAILS && tail.buf.length <= KEPT_BYTES) this.kept.push(tail)
  }

  /** Leaves the kept tails to the garbage collector. */
  trim(): void {
    this.kept.length = 0
  }
}

export class Tail {
  buf: WordBuffer = newWordBuffer(FIRST_BYTES)
  length = 0
  /** Acquired, and not released yet. */
  used = false
  private readonly pool: TailPool

  constructor(pool: TailPool) {
    this.pool = pool
  }

  /** Returns the tail to its pool. */
  release(): void {
    assert(this.used, 'a tail is released once')
    this.used = false
    this.length = 0
    this.pool.takeBack(this)
  }

  /**
   * Takes bytes from [start, end) of buf.
   * @param need size of the whole message if known, counted from the tail's first byte; 0 = unknown.
   * @returns how many bytes were taken: all, or as many as `need` asks for.
   */
  fill(buf: Uint8Array, start: number, end: number, need: number): number {
    let count = end - start
    if (need > this.length && need - this.length < count) count = need - this.length
    const total = this.length + count
    if (total > this.buf.length) this.grow(total, need)
    this.length = copyBytes(buf, start, start + count, this.buf, this.length)
    return count
  }

  /** Drops the first `count` bytes. */
  skip(count: number): void {
    this.buf.copyWithin(0, count, this.length)
    this.length -= count
  }

  /** Hands the buffer to the caller and goes on with a fresh one. */
  detachBuffer(): Buffer {
    const buf = this.buf
    this.buf = newWordBuffer(FIRST_BYTES)
    this.length = 0
    this.pool.lentMemory.count(FIRST_BYTES - buf.length)
    return buf
  }

  private grow(total: number, need: number): void {
    const double = total > this.buf.length * 2 ? total : this.buf.length * 2
    // Within a list, `need` is the end of the next value only: never less than doubling, or a long list is copied once a value.
    const size = need > double ? Math.min(need, Math.max(double, TRUSTED_BYTES)) : double
    const bigger = newWordBuffer(size)
    this.pool.lentMemory.count(size - this.buf.length)
    this.buf.copy(bigger, 0, 0, this.length)
    this.buf = bigger
  }
}
