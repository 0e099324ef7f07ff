/**
 * A reply that the proxy gives later, once other workers have answered, in its place among the
 * client's replies. Data plane.
 */

import { finishWith } from '../request/delivery.ts'
import { type Message, MessageKind } from '../request/message.ts'
import type { Client } from './client.ts'

/**
 * Reserves the place of the current request's reply. The caller must call `lateReply` exactly once,
 * also when the client is gone.
 */
export function awaitReply(client: Client): Message {
  const message = client.messages.acquire(client, MessageKind.local)
  // As for a message in a server's queue: the client does not release it.
  message.queued = true
  client.push(message)
  return message
}

/** Writes the reply, or drops it when the client is gone. The bytes are constant. */
export function lateReply(message: Message, reply: Uint8Array): void {
  message.queued = false
  if (message.client === null) message.release()
  else finishWith(message, reply)
}
