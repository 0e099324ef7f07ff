/**
 * The phases of a client connection, and which one may follow which. Data plane.
 *
 *     greeting ──▶ reading ◀──▶ blocked            every change goes through `Client.enter`
 *        │            │            │
 *        └────────────┴────────────┴──▶ ending ──▶ lingering ──▶ closed         every phase may go straight to closed
 *
 * | phase     | the client's bytes are        | set by, when                                                | watched in                      |
 * | --------- | ----------------------------- | ----------------------------------------------------------- | ------------------------------- |
 * | greeting  | the PROXY header              | constructor, with `proxy_protocol`                          | `greetings`                     |
 * | reading   | requests                      | constructor; `proxy-greeting.ts`, header complete; `resume` | `requests`, `writes`            |
 * | blocked   | kept for later, up to a bound | `Client.block`: enough in flight, postponed, memory short   | `requests`, `writes`, `uploads` |
 * | ending    | dropped; replies are written  | `Client.closeAfterReplies`                                  | `writes`                        |
 * | lingering | dropped; FIN is sent          | `client-ending.ts:finish`, the last reply is written        | `lingering`                     |
 * | closed    | none                          | `client-ending.ts:closeNow`                                 |                                 |
 *
 * The lists of the coarse timer are those of `client-watches.ts`. The pool's `members` have a
 * client until it is closed.
 */

/** In this order: from `ending` on, a client's bytes are dropped. */
export const Phase = { greeting: 0, reading: 1, blocked: 2, ending: 3, lingering: 4, closed: 5 } as const

/** For each phase the set of those that may follow, as bits. */
const FOLLOWING: readonly number[] = [
  bits(Phase.reading, Phase.ending, Phase.closed),
  bits(Phase.blocked, Phase.ending, Phase.closed),
  bits(Phase.reading, Phase.ending, Phase.closed),
  bits(Phase.lingering, Phase.closed),
  bits(Phase.closed),
  bits(),
]

function bits(...phases: readonly number[]): number {
  return phases.reduce((set, phase) => set | (1 << phase), 0)
}

/** @param from one of `Phase`, as is `next`. */
export function mayFollow(from: number, next: number): boolean {
  return (FOLLOWING[from] & (1 << next)) !== 0
}
