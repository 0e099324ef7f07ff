/**
 * Drops requests from a client's order queue without a reply: a client whose server fails is
 * disconnected. Data plane.
 */

import { leaveClient } from '../request/delivery.ts'
import { type Message, MessageKind } from '../request/message.ts'

/** A client's requests without a reply, in their order. */
export interface OrderQueue {
  head: Message | null
  last: Message | null
  /** Messages in the queue. */
  pending: number
  /** Bytes of replies in the arena. */
  heldBytes: number
}

/**
 * Removes every message behind `before` (null: all of them). Servers may still answer them; the
 * replies are dropped.
 */
export function dropBehind(queue: OrderQueue, before: Message | null): void {
  let message = before === null ? queue.head : before.next
  if (before === null) queue.head = null
  else before.next = null
  queue.last = before
  while (message !== null) {
    const next: Message | null = message.next
    message.next = null
    queue.pending--
    if (message.kind === MessageKind.parent) queue.heldBytes -= message.split!.heldBytes
    else if (message.done) queue.heldBytes -= message.replyEnd - message.replyStart
    leaveClient(message)
    message = next
  }
}
