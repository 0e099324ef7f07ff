/** One sort of case: how it is made and how it is run. What `main.ts` and the minimiser know of it. */

import type { Random } from '../support/random.ts'
import type { InjectedFault } from './injected-fault.ts'

/**
 * All of a case: the seed decides everything but the streams, so these can be made smaller while
 * the rest stays the same.
 */
export interface Case {
  readonly seed: number
  /** What was mutated: at least one. */
  readonly streams: readonly Buffer[]
}

export interface Kind {
  readonly name: string
  /** Of a million streams. */
  readonly share: number
  /** @param seed of the case. */
  make(seed: number): Case
  /** @throws Fault, or whatever the code throws. */
  run(fuzzed: Case, injected: InjectedFault | null): void | Promise<void>
}

/** The random numbers of a case's streams and of its events are apart. */
export const Fork = { streams: 0, options: 1, world: 2, actors: 3 } as const

/** A random choice of which the first is the usual one. */
export function usually<T>(random: Random, usual: T, others: readonly T[], share = 0.3): T {
  return random.chance(share) ? random.pick(others) : usual
}
