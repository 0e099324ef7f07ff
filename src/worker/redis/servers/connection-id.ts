/**
 * The server's id of a server connection (CLIENT ID), with which CLIENT UNBLOCK ends a command that
 * waits there. Data plane, for connections with blocking commands only: the proxy sends CLIENT ID
 * in the same write as the first of them.
 */

import { COLON } from '../../../bytes/ascii.ts'
import { latin1 } from '../../../bytes/text.ts'
import type { ServerConnection } from '../../server/server-connection.ts'

/**
 * The id before the server has answered; it stays so for servers that do not know CLIENT ID (before
 * Redis 5).
 */
const UNKNOWN = 0

const ids: WeakMap<ServerConnection, number> = new WeakMap()
/** By connection: what to call once its id is known. */
const waiting: WeakMap<ServerConnection, () => void> = new WeakMap()

/**
 * @returns true when the server was not asked for the connection's id. The caller must then send
 * CLIENT ID.
 */
export function needsId(connection: ServerConnection): boolean {
  if (ids.has(connection)) return false
  ids.set(connection, UNKNOWN)
  return true
}

/** Reads the reply [start, end) to CLIENT ID. An error leaves the id unknown. */
export function noteId(connection: ServerConnection, buf: Uint8Array, start: number, end: number): void {
  const id = Number(latin1(buf, start + 1, end - 2))
  if (buf[start] !== COLON || !Number.isSafeInteger(id)) return
  ids.set(connection, id)
  waiting.get(connection)?.()
}

/**
 * Calls `use` with the server's id of the connection, at once or when the server has answered;
 * never if the server knows no ids.
 */
export function withId(connection: ServerConnection, use: (id: number) => void): void {
  const id = ids.get(connection) ?? UNKNOWN
  if (id !== UNKNOWN) use(id)
  else waiting.set(connection, () => use(ids.get(connection)!))
}
