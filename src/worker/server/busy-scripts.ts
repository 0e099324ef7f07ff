/**
 * Connections for clients that run scripts. Data plane. A server does not read a connection whose script is running, so that what is queued
 * behind the script waits for its end, where a client of the server itself would hear `-BUSY`. Hence clients that run scripts share
 * connections of a kind of their own (`connection-kind.ts`), and one whose script takes long is set aside: new requests open another.
 */

import type { Message } from '../request/message.ts'
import { isForScripts } from './connection-kind.ts'

/** A script that has run for this long may be an endless one, ms. Far above the round trip of a server in the same network. */
const BUSY_SCRIPT_MS = 100

export interface ScriptConnection {
  readonly kind: number
  readonly head: Message | null
  readonly isUp: boolean
  /** Time since the server last said something, ms. */
  silentMs(nowMs: number): number
}

/** What a server can do with a connection. */
export interface Parking<Connection> {
  /** Takes a connection out of use. @returns false when too many are out of use. */
  park(connection: Connection): boolean
  /** Puts it to use again. */
  unpark(connection: Connection): void
}

/** Called by the coarse timer. @param shared connections in use. @param parked those out of use, for any reason. */
export function setAsideBusy<Connection extends ScriptConnection>(
  server: Parking<Connection>,
  shared: readonly Connection[],
  parked: readonly Connection[],
  nowMs: number,
): void {
  for (const connection of shared) {
    const { kind, head, isUp } = connection
    if (!isForScripts(kind) || head === null || !isUp || connection.silentMs(nowMs) < BUSY_SCRIPT_MS) continue
    if (server.park(connection)) waitForReplies(head)
  }
  for (const connection of [...parked]) {
    if (isForScripts(connection.kind) && connection.head === null) server.unpark(connection)
  }
}

/** The clients' next requests would use another connection, and overtake those that wait on this one. */
function waitForReplies(head: Message): void {
  for (let message: Message | null = head; message !== null; message = message.serverNext) {
    const client = message.split === null ? message.client : message.split.parent.client
    client?.waitForReplies()
  }
}
