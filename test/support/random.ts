/**
 * Seeded randomness for tests. Every random test draws from one of these, prints the seed and
 * repeats exactly with `SEED=<n>`.
 */

/**
 * Where `CI` is set: a verdict on a change must not hang on a draw. New ground is broken at home
 * and by `npm run fuzz`.
 */
const CI_SEED = 20_261_126

/**
 * The run's seed: `SEED` of the environment, else one that is always the same in CI, else drawn
 * from the clock. Printed once per test file that asks.
 */
export function runSeed(): number {
  const given = process.env.SEED
  const drawn = process.env.CI === undefined ? Date.now() % 0x7fffffff : CI_SEED
  const seed = given === undefined ? drawn : Number(given)
  console.log(`seed ${seed} (repeat with SEED=${seed})`)
  return seed
}

/** sfc32: small, fast and good enough for test data. Not for secrets. */
export class Random {
  readonly seed: number
  #a: number
  #b: number
  #c: number
  #counter = 1

  constructor(seed: number) {
    this.seed = seed
    this.#a = seed >>> 0
    this.#b = 0x9e3779b9
    this.#c = 0x243f6a88
    for (let round = 0; round < 12; round++) this.word()
  }

  /** Next unsigned 32-bit word. */
  word(): number {
    const sum = (this.#a + this.#b + this.#counter++) >>> 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) >>> 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) >>> 0
    return sum
  }

  /** Integer in [0, below). */
  below(below: number): number {
    return Math.floor((this.word() / 0x100000000) * below)
  }

  /** Integer in [low, high], both ends included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1)
  }

  chance(probability: number): boolean {
    return this.word() / 0x100000000 < probability
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!
  }

  /** @param length in bytes. */
  bytes(length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length)
    for (let at = 0; at < length; at++) bytes[at] = this.word() & 0xff
    return bytes
  }

  /** An independent stream: the same `label` of the same seed always gives the same stream. */
  fork(label: number): Random {
    return new Random((Math.imul(this.seed ^ 0x5bd1e995, 0x01000193) + Math.imul(label + 1, 0x9e3779b1)) >>> 0)
  }

  /**
   * Cut points that split `length` bytes in at most `pieces` parts: ascending offsets, ends left
   * out.
   */
  cuts(length: number, pieces: number): number[] {
    const cuts = new Set<number>()
    for (let piece = 1; piece < pieces && length > 1; piece++) cuts.add(this.between(1, length - 1))
    return [...cuts].sort((left, right) => left - right)
  }
}
