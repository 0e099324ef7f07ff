/**
 * How a client's connection ends. Data plane; functions over the `Client` record.
 *
 *     closeAfterReplies ─▶ finish ─▶ FIN ─▶ lingering: input is dropped until the client closes too, `LINGER_MS` at most ─▶ close
 *     close, and the disconnects for memory, slowness and errors: at once
 */

import { PoolStat } from '../../shared/stat-fields.ts'
import { leaveClient } from '../request/delivery.ts'
import { FAILURE_TEXTS, type FailureCode } from '../request/failure.ts'
import type { Message } from '../request/message.ts'
import { CloseReason } from '../request/reply-target.ts'
import type { Client } from './client.ts'
import { dropInput, inputDone } from './client-input.ts'
import { Phase } from './client-phase.ts'
import { dropBehind } from './lost-server.ts'

/**
 * After FIN, input is read and dropped for this long, ms: closing with unread input would send RST,
 * and the client could lose replies.
 * @testOnly
 */
export const LINGER_MS = 1_000

/**
 * Nothing is in flight but requests that may never be answered; no request is incomplete, and the
 * client has read every reply.
 */
export function isIdle(client: Client): boolean {
  if (client.session?.mayNeverReply) return true
  return client.head === null && client.input.isEmpty && client.socket.pendingBytes === 0
}

/** The process is ending: the client closes once its requests in flight are answered. */
export function endClient(client: Client): void {
  if (client.session?.mayNeverReply) client.close(CloseReason.none)
  else client.closeAfterReplies(CloseReason.none)
}

/**
 * The pool is gone: closes an idle client now, others once their requests are answered. A request
 * that has begun may be completed.
 */
export function retireClient(client: Client): void {
  if (client.ending) return
  client.input.isLast = true
  if (isIdle(client)) client.close(CloseReason.none)
  else inputDone(client)
}

/**
 * Every reply is in the output. Waits until the kernel takes them, then sends FIN and drops input
 * until the client closes too.
 */
export function finish(client: Client): void {
  const { socket } = client
  if (client.phase >= Phase.lingering) return
  socket.flush()
  if (socket.pendingBytes > 0) {
    client.watchWrites()
    return
  }
  // The flush may have called this function again by way of `onDrain`.
  if (client.phase >= Phase.lingering) return
  if (client.input.ended) {
    client.close(client.endReason)
    return
  }
  count(client, client.endReason)
  client.enter(Phase.lingering)
  client.lingerUntilMs = socket.turn.nowMs + LINGER_MS
  socket.shutdown()
  socket.readStart()
  client.poolClients.watches.lingering.add(client)
}

function count({ pool }: Client, reason: number): void {
  const { row, statBase } = pool
  if (reason === CloseReason.eof) row[statBase + PoolStat.clientEof]++
  else if (reason === CloseReason.error) row[statBase + PoolStat.clientErr]++
}

/** Closes now. Requests that are queued still go to their servers; their replies are dropped. */
export function closeNow(client: Client, reason: number): void {
  if (client.closed) return
  // The reason of a lingering client was counted with its FIN.
  if (client.phase !== Phase.lingering) count(client, reason)
  client.enter(Phase.closed)
  dropInput(client)
  client.socket.close()
  let message = client.head
  client.head = null
  client.last = null
  client.pending = 0
  while (message !== null) {
    const next: Message | null = message.next
    message.next = null
    leaveClient(message)
    message = next
  }
  client.poolClients.forget(client)
  client.session?.end()
  client.resumeSource()
}

/** The memory guard chose this client. */
export function disconnectForMemory(client: Client): void {
  const { config, limitedLog, row, statBase } = client.pool
  limitedLog.notice(
    'client closed to free memory',
    () => `c ${client.address} of pool '${config.name}' closed to free memory: it held ${client.memoryBytes} bytes`,
  )
  row[statBase + PoolStat.clientMemory]++
  client.socket.reset()
  client.close(CloseReason.error)
}

/** See `ReplyTarget.loseServer`. */
export function disconnectForServer(client: Client, last: Message | null, failure: FailureCode): void {
  if (!client.ending) {
    const { config, limitedLog, row, statBase } = client.pool
    row[statBase + PoolStat.clientServerLost]++
    limitedLog.notice(
      'client disconnected, its server failed',
      () => `c ${client.address} of pool '${config.name}' disconnected, its server failed: ${FAILURE_TEXTS[failure]}`,
    )
  }
  dropBehind(client, last)
  client.closeAfterReplies(CloseReason.error)
}
