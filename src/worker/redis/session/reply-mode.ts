/**
 * CLIENT REPLY OFF and SKIP: requests whose replies the client does not get. Data plane.
 *
 * The proxy queues a message that is never answered, and handles the request: its reply, or its
 * message in flight, is queued behind that. Then it takes all of them out of the client's order
 * queue, as it does when a client disconnects.
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
    // Redis confirms subscriptions and sends their messages also with CLIENT REPLY OFF.
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
    // It waits until every earlier request is answered, and with the message that is queued below
    // that would never be.
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

/** Commands that wait until every earlier request is answered. */
function needsReplies(action: number): boolean {
  return action === Action.hello || action === Action.transaction || action === Action.blocking
}

function turnsOn(parser: RespRequestParser, buf: Uint8Array): boolean {
  const { command, argCount } = parser
  if (command.name !== 'CLIENT' || argCount !== 3) return false
  return argIs(parser, buf, 1, 'REPLY') && argIs(parser, buf, 2, 'ON')
}
