/**
 * Commands about the connection or the pool that the proxy answers itself: CLIENT, ECHO, INFO,
 * RESET, ROLE, TIME … Data plane.
 */

import { encodeText } from '../../bytes/ascii.ts'
import { argEnd, argIs, argStart, argTexts } from '../../protocol/redis/arguments.ts'
import * as replies from '../../protocol/redis/replies.ts'
import { bulkOf, ReplyWriter } from '../../protocol/redis/reply-writer.ts'
import type { RespRequestParser } from '../../protocol/redis/request-parser.ts'
import type { Client } from '../client/client.ts'
import { awaitReply, lateReply } from '../client/late-reply.ts'
import { clientCommand } from './clients/client-command.ts'
import { commandRequest } from './command-listing.ts'
import { InfoJoiner, tellsOfProxy } from './join/info.ts'
import { type RedisPool, watchOf } from './redis-pool.ts'
import { knownSession, sessionOf } from './session/session.ts'
import { broadcast, Reach } from './split/broadcast.ts'

const DEFAULT_USER = encodeText('$7\r\ndefault\r\n')
const RESET = encodeText('+RESET\r\n')

export function localRequest(redis: RedisPool, client: Client, parser: RespRequestParser, buf: Uint8Array): void {
  switch (parser.command.name) {
    case 'ACL':
    case 'MODULE':
      aboutServers(redis, client, parser, buf)
      return
    case 'ASKING':
    case 'CLUSTER':
    case 'READONLY':
    case 'READWRITE':
      if (isHelp(parser, buf)) redis.forwardKeyless(client, parser, buf)
      else redis.answer(client, replies.NO_CLUSTER)
      return
    case 'CLIENT':
      clientCommand(redis, client, parser, buf)
      return
    case 'COMMAND':
      commandRequest(redis, client, parser, buf)
      return
    case 'ECHO':
      redis.answer(client, argumentAsBulk(parser, buf, 1))
      return
    case 'INFO':
      broadcast(client, parser, buf, new InfoJoiner(tellsOfProxy(argTexts(parser, buf))), Reach.live)
      return
    case 'MONITOR':
      monitor(client)
      return
    case 'RESET':
      reset(redis, client)
      return
    case 'ROLE':
      // The reply of a server without replicas on which nothing was written.
      redis.answer(client, new ReplyWriter(client.resp3).array(3).bulk('master').integer(0).array(0).bytes())
      return
    case 'TIME':
      redis.answer(client, time(client))
      return
    default:
      redis.answerRefused(client, replies.unsupportedCommand(parser.command.name))
  }
}

/** Answers once every worker sends its requests to this one. */
function monitor(client: Client): void {
  const session = sessionOf(client)
  const message = awaitReply(client)
  const done = (): void => lateReply(message, replies.OK)
  if (session.monitoring !== null) done()
  else session.monitoring = watchOf(client.poolClients).join(client, done)
}

export function argumentAsBulk(parser: RespRequestParser, buf: Uint8Array, argument: number): Uint8Array {
  return bulkOf(buf, argStart(parser, argument), argEnd(parser, argument))
}

function isHelp(parser: RespRequestParser, buf: Uint8Array): boolean {
  return parser.argCount === 2 && argIs(parser, buf, 1, 'HELP')
}

/**
 * Any server can answer these. The others change users and modules of the servers, which is the
 * administrator's business.
 */
const ANY_SERVER = new Set(['ACL CAT', 'ACL GENPASS', 'ACL HELP', 'MODULE HELP', 'MODULE LIST'])

function aboutServers(redis: RedisPool, client: Client, parser: RespRequestParser, buf: Uint8Array): void {
  const args = argTexts(parser, buf)
  const name = `${parser.command.name} ${args[1].toUpperCase()}`
  if (ANY_SERVER.has(name)) redis.forwardKeyless(client, parser, buf)
  else if (name === 'ACL WHOAMI' && args.length === 2) redis.answer(client, DEFAULT_USER)
  else
    redis.answerRefused(
      client,
      replies.unsupportedCommand(
        name
          .replace(' ', '|')
          .replace(/[\r\n]/g, ' ')
          .slice(0, 128),
      ),
    )
}

function time(client: Client): Uint8Array {
  const nowUs = Math.round((performance.timeOrigin + performance.now()) * 1000)
  const writer = new ReplyWriter(client.resp3).array(2)
  return writer
    .bulk(`${Math.trunc(nowUs / 1_000_000)}`)
    .bulk(`${nowUs % 1_000_000}`)
    .bytes()
}

/** RESET: the connection is as new, but keeps the library's name and CLIENT ID, as at Redis. */
function reset(redis: RedisPool, client: Client): void {
  if (client.pending > 0 && (client.connectionKind > 0 || knownSession(client)?.hasOpenState)) {
    // The requests in flight belong to RESP3, to another database or to connections that RESET
    // closes.
    client.postpone(true)
    return
  }
  client.resp3 = false
  client.connectionKind = 0
  knownSession(client)?.reset()
  client.setAuthenticated(redis.pool.config.redisAuth === '')
  redis.answer(client, RESET)
}
