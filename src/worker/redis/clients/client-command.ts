/**
 * CLIENT and its subcommands. Data plane. `client-own.ts` has those about the own connection,
 * `client-wide.ts` those about the clients of all workers.
 */

import { argTexts } from '../../../protocol/redis/arguments.ts'
import * as replies from '../../../protocol/redis/replies.ts'
import type { RespRequestParser } from '../../../protocol/redis/request-parser.ts'
import type { Client } from '../../client/client.ts'
import type { RedisPool } from '../redis-pool.ts'
import { ReplyMode, sessionOf } from '../session/session.ts'
import { ownArity, ownClientReply } from './client-own.ts'
import { wideCommand } from './client-wide.ts'

export function clientCommand(redis: RedisPool, client: Client, parser: RespRequestParser, buf: Uint8Array): void {
  const args = argTexts(parser, buf)
  const name = args[1].toUpperCase()
  if (name === 'HELP') {
    redis.forwardKeyless(client, parser, buf)
    return
  }
  if (name === 'REPLY') {
    reply(redis, client, args)
    return
  }
  if (wideCommand(redis, client, args, parser.end - parser.start)) return
  const arity = ownArity(name)
  if (arity === undefined) {
    redis.answerRefused(client, replies.unknownSubcommand('CLIENT', args[1]))
  } else if (arity >= 0 ? args.length !== arity : args.length < -arity) {
    redis.answerRefused(client, replies.wrongArguments(`CLIENT|${name}`))
  } else {
    redis.answer(client, ownClientReply(client, args))
  }
}

function reply(redis: RedisPool, client: Client, args: readonly string[]): void {
  const mode = args.length === 3 ? args[2].toUpperCase() : ''
  if (mode === '') {
    redis.answerRefused(client, replies.wrongArguments('CLIENT|REPLY'))
    return
  }
  const session = sessionOf(client)
  if (mode === 'ON') {
    session.replyMode = ReplyMode.on
    client.updateFastPath()
    redis.answer(client, replies.OK)
  } else if (mode === 'OFF' || mode === 'SKIP') {
    if (mode === 'OFF' || session.replyMode === ReplyMode.on)
      session.replyMode = ReplyMode[mode === 'OFF' ? 'off' : 'skip']
    client.updateFastPath()
  } else {
    redis.answer(client, replies.SYNTAX_ERROR)
  }
}
