/** Output slabs: fixed buffers that connections borrow for a turn. Data plane; one pool a thread. */

import { newWordBuffer, type WordBuffer, withWords } from '../../bytes/word-buffer.ts'
import { countBytes } from './lent-memory.ts'

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
/** More than these are not lent at a time: who asks gets a slab of the usual size. */
const MOST_LARGE_SLABS = 32
const KEPT_LARGE_SLABS = 8

/** Slabs kept for reuse; more than these go to the garbage collector, so a burst's memory is given back. */
const KEPT_SLABS = 256
/** As many as are kept when the thread has grown quiet after a burst. */
const QUIET_SLABS = 16

const kept: WordBuffer[] = []

/** The block that is being cut, from `cutAt` on. */
let block = Buffer.allocUnsafeSlow(BLOCK_BYTES)
let cutAt = 0

const keptLarge: WordBuffer[] = []
let lentLarge = 0

/** @param large a large one is wanted, if there is one. @returns a slab; its `length` is its size. */
export function takeSlab(large?: boolean): WordBuffer {
  if (large === true && lentLarge < MOST_LARGE_SLABS) {
    lentLarge++
    countBytes(LARGE_SLAB_BYTES)
    return keptLarge.pop() ?? newWordBuffer(LARGE_SLAB_BYTES)
  }
  countBytes(SLAB_BYTES)
  return kept.pop() ?? cutSlab()
}

function cutSlab(): WordBuffer {
  if (cutAt === BLOCK_BYTES) {
    block = Buffer.allocUnsafeSlow(BLOCK_BYTES)
    cutAt = 0
  }
  const slab = withWords(block.subarray(cutAt, cutAt + SLAB_BYTES))
  cutAt += SLAB_BYTES
  return slab
}

export function giveSlab(slab: WordBuffer): void {
  countBytes(-slab.length)
  if (slab.length === SLAB_BYTES) {
    if (kept.length < KEPT_SLABS) kept.push(slab)
    return
  }
  lentLarge--
  if (keptLarge.length < KEPT_LARGE_SLABS) keptLarge.push(slab)
}

/** Leaves most of the kept slabs to the garbage collector. */
export function trimSlabs(): void {
  if (kept.length > QUIET_SLABS) kept.length = QUIET_SLABS
  keptLarge.length = 0
}
