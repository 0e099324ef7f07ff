/**
 * Requests of the proxy's own on Redis server connections: what a new one says first, and what brackets a transaction. Data plane. Their
 * replies reach nobody; errors among them are told in the log, or end the connection.
 */

import { latin1 } from '../../bytes/text.ts'
import { Failure } from '../request/failure.ts'
import { type Message, MessageKind, takeMessage } from '../request/message.ts'
import type { ServerConnection } from '../server/server-connection.ts'
import { Verdict } from '../server/server-protocol.ts'
import { noteId } from './connection-id.ts'
import type { RedisProtocol } from './redis-protocol.ts'

/** Tags of such requests. */
export const Internal = {
  auth: 1,
  select: 2,
  hello: 3,
  /** What follows would mean something else if the server refused this one. */
  vital: 4,
  /** The server tells of an error again where it matters: in EXEC's reply. */
  quiet: 5,
  /** CLIENT ID: the server's number of this connection (`connection-id.ts`). */
  id: 6,
  /** Is the server ready? */
  probe: 7,
} as const

const MINUS = 45
const LOADING = /^-(LOADING|MASTERDOWN) /
const PING = Buffer.from('*1\r\n$4\r\nPING\r\n')

/** A request as the server takes it. Arguments are one char a byte. */
export function wireRequest(...args: readonly string[]): Buffer {
  return Buffer.from(`*${args.length}\r\n${args.map(arg => `$${arg.length}\r\n${arg}\r\n`).join('')}`, 'latin1')
}

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

/** Queues a request of the proxy's own. @param tag one of `Internal`. */
export function queueInternal(connection: ServerConnection, tag: number, bytes: Uint8Array): void {
  const message = takeMessage(null, MessageKind.internal)
  message.tag = tag
  connection.enqueue(message, bytes.length)
  connection.socket.append(bytes, 0, bytes.length)
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
  ;(protocol as RedisProtocol).refusesResp3 = true
  connection.close(Failure.invalid)
  return Verdict.broken
}
