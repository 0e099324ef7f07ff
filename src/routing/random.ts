/**
 * The random distribution: a uniform draw among the live servers, whatever their weights. The table
 * is one of modula with equal weights; the draw stands where other distributions have the hash.
 * Data plane, once a request.
 */

/**
 * Marsaglia's xorshift of 32 bits: a few nanoseconds and no allocation. One per pool and worker.
 */
export class RandomDraw {
  /** Never 0. */
  state: number

  /** @param seed any integer but a multiple of 2^32. */
  constructor(seed: number) {
    this.state = seed | 0
  }

  /** @returns int32, never 0. */
  next(): number {
    let state = this.state
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    this.state = state
    return state
  }
}
