/** The proxy's own requests to Redis servers. Data plane, for rare requests. */

import { MessageKind } from '../../request/message.ts'
import type { ServerConnection } from '../../server/server-connection.ts'

/** Tags of the proxy's own requests. */
export const Internal = {
  auth: 1,
  select: 2,
  hello: 3,
  /** An error closes the connection: the requests behind this one would mean something else. */
  vital: 4,
  /** An error is ignored: the server repeats it in EXEC's reply. */
  quiet: 5,
  /** CLIENT ID: the server's id of this connection (`connection-id.ts`). */
  id: 6,
  /** PING: asks whether the server serves again. */
  probe: 7,
  /** A script or library that the server does not have (`script-loading.ts`). */
  load: 8,
  /**
   * SELECT of a client's database. An error closes the connection: its requests would be executed
   * in another database.
   */
  database: 9,
} as const

/** @returns a request on the wire. @param args one char a byte. */
export function wireRequest(...args: readonly string[]): Buffer {
  return Buffer.from(`*${args.length}\r\n${args.map(arg => `$${arg.length}\r\n${arg}\r\n`).join('')}`, 'latin1')
}

/** Sends a request of the proxy's own. @param tag one of `Internal`. */
export function queueInternal(connection: ServerConnection, tag: number, bytes: Uint8Array): void {
  enqueueInternal(connection, tag, bytes)
  connection.socket.append(bytes, 0, bytes.length)
}

/**
 * Queues a request of the proxy's own. The caller must append its bytes to the connection's socket.
 * @param tag one of `Internal`.
 */
export function enqueueInternal(connection: ServerConnection, tag: number, bytes: Uint8Array): void {
  const message = connection.server.pool.context.messages.acquire(null, MessageKind.internal)
  message.tag = tag
  connection.enqueue(message, bytes.length)
}
