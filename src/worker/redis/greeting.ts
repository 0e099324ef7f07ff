/**
 * What a new connection to a Redis server says first, and what becomes of the replies to requests of the proxy's own. Data plane. The
 * replies reach no client; errors among them are logged, or end the connection.
 */

import { MINUS } from '../../bytes/ascii.ts'
import { latin1 } from '../../bytes/text.ts'
import { Failure } from '../request/failure.ts'
import type { Message } from '../request/message.ts'
import type { ServerConnection } from '../server/server-connection.ts'
import { Verdict } from '../server/server-protocol.ts'
import { noteId } from './connection-id.ts'
import { Internal, queueInternal, wireRequest } from './wire-request.ts'

/** What learns that a server has no RESP3: the pool's protocol. */
interface Resp3Refuser {
  refusesResp3: boolean
}

const LOADING = /^-(LOADING|MASTERDOWN) /
const PING = wireRequest('PING')

/**
 * AUTH, then SELECT: the other order leaves the database unselected on servers with a password. HELLO carries the password itself, and the
 * user's name with it.
 */
export function greet(connection: ServerConnection): void {
  const { redisAuth, redisDb } = connection.server.pool.config
  if (connection.resp3) {
    const auth = redisAuth === '' ? [] : ['AUTH', 'default', redisAuth]
    queueInternal(connection, Internal.hello, wireRequest('HELLO', '3', ...auth))
  } else if (redisAuth !== '') {
    queueInternal(connection, Internal.auth, wireRequest('AUTH', redisAuth))
  }
  if (redisDb > 0) queueInternal(connection, Internal.select, wireRequest('SELECT', String(redisDb)))
}

/** Asks a server that was lost whether it serves again: while it loads its data it answers `-LOADING`. */
export function probe(connection: ServerConnection): void {
  queueInternal(connection, Internal.probe, PING)
}

/** Looks at the reply [start, end) to one of them. @returns one of `Verdict`. */
export function inspectInternal(
  connection: ServerConnection,
  message: Message,
  buf: Uint8Array,
  start: number,
  end: number,
): number {
  if (message.tag === Internal.id) noteId(connection, buf, start, end)
  if (buf[start] !== MINUS || message.tag === Internal.quiet || message.tag === Internal.id) return Verdict.drop
  if (message.tag === Internal.vital) return Verdict.broken
  if (message.tag === Internal.probe) {
    if (!LOADING.test(latin1(buf, start, end))) return Verdict.drop
    connection.close(Failure.closed)
    return Verdict.handled
  }
  const { server } = connection
  const { config, limitedLog, protocol } = server.pool
  const text = latin1(buf, start + 1, end - 2)
  const what =
    message.tag === Internal.select ? `SELECT ${config.redisDb}` : message.tag === Internal.hello ? 'HELLO 3' : 'AUTH'
  limitedLog.warn('greeting failed', () => `${what} failed on ${config.name} | ${server.config.name}: ${text}`)
  if (message.tag !== Internal.hello || !/^(?:ERR unknown command|NOPROTO)/.test(text))
    return Verdict.drop
    // A server before Redis 6. Replies of the older protocol would not be what clients of the newer one expect; the server is in order, though.
  ;(protocol as unknown as Resp3Refuser).refusesResp3 = true
  connection.close(Failure.invalid)
  return Verdict.broken
}
