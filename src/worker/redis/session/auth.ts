/** AUTH: a pool has one user, `default`, with one password. Data plane. */

import { argBytes, argStart } from '../../../protocol/redis/arguments.ts'
import * as replies from '../../../protocol/redis/replies.ts'
import type { RespRequestParser } from '../../../protocol/redis/request-parser.ts'
import type { Client } from '../../client/client.ts'
import { answerLocally } from '../../request/delivery.ts'

/** `AUTH password` in nutcracker's words, `AUTH user password` in Redis's. */
export function authenticate(client: Client, parser: RespRequestParser, buf: Uint8Array): void {
  if (parser.argCount > 3) {
    answerLocally(client, replies.SYNTAX_ERROR)
    return
  }
  if (parser.argCount === 3) {
    const accepted = isUser(client, parser, buf, 1)
    if (accepted) client.setAuthenticated(true)
    answerLocally(client, accepted ? replies.OK : replies.WRONG_PASS)
    return
  }
  const password = client.pool.config.redisAuth
  if (password === '') {
    answerLocally(client, replies.NO_PASSWORD_SET)
    return
  }
  client.setAuthenticated(sameText(parser, buf, 1, password))
  answerLocally(client, client.authenticated ? replies.OK : replies.INVALID_PASSWORD)
}

/**
 * @returns true when arguments `at` and `at + 1` are the pool's user and password. In a pool
 * without a password any is right, as with Redis's `nopass`.
 */
export function isUser(client: Client, parser: RespRequestParser, buf: Uint8Array, at: number): boolean {
  const password = client.pool.config.redisAuth
  if (!sameText(parser, buf, at, 'default')) return false
  return password === '' || sameText(parser, buf, at + 1, password)
}

/**
 * @returns true when an argument is `text` (one char a byte). The time depends on the lengths only,
 * not on the first wrong byte.
 */
function sameText(parser: RespRequestParser, buf: Uint8Array, argument: number, text: string): boolean {
  const start = argStart(parser, argument)
  const length = argBytes(parser, argument)
  let difference = length ^ text.length
  for (let i = 0; i < length; i++) difference |= buf[start + i] ^ text.charCodeAt(i % text.length)
  return difference === 0
}
