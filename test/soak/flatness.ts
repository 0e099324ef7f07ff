/**
 * Whether what was measured again and again stays flat: the median of the last third of the values must not lie above that of the first third
 * by more than is allowed. Medians, since single values jump: a burst's memory goes back a little later, a connection is just being closed.
 */

export interface Series {
  readonly name: string
  readonly unit: string
  /** Rise that is still flat: what is kept for reuse, and noise. */
  readonly allowance: number
  readonly values: readonly number[]
}

export interface Flatness {
  readonly name: string
  readonly unit: string
  /** Medians of the first third and of the last third of the values. */
  readonly first: number
  readonly last: number
  readonly rise: number
  readonly allowance: number
  readonly flat: boolean
}

/** @param series of three values at least, measured under like conditions. */
export function flatness(series: Series): Flatness {
  const { name, unit, allowance, values } = series
  const third = Math.ceil(values.length / 3)
  const first = median(values.slice(0, third))
  const last = median(values.slice(-third))
  const rise = last - first
  // A value that could not be measured is not flat either.
  return { name, unit, first, last, rise, allowance, flat: rise <= allowance }
}

/** Of an even number of values the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

export function describeFlatness({ name, unit, first, last, rise, allowance, flat }: Flatness): string {
  const digits = unit === '' ? 0 : 2
  const [from, to, by, most] = [first, last, rise, allowance].map(value => value.toFixed(digits))
  const change = `${name} ${from} to ${to} ${unit}`.trim()
  return `${flat ? 'flat' : 'NOT FLAT'}: ${change} (${rise > 0 ? '+' : ''}${by}, ${most} allowed)`
}
