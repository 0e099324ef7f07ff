/**
 * What the coarse timer looks at in a server connection: the time to connect, requests that expire, a server that says
 * nothing, uploads and large replies that do not move. Data plane.
 */

import { ServerStat } from '../../shared/stat-fields.ts'
import type { Socket } from '../io/socket.ts'
import { deliverFailure } from '../request/delivery.ts'
import { Failure, type FailureCode } from '../request/failure.ts'
import { type Message, MessageKind } from '../request/message.ts'
import { CloseReason } from '../request/reply-target.ts'
import { UPLOAD_STALL_MS } from '../request/stream-limits.ts'
import type { ReplyInput } from './reply-input.ts'
import { NEVER_MS, type QueueServer, type RequestQueue } from './request-queue.ts'
import type { RequestStream } from './request-stream.ts'
import type { ServerHealth } from './server-health.ts'

/** A connection without any progress is closed after this many timeouts even where younger requests wait on it. */
const STALL_TIMEOUTS = 3

/** The server (`Server`) as far as deadlines need it. */
export interface TimedServer extends QueueServer {
  readonly health: ServerHealth
}

/** The server connection (`ServerConnection`). */
export interface TimedConnection extends RequestQueue<TimedServer> {
  readonly socket: Socket
  readonly input: ReplyInput
  /** `Turn.nowMs` by which it must be connected; 0 = no limit, or it is. */
  readonly connectDeadlineMs: number
  /** `Turn.nowMs` from which on it has waited for its server; -1 = it does not. */
  readonly waitingSinceMs: number
  readonly user: { readonly stateful: boolean } | null
  /** The server's silence is counted as a timeout already. Cleared by bytes of the server. */
  stallCounted: boolean
  fail(failure: FailureCode): void
  close(failure: FailureCode): void
}

export function checkDeadlines(connection: TimedConnection, nowMs: number): void {
  if (connection.waitingSinceMs >= 0 && connection.socket.handle === null) return
  if (connection.connectDeadlineMs > 0 && nowMs >= connection.connectDeadlineMs) {
    connection.fail(Failure.timedOut)
    return
  }
  if (connection.upload !== null) {
    checkUpload(connection, connection.upload, nowMs)
    return
  }
  connection.input.large?.check(nowMs)
  const { timeoutMs } = connection.server.pool.config
  if (timeoutMs === 0) return
  const { large, gathersLarge } = connection.input
  const passes = large !== null || gathersLarge
  if (passes && !large?.paused && connection.silentMs(nowMs) >= timeoutMs) {
    connection.fail(Failure.timedOut)
    return
  }
  // A reply that is passing has been in time; the requests behind it have deadlines of their own.
  const first = passes && connection.head !== null ? connection.head.serverNext : connection.head
  if (expireFrom(connection, first, nowMs) && !passes) checkStall(connection, nowMs, timeoutMs)
}

/** Expires requests in the order of the queue, up to the first that has time. @returns false when the queue has ended. */
function expireFrom(connection: TimedConnection, first: Message | null, nowMs: number): boolean {
  const clockMs = nowMs - connection.unreadMs
  let message = first
  while (message !== null && (message.expired || clockMs >= message.deadlineMs || message.deadlineMs === NEVER_MS)) {
    const next: Message | null = message.serverNext
    if (!message.expired && message.deadlineMs !== NEVER_MS) {
      expire(connection, message)
      // The error reply may have ended its client, and that this connection.
      if (connection.head === null) return false
    }
    message = next
  }
  return true
}

function expire(connection: TimedConnection, message: Message): void {
  const { server } = connection
  if (connection.user?.stateful) {
    server.row[server.statBase + ServerStat.requestTimeouts]++
    connection.close(Failure.timedOut)
    return
  }
  connection.markExpired(message)
  if (message.kind === MessageKind.internal) return
  server.row[server.statBase + ServerStat.requestTimeouts]++
  deliverFailure(message, server.pool, Failure.timedOut)
}

function checkStall(connection: TimedConnection, nowMs: number, timeoutMs: number): void {
  const { server } = connection
  if (connection.expiredRequests === 0) return
  if (connection.user !== null) {
    // Its user would be out of step with the server.
    connection.close(Failure.timedOut)
    return
  }
  const stalledMs = connection.silentMs(nowMs)
  if (stalledMs < timeoutMs) return
  if (!connection.stallCounted) {
    connection.stallCounted = true
    server.row[server.statBase + ServerStat.timedout]++
    server.health.countLoss(`no answer for ${timeoutMs} ms`)
  }
  if (connection.requests === 0 || stalledMs >= timeoutMs * STALL_TIMEOUTS) connection.close(Failure.timedOut)
}

/** A server that does not take a body has the pool's timeout; a client that does not send one has a limit of its own. */
function checkUpload(connection: TimedConnection, upload: RequestStream, nowMs: number): void {
  const { timeoutMs } = connection.server.pool.config
  const idleMs = nowMs - upload.activeMs
  if (upload.paused) {
    if (timeoutMs > 0 && idleMs >= timeoutMs) connection.fail(Failure.timedOut)
  } else if (idleMs >= UPLOAD_STALL_MS) {
    upload.client.close(CloseReason.error)
  }
}
