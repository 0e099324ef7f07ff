/**
 * Keeps what this worker's data takes within the worker's share of `--memory-limit`. Data plane; made by `context.ts`, asked at the end of
 * each turn and before each read's requests (two comparisons), and by the coarse timer.
 *
 *     bytes lent ──▶ 3/4 of the limit: no client is read ──▶ 1/2: all are read again
 *                └─▶ the limit, or no way back for a second: whoever has the most is closed, until 3/4
 *
 * The bounds of clients and servers come first; this is for the case that each keeps its bound and there are too many of them. Closed are
 * clients (by their input, output and requests) and server connections (by their queues), largest first.
 *
 * After a burst the memory goes back. What the pools keep is left to the garbage collector, which is called once (10 ms); and once more, to
 * give up the pages that it keeps itself (50 ms), when nobody works with this thread. Measured with 50 clients and 1.4 GB at the peak: 250 MB
 * for good without the calls, 90 MB with them.
 */

import { WorkerBlock } from '../shared/memory-layout.ts'
import { ProcessStat } from '../shared/stat-fields.ts'
import type { Client } from './client/client.ts'
import type { Context } from './context.ts'
import { collectGarbage } from './memory/collector.ts'
import type { ServerConnection } from './server/server-connection.ts'

const HIGH_SHARE = 3 / 4
const LOW_SHARE = 1 / 2
/** Requests that may wait in one worker: half of its JavaScript heap (1 GiB, `main/workers/supervisor.ts`) at `MESSAGE_BYTES` each. */
const MAX_MESSAGES = 2_097_152
/** So long clients may stay unread before somebody is closed, ms. */
const PATIENCE_MS = 1_000
/** Who has less is not closed: it would not help. */
const WORTHWHILE_BYTES = 65_536
/** A burst is over when so much less was lent at any time in two looks on end. */
const BURST_BYTES = 16_777_216
const LOOK_MS = 1_000
/** Turns between two looks in which next to nothing happens; the coarse timer alone makes 50. */
const IDLE_TURNS = 150

export class MemoryGuard {
  /** No client is read. */
  pressed = false
  private readonly context: Context
  readonly limitBytes: number
  private readonly high: number
  private readonly low: number
  private patienceEndsMs = 0
  /** The most that was lent since the last look, and since memory was last given back. */
  private recentPeak = 0
  private peak = 0
  private lookedMs = 0
  private quietLooks = 0
  /** The collector has still to give up its pages. */
  private owesPages = false
  private turns = 0

  /** @param limit bytes; 0 = none. */
  constructor(context: Context, limit: number) {
    this.context = context
    this.limitBytes = limit === 0 ? Infinity : limit
    this.high = this.limitBytes * HIGH_SHARE
    this.low = this.limitBytes * LOW_SHARE
  }

  /** The end of a turn, or a client's bytes: one turn may read any number of clients. */
  check(): void {
    const bytes = this.lentBytes
    if (bytes > this.recentPeak) this.recentPeak = bytes
    if (this.pressed) {
      if (bytes <= this.low && this.context.messages.outstanding <= MAX_MESSAGES * LOW_SHARE) this.ease()
    } else if (bytes > this.high || this.context.messages.outstanding > MAX_MESSAGES) {
      this.press()
    }
  }

  /** The coarse timer. @returns true when it must come again. */
  tick(nowMs: number): boolean {
    if (this.pressed) this.relieve(nowMs)
    if (nowMs - this.lookedMs >= LOOK_MS) this.look(nowMs)
    return this.pressed || this.owesPages || this.peak > BURST_BYTES
  }

  private press(): void {
    const { context } = this
    this.pressed = true
    this.patienceEndsMs = context.turn.nowMs + PATIENCE_MS
    context.row[ProcessStat.memoryPauses]++
    context.limitedLog.notice(
      'memory is short',
      () => `${this.describe()}: the worker stops reading from clients until there is less`,
    )
    for (const { members } of context.allPools()) for (const client of members) client.stopReading()
    context.timer.arm()
  }

  private ease(): void {
    this.pressed = false
    for (const { members } of this.context.allPools()) for (const client of members) client.resumeReading()
  }

  private relieve(nowMs: number): void {
    const over = this.lentBytes > this.limitBytes
    if (!over && nowMs < this.patienceEndsMs) return
    this.patienceEndsMs = nowMs + PATIENCE_MS
    const largest = this.holders().sort((left, right) => right.memoryBytes - left.memoryBytes)
    for (const [i, holder] of largest.entries()) {
      // Closing one may have closed another.
      if (holder.memoryBytes < WORTHWHILE_BYTES) continue
      // Out of patience, one is closed at a time; over the limit, as many as it takes.
      if (i > 0 && this.lentBytes <= this.high) return
      holder.closeForMemory()
      if (!over) return
    }
  }

  private holders(): (Client | ServerConnection)[] {
    const holders: (Client | ServerConnection)[] = []
    for (const { members, pool } of this.context.allPools()) {
      holders.push(...members)
      for (const server of pool.allServers()) holders.push(...server.allConnections())
    }
    return holders
  }

  private look(nowMs: number): void {
    this.lookedMs = nowMs
    if (this.recentPeak > this.peak) this.peak = this.recentPeak
    this.quietLooks = this.peak - this.recentPeak > BURST_BYTES ? this.quietLooks + 1 : 0
    this.recentPeak = this.lentBytes
    const turns = this.context.block[WorkerBlock.turns]
    const idle = turns - this.turns < IDLE_TURNS
    this.turns = turns
    if (this.quietLooks >= 2) this.trim()
    else if (this.owesPages && idle) this.givePages()
  }

  private trim(): void {
    this.peak = this.recentPeak
    this.quietLooks = 0
    this.context.turn.memory.trim()
    this.context.messages.trim()
    collectGarbage('regular')
    this.owesPages = true
  }

  private givePages(): void {
    this.owesPages = false
    collectGarbage('last-resort')
  }

  /** What data takes now, records of requests included. */
  private get lentBytes(): number {
    const { messages, turn } = this.context
    return turn.memory.lent.totalBytes + messages.outstandingBytes
  }

  private describe(): string {
    const mebibytes = Math.round(this.lentBytes / 1_048_576)
    return `${this.context.messages.outstanding} requests and ${mebibytes} MB of data are buffered in this worker`
  }
}
