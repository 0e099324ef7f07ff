/**
 * The shape of a file in this folder: `export const suite: Suite`. One file a hot function of `src`, named after its
 * module.
 */

export interface Task {
  readonly name: string
  /**
   * Calls of what is measured in one call of `fn`: at least 1,000 below a microsecond, so that the clock's own 50 ns
   * vanish.
   */
  readonly batch: number
  readonly fn: () => void
}

export interface Suite {
  /** The module under `src`, for instance `protocol/resp/request-parser`. */
  readonly name: string
  readonly tasks: readonly Task[]
}

/** Usual number of calls in one `fn`. */
export const BATCH = 1_000

/** What a task computes goes here, so that the compiler cannot leave the work out. */
export const sink = { value: 0 }
