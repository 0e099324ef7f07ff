/**
 * Counts what one server connection has queued, sent and received. Data plane.
 *
 * Counted here with each request, and published in the worker's row of shared memory once a turn, before its output is written: a row's
 * fields are floating-point numbers behind a bounds check, and eight of them changed with each request (20 ns of 510 with pipeline 100,
 * `bench/micro/worker/request-path.bench.ts`).
 */

import { ServerStat } from '../../shared/stat-fields.ts'
import type { WorkerScope } from '../request/worker-scope.ts'

/** The server (`Server`) in whose fields the counts are published. */
export interface TallySubject {
  /** The worker's row of statistics, and the place of the server's first field in it. A reload changes both. */
  readonly row: Float64Array
  readonly statBase: number
  readonly pool: { readonly context: WorkerScope }
}

export class Tally {
  private readonly server: TallySubject
  /** True until the connection is up: queued requests show in `in_queue`, afterwards in `out_queue`. */
  private unsent = true
  /** Requests in the queue and their bytes, as published last. */
  private requestsBefore = 0
  private bytesBefore = 0
  /** Since the last publication: requests queued, those of the proxy's own among them, requests that left the queue, and
   * replies to clients. */
  private queued = 0
  private queuedBytes = 0
  private own = 0
  private ownBytes = 0
  private gone = 0
  private goneBytes = 0
  private replies = 0
  private replyBytes = 0
  /** The worker publishes the counts at the end of this turn. */
  private noted = false

  constructor(server: TallySubject) {
    this.server = server
  }

  /** Requests in the queue, expired ones not counted. */
  get requests(): number {
    return this.requestsBefore + this.queued - this.gone
  }

  private get requestBytes(): number {
    return this.bytesBefore + this.queuedBytes - this.goneBytes
  }

  addRequest(bytes: number): void {
    this.queued++
    this.queuedBytes += bytes
    if (!this.noted) this.note()
  }

  /** One of the proxy's own, which no client asked for. */
  addOwnRequest(bytes: number): void {
    this.own++
    this.ownBytes += bytes
    this.addRequest(bytes)
  }

  /** The request that was queued last is larger by this many bytes than was counted. */
  growRequest(bytes: number): void {
    this.queuedBytes += bytes
    if (!this.noted) this.note()
  }

  removeRequest(bytes: number): void {
    this.gone++
    this.goneBytes += bytes
    if (!this.noted) this.note()
  }

  addReply(bytes: number): void {
    this.replies++
    this.replyBytes += bytes
    if (!this.noted) this.note()
  }

  private note(): void {
    this.noted = true
    this.server.pool.context.publishLater(this)
  }

  publish(): void {
    this.noted = false
    const { row, statBase } = this.server
    row[statBase + ServerStat.requests] += this.queued - this.own
    row[statBase + ServerStat.requestBytes] += this.queuedBytes - this.ownBytes
    row[statBase + ServerStat.responses] += this.replies
    row[statBase + ServerStat.responseBytes] += this.replyBytes
    const gauge = statBase + (this.unsent ? ServerStat.inQueue : ServerStat.outQueue)
    row[gauge] += this.queued - this.gone
    row[gauge + 1] += this.queuedBytes - this.goneBytes
    this.requestsBefore = this.requests
    this.bytesBefore = this.requestBytes
    this.queued = 0
    this.queuedBytes = 0
    this.own = 0
    this.ownBytes = 0
    this.gone = 0
    this.goneBytes = 0
    this.replies = 0
    this.replyBytes = 0
  }

  /** The connection is up, or its output has drained: the gauges move from `in_queue` to `out_queue`. */
  release(): void {
    if (!this.unsent) return
    this.count(-1)
    this.unsent = false
    this.count(1)
  }

  /** Adds the queue to the server's gauges, or with -1 takes it from them. */
  count(sign: number): void {
    this.publish()
    const { row, statBase } = this.server
    const gauge = statBase + (this.unsent ? ServerStat.inQueue : ServerStat.outQueue)
    row[gauge] += sign * this.requestsBefore
    row[gauge + 1] += sign * this.bytesBefore
  }

  /** The connection is closed: the gauges no longer count its queue. */
  close(): void {
    this.count(-1)
    this.requestsBefore = 0
    this.bytesBefore = 0
  }
}
