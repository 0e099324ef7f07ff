/**
 * Pools with `strict: true`: nutcracker's commands with nutcracker's argument counts, several keys blindly to the server of the first, and
 * the end of the connection for everything else. Data plane. Called by `redis-protocol.ts` for what its fast path does not take.
 */

import { NINE, ZERO } from '../../bytes/ascii.ts'
import { argEnd, argStart } from '../../protocol/redis/arguments.ts'
import { Action, type Command } from '../../protocol/redis/commands.ts'
import * as replies from '../../protocol/redis/replies.ts'
import type { RespRequestParser } from '../../protocol/redis/request-parser.ts'
import { PoolStat } from '../../shared/stat-fields.ts'
import type { Client } from '../client/client.ts'
import { answerLocally } from '../request/delivery.ts'
import { CloseReason } from '../request/reply-target.ts'
import type { RedisProtocol } from './redis-protocol.ts'
import { authenticate } from './session/auth.ts'
import { gatherJoiner, splitKeys, statusJoiner, sumJoiner } from './split/split.ts'
import { logUnsupported } from './unsupported-log.ts'

/** Whether nutcracker takes the command with so many arguments, its name not counted. */
export function fitsStrict(command: Command, args: number): boolean {
  return args >= command.strictMin && (command.strictMax < 0 || args <= command.strictMax)
}

export function strictRequest(client: Client, parser: RespRequestParser, buf: Uint8Array): void {
  const { command } = parser
  const protocol = client.pool.protocol as RedisProtocol
  const args = parser.argCount - 1
  if (!fitsStrict(command, args)) {
    logUnsupported(client, parser, buf)
    client.close(CloseReason.error)
    return
  }
  if (command.strictAction === Action.quit) {
    client.closeAfterReplies(CloseReason.eof)
  } else if (command.strictAction === Action.auth) {
    authenticate(client, parser, buf)
  } else if (!client.authenticated && !(client.pool.config.pingBeforeAuth && command.strictAction === Action.ping)) {
    answerLocally(client, replies.NOAUTH)
  } else {
    knownRequest(protocol, client, parser, buf)
  }
}

function knownRequest(protocol: RedisProtocol, client: Client, parser: RespRequestParser, buf: Uint8Array): void {
  const { pool } = client
  const { command } = parser
  const args = parser.argCount - 1
  switch (command.strictAction) {
    case Action.ping:
      pool.row[pool.statBase + PoolStat.localRequests]++
      answerLocally(client, replies.PONG)
      return
    case Action.sumKeys:
      if (args === 1) protocol.forward(client, parser, buf, 1)
      else splitKeys(client, parser, buf, 1, sumJoiner)
      return
    case Action.gatherKeys:
      if (args === 1) protocol.forward(client, parser, buf, 1)
      else splitKeys(client, parser, buf, 1, gatherJoiner)
      return
    case Action.splitPairs:
      if (args % 2 !== 0) client.close(CloseReason.error)
      else if (args === 2) protocol.forward(client, parser, buf, 1)
      else splitKeys(client, parser, buf, 2, statusJoiner)
      return
    case Action.forwardScript:
      if (isKeyCount(parser, buf)) protocol.forward(client, parser, buf, command.key)
      else client.close(CloseReason.error)
      return
    case Action.forwardKeyless:
      protocol.forwardKeyless(client, parser, buf)
      return
    default:
      protocol.forward(client, parser, buf, command.key)
  }
}

/** EVAL's second argument must be a positive number. */
function isKeyCount(parser: RespRequestParser, buf: Uint8Array): boolean {
  let positive = false
  for (let i = argStart(parser, 2); i < argEnd(parser, 2); i++) {
    if (buf[i] < ZERO || buf[i] > NINE) return false
    if (buf[i] !== ZERO) positive = true
  }
  return positive
}
