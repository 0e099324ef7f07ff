/**
 * How many requests a client may have in flight: as many as have room for their replies, as far as
 * the size of its replies is known. Data plane. Decision: `docs/decisions/0005-reply-window.md`.
 *
 *     window = limits.inFlightBytes / mean size of a reply          between 4 and `client_max_pending`; 0 while memory is short
 */

import { STREAM_BYTES } from '../request/stream-limits.ts'
import type { Pool } from '../server/pool.ts'
import { type ClientLimits, STREAM_ROOM_BYTES } from './client-limits.ts'

/** Requests that a new client may have in flight before the size of its replies is known. */
const FIRST_WINDOW = 64
/** A client has at least this many requests in flight, however large its replies are. */
const LEAST_WINDOW = 4
/** Estimate of what a reply takes beside its bytes. */
const REPLY_OVERHEAD_BYTES = 64
/** A client that does not read its replies has this many times less in flight. */
const BEHIND_DIVISOR = 8

export class ReplyWindow {
  /** Requests that the client may have in flight. */
  requests = LEAST_WINDOW
  /** Running mean of the reply sizes, bytes. */
  meanReplyBytes = 0
  /**
   * The largest reply since the client last had read everything, bytes. One reply of any size may
   * be buffered beside the limits.
   */
  largestReplyBytes = 0
  /**
   * The client does not read its replies: the window is smaller, so that other clients of its
   * servers do not wait behind it.
   */
  private behind = false
  private limits: ClientLimits
  private readonly pool: Pool

  constructor(pool: Pool, limits: ClientLimits) {
    this.pool = pool
    this.limits = limits
    this.meanReplyBytes = Math.trunc(limits.inFlightBytes / FIRST_WINDOW)
    this.update()
  }

  /** Learns the size of a reply. */
  noteReply(bytes: number): void {
    if (bytes > this.largestReplyBytes) this.largestReplyBytes = bytes
    const before = this.meanReplyBytes
    // Grows at once, shrinks slowly: one large value among small ones keeps the window careful.
    const after = bytes > before ? (before + bytes) >>> 1 : before - ((before - bytes) >>> 3)
    this.meanReplyBytes = after
    if (after !== before) this.update()
  }

  /**
   * Learns the size of a reply that passes through: it is never buffered whole, so it needs no more
   * room than others.
   */
  noteStream(bytes: number): void {
    const largest = this.largestReplyBytes
    this.noteReply(bytes)
    this.largestReplyBytes = largest
  }

  /** A reply has passed through. What the client has yet to read of it keeps its room. */
  endStream(): void {
    this.largestReplyBytes = Math.max(this.largestReplyBytes, STREAM_ROOM_BYTES + STREAM_BYTES)
  }

  /** The client has read everything. */
  drained(): void {
    this.largestReplyBytes = 0
    this.setBehind(false)
  }

  setBehind(behind: boolean): void {
    if (behind === this.behind) return
    this.behind = behind
    this.update()
  }

  /** The pool has a new configuration. */
  configure(limits: ClientLimits): void {
    this.limits = limits
    this.update()
  }

  /** To be called also when memory becomes short, and when it no longer is. */
  update(): void {
    const { config, context } = this.pool
    if (context.memory.pressed) {
      this.requests = 0
      return
    }
    const { clientMaxPending } = config
    const inFlightBytes = this.behind ? this.limits.inFlightBytes / BEHIND_DIVISOR : this.limits.inFlightBytes
    const fit = Math.trunc(inFlightBytes / (this.meanReplyBytes + REPLY_OVERHEAD_BYTES))
    this.requests = fit < LEAST_WINDOW ? LEAST_WINDOW : fit > clientMaxPending ? clientMaxPending : fit
  }
}
