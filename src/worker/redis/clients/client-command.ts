/**
 * CLIENT and its subcommands. Data plane. What a connection is told and tells of itself: `client-own.ts`. Those
 * about clients of all workers: `client-wide.ts`.
 */

import * as replies from '../../../protocol/redis/replies.ts'
import type { RespRequestParser } from '../../../protocol/redis/request-parser.ts'
import type { Client } from '../../client/client.ts'
import type { RedisProtocol } from '../redis-protocol.ts'
import { ReplyMode, stateOf } from '../session/state.ts'
import { argumentTexts } from '../split/broadcast.ts'
import { ownArity, ownClientReply } from './client-own.ts'
import { wideCommand } from './client-wide.ts'

export function clientCommand(
  protocol: RedisProtocol,
  client: Client,
  parser: RespRequestParser,
  buf: Uint8Array,
): void {
  const args = argumentTexts(parser, buf)
  const name = args[1].toUpperCase()
  if (name === 'HELP') {
    protocol.forwardKeyless(client, parser, buf)
    return
  }
  if (name === 'REPLY') {
    reply(protocol, client, args)
    return
  }
  if (wideCommand(protocol, client, args, parser.end - parser.start)) return
  const arity = ownArity(name)
  if (arity === undefined) {
    protocol.answerRefused(client, replies.unknownSubcommand('CLIENT', args[1]))
  } else if (arity >= 0 ? args.length !== arity : args.length < -arity) {
    protocol.answerRefused(client, replies.wrongArguments(`CLIENT|${name}`))
  } else {
    protocol.answer(client, ownClientReply(client, args))
  }
}

function reply(protocol: RedisProtocol, client: Client, args: readonly string[]): void {
  const mode = args.length === 3 ? args[2].toUpperCase() : ''
  if (mode === '') {
    protocol.answerRefused(client, replies.wrongArguments('CLIENT|REPLY'))
    return
  }
  const state = stateOf(client)
  if (mode === 'ON') {
    state.replyMode = ReplyMode.on
    client.updateFastPath()
    protocol.answer(client, replies.OK)
  } else if (mode === 'OFF' || mode === 'SKIP') {
    if (mode === 'OFF' || state.replyMode === ReplyMode.on) state.replyMode = ReplyMode[mode === 'OFF' ? 'off' : 'skip']
    client.updateFastPath()
  } else {
    protocol.answer(client, replies.SYNTAX_ERROR)
  }
}
