/** Output slabs: fixed buffers that connections borrow for a turn. Data plane; one pool a worker. */

import { assert } from '../../bytes/assert.ts'
import { newWordBuffer, type WordBuffer, withWords } from '../../bytes/word-buffer.ts'
import type { LentMemory } from './lent-memory.ts'

export const SLAB_BYTES = 32_768

/**
 * Slabs are cut from blocks of this size, since the C library gives blocks from here on back to the system when they are freed, and keeps
 * smaller ones (`MALLOC_MMAP_THRESHOLD_` in `bin/pistachio`; measured after a burst of 50 clients: 187 MB resident, against 97 MB).
 */
export const BLOCK_BYTES = 131_072

/**
 * What a connection borrows whose output begins with something large, so that several such requests to a server share a write (SET of 16 KB: two
 * were 92 bytes too many for a slab).
 */
const LARGE_SLAB_BYTES = BLOCK_BYTES
/** More than these are not lent at a time: a connection that asks then gets a slab of the usual size. */
const MOST_LARGE_SLABS = 32
const KEPT_LARGE_SLABS = 8

/** Slabs kept for reuse; more than these go to the garbage collector, so a burst's memory is given back. */
const KEPT_SLABS = 256
/** Slabs kept when the worker has become quiet after a burst. */
const QUIET_SLABS = 16

/** A buffer of the pool; `lent` while a connection has borrowed it. */
export type Slab = WordBuffer

export class SlabPool {
  private readonly lentMemory: LentMemory
  private readonly kept: Slab[] = []
  private readonly keptLarge: Slab[] = []
  /** The block that is being cut, from `cutAt` on. */
  private block: Buffer = Buffer.allocUnsafeSlow(BLOCK_BYTES)
  private cutAt = 0
  private lentLarge = 0
  /** Slabs that are lent. */
  outstanding = 0

  constructor(lentMemory: LentMemory) {
    this.lentMemory = lentMemory
  }

  /** @returns a slab of `SLAB_BYTES`. */
  acquire(): Slab {
    const slab = this.kept.length > 0 ? this.kept.pop()! : this.cut()
    slab.lent = true
    this.outstanding++
    this.lentMemory.count(SLAB_BYTES)
    return slab
  }

  /** @returns a large slab, or one of `SLAB_BYTES` where too many are lent. */
  acquireLarge(): Slab {
    if (this.lentLarge >= MOST_LARGE_SLABS) return this.acquire()
    const slab = this.keptLarge.pop() ?? newWordBuffer(LARGE_SLAB_BYTES)
    this.lentLarge++
    slab.lent = true
    this.outstanding++
    this.lentMemory.count(LARGE_SLAB_BYTES)
    return slab
  }

  private cut(): Slab {
    if (this.cutAt === BLOCK_BYTES) {
      this.block = Buffer.allocUnsafeSlow(BLOCK_BYTES)
      this.cutAt = 0
    }
    const slab = withWords(this.block.subarray(this.cutAt, this.cutAt + SLAB_BYTES))
    this.cutAt += SLAB_BYTES
    return slab
  }

  release(slab: Slab): void {
    assert(slab.lent, 'a slab is released once')
    slab.lent = false
    this.outstanding--
    this.lentMemory.count(-slab.length)
    if (slab.length === SLAB_BYTES) {
      if (this.kept.length < KEPT_SLABS) this.kept.push(slab)
      return
    }
    this.lentLarge--
    if (this.keptLarge.length < KEPT_LARGE_SLABS) this.keptLarge.push(slab)
  }

  releaseAll(slabs: readonly Slab[]): void {
    for (let i = 0; i < slabs.length; i++) this.release(slabs[i])
  }

  /** Leaves most of the kept slabs to the garbage collector. */
  trim(): void {
    if (this.kept.length > QUIET_SLABS) this.kept.length = QUIET_SLABS
    this.keptLarge.length = 0
  }
}
