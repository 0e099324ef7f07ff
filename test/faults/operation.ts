/** One request of the fault suite, with what its reply may be. `redis-work.ts` and `memcache-work.ts` make them. */

import type { EndOf } from '../support/wire/wire.ts'
import type { Modelled } from './ledger.ts'

export interface Operation {
  readonly name: string
  readonly request: Buffer
  /** What it touches: it may fail only when one of their servers is in trouble. */
  readonly keys: readonly Modelled[]
  /** Its reply may be large and pass through in pieces: when it breaks off, the proxy can only close the connection. */
  readonly mayBreakOff: boolean
  /**
   * Takes a reply that is no error into the model.
   * @returns '' when it is admissible, else what is wrong.
   */
  check(reply: Buffer, sentAtMs: number): string
  /** It failed, or its reply never came: it is unknown whether it was executed. */
  unknown(): void
}

/** What a client can ask of a pool, and how its replies are read. */
export interface Work {
  /** A random operation on the client's own keys. */
  next(): Operation
  /** An operation that reads one key, small and without effect. */
  probe(key: Modelled): Operation
  /** Writes that bring all of the client's keys into being. */
  firsts(): Operation[]
  readonly replyEnd: EndOf
  isError(reply: Buffer): boolean
}
