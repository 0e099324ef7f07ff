/**
 * CLIENT REPLY OFF and SKIP: requests whose replies reach nobody. Data plane.
 *
 * A bar is put into the client's order queue, so that whatever answers the request waits behind it; then all of it leaves the queue, as the
 * requests of a client that is gone do.
 */

import { argIs } from '../../../protocol/redis/arguments.ts'
import { Action } from '../../../protocol/redis/commands.ts'
import type { RespRequestParser } from '../../../protocol/redis/request-parser.ts'
import type { Client } from '../../client/client.ts'
import { dropBehind } from '../../client/lost-server.ts'
import { MessageKind } from '../../request/message.ts'
import { CloseReason } from '../../request/reply-target.ts'
import type { StatedRequest } from '../watch/request-watch.ts'
import { knownSession, ReplyMode } from './session.ts'

/**
 * Handles a request of a client that wants no replies (CLIENT REPLY).
 * @param handle handles the request; its reply is dropped.
 * @returns false when the request is to be answered all the same: the caller handles it.
 */
export function unansweredRequest(
  client: Client,
  parser: RespRequestParser,
  buf: Uint8Array,
  handle: StatedRequest,
): boolean {
  const { command } = parser
  // CLIENT REPLY ON, and RESET, are answered.
  if (command.name === 'RESET' || turnsOn(parser, buf)) return false
  if (CONFIRMED.has(command.name)) {
    // Redis confirms a subscription, and passes on its messages, whatever CLIENT REPLY says.
    endSkip(client)
    return false
  }
  const session = knownSession(client)
  if (needsReplies(command.action) || session?.transaction != null || session?.blocking != null) {
    client.pool.limitedLog.notice(
      'closed by CLIENT REPLY',
      () => `c ${client.address} closed: ${command.name} needs a reply, which CLIENT REPLY suppresses`,
    )
    client.closeAfterReplies(CloseReason.error)
    return true
  }
  if (command.name === 'SELECT' && client.pending > 0) {
    // It waits for the replies before it, and below it would wait for its own place in the queue.
    client.postpone(true)
    return true
  }
  const before = client.last
  client.push(client.messages.acquire(client, MessageKind.local))
  handle(client, parser, buf)
  endSkip(client)
  if (!client.closed) {
    dropBehind(client, before)
    if (client.head === null) client.afterReplies()
  }
  return true
}

/** CLIENT REPLY SKIP is for one request. */
function endSkip(client: Client): void {
  const session = knownSession(client)!
  if (session.replyMode !== ReplyMode.skip) return
  session.replyMode = ReplyMode.on
  client.updateFastPath()
}

const CONFIRMED = new Set(['SUBSCRIBE', 'PSUBSCRIBE', 'SSUBSCRIBE', 'UNSUBSCRIBE', 'PUNSUBSCRIBE', 'SUNSUBSCRIBE'])

/** They wait for the replies before them. */
function needsReplies(action: number): boolean {
  return action === Action.hello || action === Action.transaction || action === Action.blocking
}

function turnsOn(parser: RespRequestParser, buf: Uint8Array): boolean {
  const { command, argCount } = parser
  if (command.name !== 'CLIENT' || argCount !== 3) return false
  return argIs(parser, buf, 1, 'REPLY') && argIs(parser, buf, 2, 'ON')
}
