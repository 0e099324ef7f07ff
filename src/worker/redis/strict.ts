/**
 * Pools with `strict: true` know nutcracker's commands with nutcracker's argument counts. Several
 * keys go to the server of the first one without a look at the others, and any other request closes
 * the connection. Data plane. `redis-protocol.ts` calls this for what its fast path does not take.
 */

import { NINE, ZERO } from '../../bytes/ascii.ts'
import { argEnd, argStart } from '../../protocol/redis/arguments.ts'
import { Action, type Command } from '../../protocol/redis/commands.ts'
import * as replies from '../../protocol/redis/replies.ts'
import type { RespRequestParser } from '../../protocol/redis/request-parser.ts'
import type { Client } from '../client/client.ts'
import { answerLocally } from '../request/delivery.ts'
import { CloseReason } from '../request/reply-target.ts'
import { dispatch } from './dispatch.ts'
import type { RedisPool } from './redis-pool.ts'
import { authenticate } from './session/auth.ts'

/**
 * @returns true when nutcracker accepts the command with this many arguments.
 * @param args without the command's name.
 */
export function fitsStrict(command: Command, args: number): boolean {
  return args >= command.strictMin && (command.strictMax < 0 || args <= command.strictMax)
}

/** Handles a request as nutcracker does. */
export function strictRequest(redis: RedisPool, client: Client, parser: RespRequestParser, buf: Uint8Array): void {
  const { strictAction } = parser.command
  if (!fitsStrict(parser.command, parser.argCount - 1)) {
    redis.refuse(client, parser, buf)
  } else if (strictAction === Action.quit) {
    client.closeAfterReplies(CloseReason.eof)
  } else if (strictAction === Action.auth) {
    authenticate(client, parser, buf)
  } else if (!client.authenticated && !(client.pool.config.pingBeforeAuth && strictAction === Action.ping)) {
    answerLocally(client, replies.NOAUTH)
  } else if (strictAction !== Action.forwardScript) {
    dispatch(redis, client, parser, buf, strictAction)
  } else if (isKeyCount(parser, buf)) {
    // nutcracker looks at the first key only.
    redis.forward(client, parser, buf, parser.command.key)
  } else {
    client.close(CloseReason.error)
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
