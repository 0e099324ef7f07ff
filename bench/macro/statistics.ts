/** The few statistics that the bench needs. Pure functions; called by `measure.ts`, the reports and `workload.ts`. */

import type { Metric, Metrics } from './results.ts'

/** Middle value, or the mean of the two middle ones. @returns NaN for no values. */
export function median(values: readonly number[]): number {
  if (values.length === 0) return Number.NaN
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** Metric by metric: the median over the rounds that have it; of `peakBytes` the highest, because a peak is a bound. */
export function medianOfRounds(rounds: readonly Metrics[]): Metrics {
  const result: Metrics = {}
  const names = new Set(rounds.flatMap(round => Object.keys(round) as Metric[]))
  for (const name of names) {
    const values = rounds
      .map(round => round[name])
      .filter(value => value !== undefined && Number.isFinite(value)) as number[]
    if (values.length === 0) continue
    result[name] = name === 'peakBytes' ? Math.max(...values) : median(values)
  }
  return result
}

/** a / b, or NaN when either is missing or b is 0. */
export function ratio(a: number, b: number): number {
  return b === 0 || !Number.isFinite(a) || !Number.isFinite(b) ? Number.NaN : a / b
}

/** Small seeded generator (mulberry32), so that a load can be repeated. @returns integers in [0, bound). */
export function seededIntegers(seed: number): (bound: number) => number {
  let state = seed >>> 0
  return bound => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296) * bound)
  }
}
