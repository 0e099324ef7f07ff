/**
 * A client's output: whether the client reads its replies, and how much may be buffered for it.
 * Data plane; the coarse timer calls `checkWrites` while the client's socket has output that the
 * kernel does not take.
 *
 * Some clients write all of a pipeline before they read its first reply. Waiting until such a
 * client reads would be waiting forever, so large replies are kept for it (`writesFirst`), where
 * `ClientLimits.keepsForWriter` allows it.
 */

import { PoolStat } from '../../shared/stat-fields.ts'
import { MessageKind } from '../request/message.ts'
import { CloseReason, type ReplyTarget } from '../request/reply-target.ts'
import { STREAM_BYTES } from '../request/stream-limits.ts'
import type { Pool } from '../server/pool.ts'
import type { ClientLimits } from './client-limits.ts'
import { Phase } from './client-phase.ts'
import type { ReplyWindow } from './reply-window.ts'

/** A client that reads nothing of its buffered replies for this long is disconnected, ms. */
const WRITE_STALL_MS = 60_000
/**
 * A blocked client that reads nothing of its replies for this long writes first and reads later,
 * ms.
 */
export const WRITES_FIRST_MS = 200

/** What the watch needs of the client. `Client` implements it. */
export interface OutputClient extends ReplyTarget {
  readonly pool: Pool
  readonly limits: ClientLimits
  readonly window: ReplyWindow
  readonly phase: number
  readonly address: string
  readonly pending: number
  readonly streaming: boolean
  readonly ending: boolean
  /** Lets the server connection go on that waits for the client to read. */
  resumeSource(): void
}

export class ClientOutput {
  /**
   * The client writes and reads nothing: large replies are kept for it, up to its limits, until it
   * has read everything. Set only where `ClientLimits.keepsForWriter`.
   */
  writesFirst = false
  private readonly client: OutputClient
  /** Bytes that the kernel had not taken at the last check. */
  private unwrittenBytes = 0
  /**
   * `Turn.nowMs` since which the kernel has taken nothing; 0 = no output was queued at the last
   * check.
   */
  private stalledSinceMs = 0

  constructor(client: OutputClient) {
    this.client = client
  }

  /**
   * Bytes of a large reply, and of what is queued before it, that may be buffered for the client.
   */
  get hardLimitBytes(): number {
    const { queueBytes, largeReplyBytes } = this.client.limits
    return this.writesFirst && queueBytes > largeReplyBytes ? queueBytes : largeReplyBytes
  }

  /** A large reply begins to pass through. */
  beginStream(): void {
    const { limits, socket } = this.client
    if (limits.keepsForWriter && socket.queuedBytes >= limits.inFlightBytes) this.writesFirst = true
  }

  /** The client has read everything. */
  drained(): void {
    this.client.window.drained()
    this.writesFirst = false
  }

  /**
   * Writes bytes that answer no request, between two replies.
   * @param behind every reply due comes first.
   */
  writePush(buf: Uint8Array, start: number, end: number, behind: boolean): void {
    const { client } = this
    if (client.ending) return
    const { limits, socket, window } = client
    if (client.streaming || (behind && client.head !== null)) {
      const message = client.messages.acquire(client, MessageKind.local)
      message.keepReply(buf, start, end)
      message.done = true
      client.push(message)
      client.heldBytes += end - start
      if (client.heldBytes > limits.pushBytes) this.disconnect(client.heldBytes)
      return
    }
    if (end - start > window.largestReplyBytes) window.largestReplyBytes = end - start
    socket.append(buf, start, end)
    if (socket.queuedBytes > 0) client.watchWrites()
  }

  /**
   * Called by the coarse timer. Disconnects a client that has more buffered than its limit and one
   * largest reply, or that reads nothing for a minute.
   * @returns false when there is no more to watch.
   */
  checkWrites(nowMs: number): boolean {
    const { client } = this
    const { limits, socket, window } = client
    if (client.closed || socket.queuedBytes === 0) {
      this.stalledSinceMs = 0
      return false
    }
    const unwritten = socket.unwrittenBytes
    if (unwritten !== this.unwrittenBytes || this.stalledSinceMs === 0) {
      this.unwrittenBytes = unwritten
      this.stalledSinceMs = nowMs
    }
    const { closeBytes, largeReplyBytes, keepsForWriter } = limits
    if (keepsForWriter) window.setBehind(unwritten >= limits.inFlightBytes)
    const limit = client.streaming ? Math.max(closeBytes, largeReplyBytes) + STREAM_BYTES : closeBytes
    const stalledMs = nowMs - this.stalledSinceMs
    if (unwritten <= limit + window.largestReplyBytes && stalledMs < WRITE_STALL_MS) {
      if (client.phase === Phase.blocked && stalledMs >= WRITES_FIRST_MS) this.keepForWriter()
      return true
    }
    this.disconnect(unwritten)
    return false
  }

  /**
   * The client waits to be read before it reads: keeps large replies for it, where the limits allow
   * that.
   */
  keepForWriter(): void {
    const { client } = this
    if (!client.limits.keepsForWriter || client.pool.context.memory.pressed) return
    this.writesFirst = true
    if (client.source !== null && client.socket.pendingBytes < this.hardLimitBytes) client.resumeSource()
  }

  /**
   * Disconnects a client that does not read.
   * @param bytes of replies that are buffered for it, or would have to be.
   */
  disconnect(bytes: number): void {
    const { client } = this
    const { config, context, limitedLog, row, statBase } = client.pool
    limitedLog.notice('client does not read', () => {
      const who = `c ${client.address} of pool '${config.name}'`
      const stalledMs = this.stalledSinceMs > 0 ? context.turn.nowMs - this.stalledSinceMs : 0
      const { queueBytes, closeBytes } = client.limits
      return (
        `${who} closed: it does not read its replies: ${bytes} bytes are buffered, it read nothing for ${stalledMs} ms ` +
        `and has ${client.pending} requests in flight; its input pauses at ${queueBytes} bytes, ` +
        `the limits are ${closeBytes} bytes and ${WRITE_STALL_MS} ms`
      )
    })
    row[statBase + PoolStat.clientOverrun]++
    client.socket.reset()
    client.close(CloseReason.error)
  }
}
