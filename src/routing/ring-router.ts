/**
 * Key → server index, from the tables in shared memory. One for each pool and worker, on the
 * worker's thread (data plane); the primary makes one to explain keys. How a table is published
 * without locks, and why each router keeps a private copy: `shared/memory-layout.ts`. The copy of a
 * pool with 4 servers is 12 KB and takes 0.5 µs; with 500 servers 0.7 MB and 25 µs.
 */

import { HASH_FUNCTIONS } from '../hashkit/by-name.ts'
import type { HashFunction } from '../hashkit/hash-function.ts'
import type { PoolConfig } from '../shared/config.ts'
import {
  PoolHead,
  type SharedLayout,
  type TableHalf,
  TableHead,
  tableHalf,
  tableHalfBytes,
} from '../shared/memory-layout.ts'
import { tagEnd, tagStart } from './hash-tag.ts'
import { RandomDraw } from './random.ts'

export class RingRouter {
  /** The private copy; `shift`, `modulus` (as int32) and `pointCount` are taken from its head. */
  readonly table: TableHalf
  readonly points: Uint32Array
  readonly serverOfPoint: Uint16Array
  readonly buckets: Uint32Array
  pointCount = 0
  shift = 0
  modulus = 0
  /** Epoch of the copy; -1 before the first. */
  epoch = -1

  readonly hash: HashFunction
  /** Bytes of `hash_tag`, or -1. */
  readonly tagOpen: number
  readonly tagClose: number
  /** Whether the pool has one server: its keys are neither hashed nor drawn, as in nutcracker. */
  readonly oneServer: boolean
  readonly draws: boolean
  readonly draw: RandomDraw

  readonly poolHead: Int32Array
  readonly half0: TableHalf
  readonly half1: TableHalf

  /**
   * Copies the table of the current epoch, so the router is ready when this returns.
   * @param poolIndex position of `pool` in the configuration.
   */
  constructor(pool: PoolConfig, layout: SharedLayout, shared: SharedArrayBuffer, poolIndex: number) {
    const shape = layout.pools[poolIndex]
    this.table = tableHalf(shape, new ArrayBuffer(tableHalfBytes(shape)), 0)
    this.points = this.table.points
    this.serverOfPoint = this.table.serverOfPoint
    this.buckets = this.table.buckets
    this.hash = HASH_FUNCTIONS[pool.hash]
    this.tagOpen = pool.hashTag === null ? -1 : pool.hashTag[0]
    this.tagClose = pool.hashTag === null ? -1 : pool.hashTag[1]
    this.oneServer = pool.servers.length === 1
    this.draws = pool.distribution === 'random'
    this.draw = new RandomDraw(1 + Math.floor(Math.random() * 0x7fff_fffe))
    this.poolHead = layout.poolHead(shared, poolIndex)
    this.half0 = layout.table(shared, poolIndex, 0)
    this.half1 = layout.table(shared, poolIndex, 1)
    this.refresh()
  }

  /**
   * Copies the table again if its epoch has changed. Called once a turn; costs one Atomics.load
   * when nothing changed.
   */
  refresh(): void {
    if (Atomics.load(this.poolHead, PoolHead.epoch) !== this.epoch) this.copyTable()
  }

  /**
   * Server index of the key [start, end) of bytes, hash tag applied, or -1 when no server is live.
   * Called once a key.
   */
  route(bytes: Uint8Array, start: number, end: number): number {
    if (this.pointCount === 0) return -1
    if (this.oneServer) return 0
    const hash = (this.draws ? this.draw.next() : this.hashOf(bytes, start, end)) >>> 0
    const modulus = this.modulus >>> 0
    // The outer `>>> 0` lets V8 divide integers instead of doubles: 19 ns for a modula key, 33
    // without.
    const value = modulus === 0 ? hash : (hash % modulus) >>> 0
    const points = this.points
    let at = this.buckets[value >>> this.shift]
    while (points[at] < value) at++
    return this.serverOfPoint[at]
  }

  /** Hash of the key or of its tag; 0 for an empty key. @returns int32, as `HashFunction`. */
  hashOf(bytes: Uint8Array, start: number, end: number): number {
    if (this.tagOpen >= 0) {
      const first = tagStart(bytes, start, end, this.tagOpen)
      const last = first >= 0 ? tagEnd(bytes, first, end, this.tagClose) : -1
      if (last >= 0) return this.hash(bytes, first, last)
    }
    return start < end ? this.hash(bytes, start, end) : 0
  }

  /**
   * Copies the current half. The loop runs again only if the primary began to write that half
   * during the copy, which takes two publications within microseconds.
   */
  copyTable(): void {
    let epoch = 0
    do {
      epoch = Atomics.load(this.poolHead, PoolHead.epoch)
      this.table.bytes.set((epoch & 1) === 0 ? this.half0.bytes : this.half1.bytes)
    } while (((Atomics.add(this.poolHead, PoolHead.building, 0) - epoch) | 0) > 1)
    const head = this.table.head
    this.pointCount = head[TableHead.pointCount]
    this.shift = head[TableHead.shift]
    this.modulus = head[TableHead.modulus]
    this.epoch = epoch
  }
}
