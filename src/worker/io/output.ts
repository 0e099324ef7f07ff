/**
 * What a connection has to write: gathers in a slab, which the worker writes once a turn, and queues behind a write that
 * the kernel did not take whole. Data plane.
 *
 *     append, reserve ─▶ slab ─▶ full, or an owned buffer comes ─▶ queue
 *     appendOwned ───────────────────────────────────────────────▶ queue
 *
 * `Socket` extends this class, because the request path appends to it for each request and each reply.
 */

import { assert } from '../../bytes/assert.ts'
import { copyBytes, type WordBuffer } from '../../bytes/word-buffer.ts'
import { BLOCK_BYTES, SLAB_BYTES, type Slab, type SlabPool } from '../memory/slab.ts'
import type { Turn } from './turn.ts'

/** Buffers above this size, bytes, are written from where they lie, without a copy into the slab. */
export const OWNED_CHUNK_BYTES = 16_384

/** Output that begins with this many bytes or more gathers in a large slab. */
const LARGE_BYTES = 8_192

export const NO_SLABS: Slab[] = []

export abstract class Output {
  readonly turn: Turn
  protected readonly slabs: SlabPool
  private readonly gathersLarge: boolean
  /** Output of this turn: bytes [0, outLength) of the slab. null = there is none. */
  slab: Slab | null = null
  outLength = 0
  /** Output behind a write that the kernel did not take whole, oldest first. */
  queue: Uint8Array[] = []
  /** The slabs that lie in `queue`. */
  protected queuedSlabs: Slab[] = NO_SLABS
  /** Bytes in `queue` that came by `appendOwned`. */
  protected ownedBytes = 0
  /** Bytes that the kernel has not taken: the write in flight and `queue`, without the slab. */
  queuedBytes = 0
  /** The turn writes the output at its end. Set here, cleared by the turn. */
  dirty = false
  /** Nothing is written any more, and what is appended is dropped. */
  closed = false

  /** @param gathersLarge output that begins with something large gathers in a large slab: for servers, whose requests come from many clients. */
  constructor(turn: Turn, gathersLarge: boolean) {
    this.turn = turn
    this.slabs = turn.memory.slabs
    this.gathersLarge = gathersLarge
  }

  /** Hands all output to the kernel as far as that is possible now. */
  abstract flush(): void

  /** @returns true when `flush` may write at once: the connection is up and no write is in flight. */
  protected abstract canFlush(): boolean

  /** Copies bytes [start, end) of buf to the output. */
  append(buf: Uint8Array, start: number, end: number): void {
    const length = end - start
    if (this.slab === null || this.outLength + length > SLAB_BYTES) {
      this.appendSlow(buf, start, end)
      return
    }
    this.outLength = copyBytes(buf, start, end, this.slab, this.outLength)
    if (!this.dirty) this.markDirty()
  }

  private appendSlow(buf: Uint8Array, start: number, end: number): void {
    if (this.closed) return
    if (this.slab === null && this.gathersLarge && end - start >= LARGE_BYTES) this.slab = this.slabs.acquireLarge()
    let at = start
    while (at < end) {
      if (this.slab === null) this.slab = this.slabs.acquire()
      const { length } = this.slab
      const room = length - this.outLength
      const take = end - at < room ? end - at : room
      this.outLength = copyBytes(buf, at, at + take, this.slab, this.outLength)
      at += take
      if (this.outLength === length) this.spill()
    }
    if (!this.dirty) this.markDirty()
  }

  /** Queues bytes [start, end) of buf without a copy. The buffer belongs to the socket from now on: no other code may change it. */
  appendOwned(buf: Uint8Array, start: number, end: number): void {
    if (this.closed) return
    // Output behind other output is copied to slabs unless it is large: the C library never gives buffers of medium size back
    // to the system.
    const leastBytes = this.queuedBytes > 0 ? BLOCK_BYTES : OWNED_CHUNK_BYTES
    if (end - start < leastBytes) {
      this.append(buf, start, end)
      return
    }
    this.spill()
    this.queue.push(buf.subarray(start, end))
    this.queuedBytes += end - start
    this.ownedBytes += end - start
    this.turn.memory.lent.count(end - start)
    if (!this.dirty) this.markDirty()
  }

  /** @returns the slab, with room for `bytes` (at most a slab) at `outLength`. The caller writes there and advances `outLength`. */
  reserve(bytes: number): WordBuffer {
    assert(bytes <= SLAB_BYTES, 'a reservation fits a slab')
    if (this.slab !== null && this.outLength + bytes > SLAB_BYTES) this.spill()
    if (this.slab === null) this.slab = this.slabs.acquire()
    if (!this.dirty) this.markDirty()
    return this.slab
  }

  /** Moves the slab's content to the queue, or writes it when nothing is ahead of it. */
  private spill(): void {
    if (this.outLength === 0) return
    if (this.queue.length === 0 && this.canFlush()) {
      this.flush()
      if (this.outLength === 0) return
    }
    this.queueSlab()
  }

  protected queueSlab(): void {
    const slab = this.slab!
    this.queue.push(slab.subarray(0, this.outLength))
    if (this.queuedSlabs === NO_SLABS) this.queuedSlabs = [slab]
    else this.queuedSlabs.push(slab)
    this.queuedBytes += this.outLength
    this.slab = null
    this.outLength = 0
  }

  markDirty(): void {
    if (this.dirty || this.closed) return
    this.dirty = true
    this.turn.addDirty(this)
  }

  /** Output not yet taken by the kernel, bytes. */
  get pendingBytes(): number {
    return this.queuedBytes + this.outLength
  }

  /** Drops all output. */
  protected dropOutput(): void {
    if (this.slab !== null) {
      this.slabs.release(this.slab)
      this.slab = null
    }
    this.outLength = 0
    this.queue = []
    this.slabs.releaseAll(this.queuedSlabs)
    this.queuedSlabs = NO_SLABS
    this.queuedBytes = 0
    this.turn.memory.lent.count(-this.ownedBytes)
    this.ownedBytes = 0
  }
}
