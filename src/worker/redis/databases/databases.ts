/**
 * SELECT, and the commands that name another database: MOVE, COPY … DB and SWAPDB. Data plane.
 *
 *     SELECT 3 ─▶ waits for the replies due ─▶ +OK ─▶ the client's requests go by server connections that are in database 3
 *
 * The proxy answers SELECT. It sends SELECT to a server when the first request needs a connection
 * in that database. Two connections do not keep the order of requests, so a SELECT waits until
 * every earlier request is answered.
 *
 * After a refused SELECT the client has no database, and its requests are refused until a SELECT
 * succeeds. Client libraries go on after the error, and their writes would go to the previous
 * database.
 */

import { MINUS, STAR } from '../../../bytes/ascii.ts'
import { argIs, argText } from '../../../protocol/redis/arguments.ts'
import { Action, type Command } from '../../../protocol/redis/commands.ts'
import * as replies from '../../../protocol/redis/replies.ts'
import type { RespRequestParser } from '../../../protocol/redis/request-parser.ts'
import type { Client } from '../../client/client.ts'
import type { Message } from '../../request/message.ts'
import { CloseReason } from '../../request/reply-target.ts'
import { connectionKind } from '../../server/connection-kind.ts'
import { statusJoiner } from '../join/by-key.ts'
import type { RedisPool } from '../redis-pool.ts'
import { enterDatabase } from '../servers/greeting.ts'
import { wireRequest } from '../servers/wire-request.ts'
import { knownSession, sessionOf } from '../session/session.ts'
import { broadcast, Reach } from '../split/broadcast.ts'
import { multiKeyRequest } from '../split/multikey.ts'

const NO_DATABASE = replies.errorLine('no database is selected because the last SELECT was refused')
const BAD_FIRST = replies.errorLine('invalid first DB index')
const BAD_SECOND = replies.errorLine('invalid second DB index')
const SERVER_EJECTED = replies.errorLine('SWAPDB needs every server of the pool, and one is ejected')

/** What a client without a database may still send: commands about its connection only. */
const WITHOUT_DATABASE: ReadonlySet<number> = new Set([Action.auth, Action.hello, Action.ping, Action.quit])
const NAMED_WITHOUT_DATABASE: ReadonlySet<string> = new Set(['CLIENT', 'COMMAND', 'ECHO', 'RESET', 'SELECT'])

/**
 * Results of `readDatabase` for an argument that is no integer, and for a database that the pool
 * does not have.
 */
const BadDatabase = { notInteger: -1, outOfRange: -2 } as const

/** @returns the database in argument `argument`, or one of `BadDatabase`. */
function readDatabase(client: Client, parser: RespRequestParser, buf: Uint8Array, argument: number): number {
  const text = argText(parser, buf, argument)
  if (!/^(?:0|-?[1-9]\d{0,17})$/.test(text)) return BadDatabase.notInteger
  const database = Number(text)
  return database >= 0 && database < client.pool.config.databases ? database : BadDatabase.outOfRange
}

/** SELECT, MOVE, COPY, SWAPDB. */
export function databaseRequest(redis: RedisPool, client: Client, parser: RespRequestParser, buf: Uint8Array): void {
  const { name } = parser.command
  if (name === 'SELECT') select(redis, client, parser, buf)
  else if (name === 'SWAPDB') swap(redis, client, parser, buf)
  else if (refusesDatabase(redis, client, parser, buf)) return
  else if (name === 'MOVE') redis.forward(client, parser, buf, 1)
  else multiKeyRequest(client, parser, buf)
}

function select(redis: RedisPool, client: Client, parser: RespRequestParser, buf: Uint8Array): void {
  const database = readDatabase(client, parser, buf, 1)
  if (database < 0 || !redis.databaseLimit.allows(database)) {
    sessionOf(client).withoutDatabase = true
    client.updateFastPath()
    redis.answer(client, database === BadDatabase.notInteger ? replies.NOT_AN_INTEGER : replies.DB_OUT_OF_RANGE)
    return
  }
  // With CLIENT REPLY OFF and SKIP, `reply-mode.ts` has queued a message before this request, so
  // `pending` is never 0.
  const answers = knownSession(client)?.answers !== false
  if (database !== client.database && client.pending > 0 && answers) {
    client.postpone(true)
    return
  }
  useDatabase(client, database)
  redis.answer(client, replies.OK)
}

