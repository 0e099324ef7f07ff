/**
 * The shape of a bench file: `export const suite: Suite`. The folders are those of `src`; a file is
 * named after the module or the path that it measures.
 */

export interface Task {
  readonly name: string
  /**
   * Calls of the measured function in one call of `fn`. At least 1,000 when a call takes less than
   * a microsecond: reading the clock costs 50 ns.
   */
  readonly batch: number
  readonly fn: () => void
}

export interface Suite {
  /** The module under `src`, for instance `protocol/redis/request-parser`. */
  readonly name: string
  readonly tasks: readonly Task[]
}

/** Usual number of calls in one `fn`. */
export const BATCH = 1_000

/** Tasks add their results here, so that the compiler cannot remove the work. */
export const sink = { value: 0 }
