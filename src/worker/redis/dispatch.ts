/**
 * Which handler serves which kind of command: one table, for pools with and without `strict: true`.
 * Data plane, for what the fast path does not take.
 */

import { Action } from '../../protocol/redis/commands.ts'
import * as replies from '../../protocol/redis/replies.ts'
import type { RespRequestParser } from '../../protocol/redis/request-parser.ts'
import type { Client } from '../client/client.ts'
import { blockingRequest } from './blocking.ts'
import { databaseRequest } from './databases/databases.ts'
import { mgetJoiner, statusJoiner, sumJoiner } from './join/by-key.ts'
import { argumentAsBulk, localRequest } from './local.ts'
import { pubsubRequest } from './pubsub/pubsub.ts'
import type { Handler, RedisPool } from './redis-pool.ts'
import { keyspaceRequest } from './split/keyspace.ts'
import { multiKeyRequest, scriptRequest } from './split/multikey.ts'
import { splitKeys } from './split/split.ts'
import { transactionRequest } from './transactions/transaction.ts'

/** By `Action`; what has no handler is refused. */
const HANDLERS: readonly (Handler | undefined)[] = handlersByAction([
  [Action.forward, forwardRequest],
  [Action.forwardKeyless, (redis, client, parser, buf) => redis.forwardKeyless(client, parser, buf)],
  [Action.passOn, (redis, client, parser, buf) => redis.forwardKeyless(client, parser, buf)],
  [Action.sumKeys, sumKeysRequest],
  [Action.gatherKeys, gatherKeysRequest],
  [Action.splitPairs, splitPairsRequest],
  [Action.multiKey, (_redis, client, parser, buf) => multiKeyRequest(client, parser, buf)],
  [Action.gatherSets, (_redis, client, parser, buf) => multiKeyRequest(client, parser, buf)],
  [Action.forwardScript, (_redis, client, parser, buf) => scriptRequest(client, parser, buf)],
  [Action.ping, pingRequest],
  [Action.local, localRequest],
  [Action.keyspace, keyspaceRequest],
  [Action.transaction, transactionRequest],
  [Action.blocking, blockingRequest],
  [Action.pubsub, pubsubRequest],
  [Action.database, databaseRequest],
])

function handlersByAction(rows: readonly (readonly [action: number, handler: Handler])[]): (Handler | undefined)[] {
  const handlers = new Array<Handler | undefined>(Math.max(...Object.values(Action)) + 1).fill(undefined)
  for (const [action, handler] of rows) handlers[action] = handler
  return handlers
}

/**
 * Handles a request of a client that may send commands.
 * @param action the command's `action` or, in strict pools, its `strictAction`.
 */
export function dispatch(
  redis: RedisPool,
  client: Client,
  parser: RespRequestParser,
  buf: Uint8Array,
  action: number,
): void {
  const handler = HANDLERS[action]
  if (handler === undefined) redis.answerRefused(client, replies.deniedCommand(parser.command))
  else handler(redis, client, parser, buf)
}

function forwardRequest(redis: RedisPool, client: Client, parser: RespRequestParser, buf: Uint8Array): void {
  const { key } = parser.command
  // `OBJECT HELP` has no key, and any server knows the answer.
  if (parser.argCount > key) redis.forward(client, parser, buf, key)
  else redis.forwardKeyless(client, parser, buf)
}

function sumKeysRequest(redis: RedisPool, client: Client, parser: RespRequestParser, buf: Uint8Array): void {
  if (parser.argCount === 2) redis.forward(client, parser, buf, 1)
  else splitKeys(client, parser, buf, 1, sumJoiner)
}

function gatherKeysRequest(redis: RedisPool, client: Client, parser: RespRequestParser, buf: Uint8Array): void {
  if (parser.argCount === 2) redis.forward(client, parser, buf, 1)
  else splitKeys(client, parser, buf, 1, mgetJoiner)
}

function splitPairsRequest(redis: RedisPool, client: Client, parser: RespRequestParser, buf: Uint8Array): void {
  if (parser.argCount % 2 === 0) redis.refuse(client, parser, buf)
  else if (parser.argCount === 3) redis.forward(client, parser, buf, 1)
  else splitKeys(client, parser, buf, 2, statusJoiner)
}

function pingRequest(redis: RedisPool, client: Client, parser: RespRequestParser, buf: Uint8Array): void {
  if (parser.argCount === 1) redis.answer(client, replies.PONG)
  else if (parser.argCount === 2) redis.answer(client, argumentAsBulk(parser, buf, 1))
  else redis.refuse(client, parser, buf)
}
