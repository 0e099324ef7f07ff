/**
 * What the proxy sends first on a new connection to a Redis server, and how it handles the replies
 * to its own requests. Data plane. These replies reach no client: the proxy logs errors among them,
 * or closes the connection.
 */

import { MINUS } from '../../../bytes/ascii.ts'
import { latin1 } from '../../../bytes/text.ts'
import { Failure } from '../../request/failure.ts'
import type { Message } from '../../request/message.ts'
import type { ServerConnection } from '../../server/server-connection.ts'
import { Verdict } from '../../server/server-protocol.ts'
import type { DatabaseLimit } from '../databases/database-limit.ts'
import { noteId } from './connection-id.ts'
import { enqueueInternal, Internal, queueInternal, wireRequest } from './wire-request.ts'

/** What learns from the replies: the `RedisPool`. */
export interface Learner {
  refusesResp3: boolean
  readonly databaseLimit: DatabaseLimit
  /** Scripts and libraries that a server has missed. */
  readonly loading: { answered(connection: ServerConnection, buf: Uint8Array, start: number, end: number): void }
}

const LOADING = /^-(LOADING|MASTERDOWN) /
const PING = wireRequest('PING')

/**
 * Sends AUTH, then SELECT: servers with a password refuse SELECT before AUTH. HELLO has the user's
 * name and password as arguments.
 *
 * A server that refuses SELECT executes the requests behind it in database 0. With `redis_db`
 * nutcracker accepts that, and so does the proxy. For a database that a client has selected, the
 * proxy sends requests only after SELECT has succeeded.
 */
export function greet(connection: ServerConnection): void {
  const { redisAuth, redisDb } = connection.server.pool.config
  const parts: Uint8Array[] = []
  const say = (tag: number, ...args: readonly string[]): void => {
    const bytes = wireRequest(...args)
    enqueueInternal(connection, tag, bytes)
    parts.push(bytes)
  }
  if (connection.resp3) say(Internal.hello, 'HELLO', '3', ...(redisAuth === '' ? [] : ['AUTH', 'default', redisAuth]))
  else if (redisAuth !== '') say(Internal.auth, 'AUTH', redisAuth)
  if (redisDb > 0) say(Internal.select, 'SELECT', String(redisDb))
  if (connection.database > 0) {
    say(Internal.database, 'SELECT', String(connection.database))
    connection.greeting = Buffer.concat(parts)
  } else {
    for (const bytes of parts) connection.socket.append(bytes, 0, bytes.length)
  }
}

/** Selects the client's database on an exclusive connection on which nothing is in flight. */
export function enterDatabase(connection: ServerConnection, database: number): void {
  if (connection.database === database) return
  connection.database = database
  const bytes = wireRequest('SELECT', String(database))
  enqueueInternal(connection, Internal.database, bytes)
  connection.socket.writeAhead(bytes)
}

/** Asks a lost server whether it serves again: while it loads its data it answers `-LOADING`. */
export function probe(connection: ServerConnection): void {
  queueInternal(connection, Internal.probe, PING)
}

/**
 * Looks at the reply [start, end) to one of the proxy's own requests.
 * @returns one of `Verdict`.
 */
export function inspectInternal(
  learner: Learner,
  connection: ServerConnection,
  message: Message,
  buf: Uint8Array,
  start: number,
  end: number,
): number {
  if (message.tag === Internal.load) {
    learner.loading.answered(connection, buf, start, end)
    return Verdict.drop
  }
  if (message.tag === Internal.id) noteId(connection, buf, start, end)
  if (message.tag === Internal.database && buf[start] !== MINUS) connection.socket.openOutput()
  if (buf[start] !== MINUS || message.tag === Internal.quiet || message.tag === Internal.id) return Verdict.drop
  if (message.tag === Internal.vital) return Verdict.broken
  if (message.tag === Internal.probe) {
    if (!LOADING.test(latin1(buf, start, end))) return Verdict.drop
    connection.close(Failure.closed)
    return Verdict.handled
  }
  const text = latin1(buf, start + 1, end - 2)
  if (message.tag === Internal.database) return databaseRefused(learner, connection, text)
  const { server } = connection
  const { config, limitedLog } = server.pool
  const what =
    message.tag === Internal.select ? `SELECT ${config.redisDb}` : message.tag === Internal.hello ? 'HELLO 3' : 'AUTH'
  limitedLog.warn('greeting failed', () => `${what} failed on ${config.name} | ${server.config.name}: ${text}`)
  if (message.tag === Internal.select && text.startsWith('BUSY ')) {
    // A script is running. The requests behind SELECT would be executed in database 0 when it has
    // ended.
    connection.close(Failure.selectRefused)
    return Verdict.handled
  }
  if (message.tag !== Internal.hello || !/^(?:ERR unknown command|NOPROTO)/.test(text)) {
    return Verdict.drop
  }
  // A server before Redis 6: it works, but its replies would not be what clients of RESP3 expect.
  learner.refusesResp3 = true
  connection.close(Failure.invalid)
  return Verdict.broken
}

/**
 * Closes the connection, whose requests have not been sent: they must not be executed in another
 * database.
 */
function databaseRefused(learner: Learner, connection: ServerConnection, text: string): number {
  const { server, database } = connection
  const outOfRange = text.includes('out of range')
  learner.databaseLimit.refused(database, server.config.name, text, outOfRange)
  connection.close(outOfRange ? Failure.noDatabase : Failure.selectRefused)
  return Verdict.handled
}
