/**
 * Keeps the memory of this worker's data within the worker's share of `--memory-limit`. Data plane;
 * `context.ts` makes it. It checks at the end of each turn and before the requests of each read
 * (two comparisons), and the coarse timer calls it.
 *
 *     bytes lent ──▶ 3/4 of the limit: no client is read ──▶ 1/2: all are read again
 *                └─▶ the limit, or unread clients for a second: the largest consumers are closed, until 3/4
 *
 * Clients and server connections have bounds of their own. The guard is for the case that each
 * keeps its bound and there are too many of them. It closes clients (by their input, output and
 * requests) and server connections (by their queues), largest first.
 *
 * After a burst the guard returns memory to the system. It empties the pools of free records and
 * calls the garbage collector (10 ms). When the thread is idle it calls it once more, so that V8
 * releases its own pages (50 ms). Measured with 50 clients and 1.4 GB at the peak: the process
 * stayed at 250 MB without the calls, and at 90 MB with them.
 */

import { WorkerBlock } from '../shared/memory-layout.ts'
import { ProcessStat } from '../shared/stat-fields.ts'
import type { Client } from './client/client.ts'
import type { Context } from './context.ts'
import { collectGarbage } from './memory/collector.ts'
import type { ServerConnection } from './server/server-connection.ts'

const HIGH_SHARE = 3 / 4
const LOW_SHARE = 1 / 2
/**
 * Most requests in flight in one worker: half of its JavaScript heap (1 GiB,
 * `main/workers/supervisor.ts`) at `MESSAGE_BYTES` each.
 */
const MAX_MESSAGES = 2_097_152
/** Clients stay unread for this long before the guard closes one, ms. */
const PATIENCE_MS = 1_000
/** A consumer with fewer bytes is not closed: that would not help. */
const WORTHWHILE_BYTES = 65_536
/** A burst is over when two checks in a row found at least this much less than its peak, bytes. */
const BURST_BYTES = 16_777_216
const LOOK_MS = 1_000
/**
 * With fewer turns than this between two checks the thread counts as idle; the coarse timer alone
 * makes 50.
 */
const IDLE_TURNS = 150

export class MemoryGuard {
  /** Memory is short: no client is read. */
  pressed = false
  private readonly context: Context
  readonly limitBytes: number
  private readonly high: number
  private readonly low: number
  private patienceEndsMs = 0
  /** Most bytes lent since the last check, and since memory was last returned. */
  private recentPeak = 0
  private peak = 0
  private lookedMs = 0
  private quietLooks = 0
  /** V8 has not released its free pages yet. */
  private owesPages = false
  private turns = 0

  /** @param limit bytes; 0 = no limit. */
  constructor(context: Context, limit: number) {
    this.context = context
    this.limitBytes = limit === 0 ? Infinity : limit
    this.high = this.limitBytes * HIGH_SHARE
    this.low = this.limitBytes * LOW_SHARE
  }

  /**
   * Called at the end of a turn, and when bytes of a client have come: one turn may read any number
   * of clients.
   */
  check(): void {
    const bytes = this.lentBytes
    if (bytes > this.recentPeak) this.recentPeak = bytes
    if (this.pressed) {
      if (bytes <= this.low && this.context.messages.outstanding <= MAX_MESSAGES * LOW_SHARE) this.ease()
    } else if (bytes > this.high || this.context.messages.outstanding > MAX_MESSAGES) {
      this.press()
    }
  }

  /** Called by the coarse timer. @returns true when it must be called again. */
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
    const largest = this.consumers().sort((left, right) => right.memoryBytes - left.memoryBytes)
    for (const [i, consumer] of largest.entries()) {
      // Closing one connection may have closed another.
      if (consumer.memoryBytes < WORTHWHILE_BYTES) continue
      // After `PATIENCE_MS` one connection is closed; above the limit, as many as are needed.
      if (i > 0 && this.lentBytes <= this.high) return
      consumer.closeForMemory()
      if (!over) return
    }
  }

  private consumers(): (Client | ServerConnection)[] {
    const consumers: (Client | ServerConnection)[] = []
    for (const { members, pool } of this.context.allPools()) {
      consumers.push(...members)
      for (const server of pool.allServers()) consumers.push(...server.allConnections())
    }
    return consumers
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

  /** Memory of all data, including the records of requests, bytes. */
  private get lentBytes(): number {
    const { messages, turn } = this.context
    return turn.memory.lent.totalBytes + messages.outstandingBytes
  }

  private describe(): string {
    const mebibytes = Math.round(this.lentBytes / 1_048_576)
    return `${this.context.messages.outstanding} requests and ${mebibytes} MB of data are buffered in this worker`
  }
}
