/**
 * What a server calls a connection of ours (CLIENT ID), so that the server itself can end a command that waits there (CLIENT UNBLOCK).
 * Data plane, for connections with blocking commands only: the first one on a connection has CLIENT ID before it, in the same write.
 */

import { COLON } from '../../../bytes/ascii.ts'
import { latin1 } from '../../../bytes/text.ts'
import type { ServerConnection } from '../../server/server-connection.ts'

/** Asked, and not answered yet; also of a server that does not know CLIENT ID (before Redis 5). */
const UNKNOWN = 0

const ids: WeakMap<ServerConnection, number> = new WeakMap()
/** What is called once the number is known. */
const waiting: WeakMap<ServerConnection, () => void> = new WeakMap()

/** Whether the server has yet to be asked for its number of the connection. The caller sends CLIENT ID then. */
export function needsId(connection: ServerConnection): boolean {
  if (ids.has(connection)) return false
  ids.set(connection, UNKNOWN)
  return true
}

/** Takes the reply [start, end) to CLIENT ID. An error leaves the number unknown. */
export function noteId(connection: ServerConnection, buf: Uint8Array, start: number, end: number): void {
  const id = Number(latin1(buf, start + 1, end - 2))
  if (buf[start] !== COLON || !Number.isSafeInteger(id)) return
  ids.set(connection, id)
  waiting.get(connection)?.()
}

/** Calls `use` with the server's number of the connection: now, or once the server has told it. Never where it does not. */
export function withId(connection: ServerConnection, use: (id: number) => void): void {
  const id = ids.get(connection) ?? UNKNOWN
  if (id !== UNKNOWN) use(id)
  else waiting.set(connection, () => use(ids.get(connection)!))
}
