/**
 * A reply that the proxy itself gives later, in its place among the client's replies: once other workers have answered. Data plane.
 */

import { finishWith } from '../request/delivery.ts'
import { type Message, MessageKind } from '../request/message.ts'
import type { Client } from './client.ts'

/** Keeps the current request's place. The caller gives exactly one `lateReply` to it, also when the client is gone meanwhile. */
export function awaitReply(client: Client): Message {
  const message = client.messages.acquire(client, MessageKind.local)
  // Like a message in a server's queue: it outlives its client.
  message.queued = true
  client.push(message)
  return message
}

/** Answers, or drops the reply where the client is gone. The bytes are constant. */
export function lateReply(message: Message, reply: Uint8Array): void {
  message.queued = false
  if (message.client === null) message.release()
  else finishWith(message, reply)
}
