/**
 * How much memory this thread's data takes: requests and replies that wait, and the records that keep their order. Data plane; counted
 * where it is lent and given back (`slab.ts`, `reply-arena.ts`, `tail.ts`, `message.ts`, `socket.ts`), looked at by `memory-guard.ts`.
 */

/** What a request's record takes in V8's heap, with its share of the queues. */
export const MESSAGE_BYTES = 256

/** In a typed array, since a number beyond 2³¹ in a variable would be allocated anew at each change. */
const lent = new Float64Array(1)
/** Not in it: this one changes twice a request. */
let messages = 0

/** Counts memory that data takes from now on, or with a negative number takes no more. */
export function countBytes(bytes: number): void {
  lent[0] += bytes
}

/** Counts a request's record, or with -1 its end. */
export function countMessage(sign: number): void {
  messages += sign
}

/** Bytes that data takes now, requests' records included. */
export function lentBytes(): number {
  return lent[0] + messages * MESSAGE_BYTES
}

/** Requests that wait now, for whatever. */
export function lentMessages(): number {
  return messages
}