/** Sends the client's later requests, and those of its transaction, to this database. */
function useDatabase(client: Client, database: number): void {
  client.connectionKind = connectionKind(database, client.resp3)
  const session = knownSession(client)
  if (session !== null) session.withoutDatabase = false
  client.updateFastPath()
  const watching = session?.transaction?.connection ?? null
  if (watching !== null) enterDatabase(watching, database)
}

/**
 * @returns a SELECT within a transaction as the server gets it. A database that the pool does not
 * have fails in EXEC's reply, as at Redis.
 */
export function queuedSelect(
  client: Client,
  transaction: { selected: number },
  parser: RespRequestParser,
  buf: Uint8Array,
): Uint8Array {
  const database = readDatabase(client, parser, buf, 1)
  if (database === BadDatabase.notInteger) return buf.subarray(parser.start, parser.end)
  if (database === BadDatabase.outOfRange) return wireRequest('SELECT', '-1')
  transaction.selected = database
  return wireRequest('SELECT', String(database + client.pool.config.redisDb))
}

/**
 * The tag for the message of EXEC.
 * @param database that the transaction has selected last; -1 = none, and no tag.
 */
export function executedTag(database: number): number {
  return database + 1
}

/**
 * Looks at the reply to EXEC that begins at `start`: an executed transaction moves the client to
 * the database that it selected.
 */
export function noteExecuted(message: Message, buf: Uint8Array, start: number): void {
  const client = message.split === null ? message.client : message.split.parent.client
  const executed = buf[start] === STAR && buf[start + 1] !== MINUS
  if (executed && client !== null) useDatabase(client as Client, message.tag - 1)
}

/**
 * After a reload, closes a client whose database the pool no longer has, once its requests are
 * answered.
 */
export function leaveLostDatabase(client: Client): void {
  const { config, limitedLog } = client.pool
  const { database } = client
  if (database < config.databases) return
  limitedLog.notice(
    'database gone',
    () => `c ${client.address} closed: pool '${config.name}' no longer has database ${database}`,
  )
  client.closeAfterReplies(CloseReason.error)
}

/**
 * Refuses a request of a client that has no database, unless it is about the connection only.
 * @returns true when it is refused.
 */
export function refusesWithoutDatabase(redis: RedisPool, client: Client, command: Command): boolean {
  if (!client.authenticated || !sessionOf(client).withoutDatabase) return false
  if (WITHOUT_DATABASE.has(command.action) || NAMED_WITHOUT_DATABASE.has(command.name)) return false
  redis.answer(client, NO_DATABASE)
  return true
}

/**
 * Refuses MOVE, and COPY with DB, to a database that the pool does not have, although its servers
 * may. A pool with one database forwards them all.
 * @returns true when the client has had its error.
 */
export function refusesDatabase(redis: RedisPool, client: Client, parser: RespRequestParser, buf: Uint8Array): boolean {
  const argument = client.pool.config.databases === 1 ? 0 : databaseArgument(parser, buf)
  if (argument === 0 || readDatabase(client, parser, buf, argument) !== BadDatabase.outOfRange) return false
  redis.answer(client, replies.DB_OUT_OF_RANGE)
  return true
}

/** @returns the index of the argument that names a database; 0 = none. */
function databaseArgument(parser: RespRequestParser, buf: Uint8Array): number {
  const { command, argCount } = parser
  if (command.name === 'MOVE') return 2
  if (command.name !== 'COPY') return 0
  let arg = 3
  while (arg < argCount && !argIs(parser, buf, arg, 'DB')) arg++
  return arg + 1 < argCount ? arg + 1 : 0
}

/** Sends SWAPDB to every server. The servers do not swap at the same moment. */
function swap(redis: RedisPool, client: Client, parser: RespRequestParser, buf: Uint8Array): void {
  const first = readDatabase(client, parser, buf, 1)
  const second = readDatabase(client, parser, buf, 2)
  if (first === BadDatabase.notInteger) redis.answer(client, BAD_FIRST)
  else if (second === BadDatabase.notInteger) redis.answer(client, BAD_SECOND)
  else if (first < 0 || second < 0) redis.answer(client, replies.DB_OUT_OF_RANGE)
  else if (first === second) redis.answer(client, replies.OK)
  // Swapped at some servers only, keys of one database would mix with those of the other.
  else if (client.pool.servers.some(server => server.health.isEjected)) redis.answer(client, SERVER_EJECTED)
  else broadcast(client, parser, buf, statusJoiner, Reach.all)
}
