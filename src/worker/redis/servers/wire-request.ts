/** Requests of the proxy's own to Redis servers, as they are written on the wire. Data plane, for rare requests. */

import { MessageKind } from '../../request/message.ts'
import type { ServerConnection } from '../../server/server-connection.ts'

/** Tags of the proxy's own requests. */
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
  /** A script or library that the server has missed (`script-loading.ts`). */
  load: 8,
  /** SELECT of a database that a client has selected. Without it the client's requests would go to another database. */
  database: 9,
} as const

/** A request as the server takes it. Arguments are one char a byte. */
export function wireRequest(...args: readonly string[]): Buffer {
  return Buffer.from(`*${args.length}\r\n${args.map(arg => `$${arg.length}\r\n${arg}\r\n`).join('')}`, 'latin1')
}

/** Queues a request of the proxy's own. @param tag one of `Internal`. */
export function queueInternal(connection: ServerConnection, tag: number, bytes: Uint8Array): void {
  enqueueInternal(connection, tag, bytes)
  connection.socket.append(bytes, 0, bytes.length)
}

/** Likewise, but the caller writes the bytes. */
export function enqueueInternal(connection: ServerConnection, tag: number, bytes: Uint8Array): void {
  const message = connection.server.pool.context.messages.acquire(null, MessageKind.internal)
  message.tag = tag
  connection.enqueue(message, bytes.length)
}
