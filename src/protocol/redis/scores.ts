/** Scores of sorted sets as servers print them, and as the proxy prints those that it has computed. Data plane. */

/** @returns the number in a server's reply. */
export function readScore(text: string): number {
  return text === 'inf' ? Number.POSITIVE_INFINITY : text === '-inf' ? Number.NEGATIVE_INFINITY : Number(text)
}

/** A weight as a client writes it. @returns NaN for what is not plainly a number. */
export function readWeight(text: string): number {
  if (/^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(text)) return Number(text)
  const infinite = /^([+-]?)inf(?:inity)?$/i.exec(text)
  if (infinite === null) return Number.NaN
  return infinite[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
}

/** Prints numbers as the servers do whose replies it has seen: 17 digits before Redis 7.2, since then as few as tell it apart. */
export class ScorePrinter {
  private long: boolean
  private readonly seen: Map<number, string> = new Map()

  /** @param version of a server, or '' where it is not known. */
  constructor(version: string) {
    const [major, minor] = version.split('.').map(Number)
    this.long = version === '' || major < 7 || (major === 7 && minor < 2)
  }

  /** A score and its text in a server's reply. */
  learn(score: number, text: string): void {
    this.seen.set(score, text)
    if (!Number.isFinite(score) || Number.isInteger(score)) return
    const long = longText(score)
    if (long !== shortText(score)) this.long = text === long
  }

  print(score: number): string {
    if (!Number.isFinite(score)) return score > 0 ? 'inf' : '-inf'
    // A Map holds 0 and -0 for the same.
    if (score === 0) return Object.is(score, -0) ? '-0' : '0'
    return this.seen.get(score) ?? (this.long ? longText(score) : shortText(score))
  }
}

/** C's `%.17g`. */
function longText(value: number): string {
  const [mantissa, exponent] = value.toExponential(16).split('e')
  const power = Number(exponent)
  if (power < -4 || power >= 17) {
    return `${withoutZeros(mantissa)}e${power < 0 ? '-' : '+'}${`${Math.abs(power)}`.padStart(2, '0')}`
  }
  return withoutZeros(value.toFixed(16 - power))
}

function withoutZeros(text: string): string {
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text
}

/** The fewest digits that give the number back, in the layout of Redis's fpconv. */
function shortText(value: number): string {
  const [mantissa, exponent] = Math.abs(value).toExponential().split('e')
  const digits = mantissa.replace('.', '')
  const sign = value < 0 ? '-' : ''
  const power = Number(exponent)
  /** Power of ten of the last digit. */
  const last = power - digits.length + 1
  if (last >= 0 && (Math.abs(power) < digits.length + 7 || Number.isSafeInteger(value))) {
    return sign + digits + '0'.repeat(last)
  }
  if (last < 0 && (last > -7 || Math.abs(power) < 4)) {
    const point = digits.length + last
    return point <= 0
      ? `${sign}0.${'0'.repeat(-point)}${digits}`
      : `${sign}${digits.slice(0, point)}.${digits.slice(point)}`
  }
  return `${sign}${mantissa}e${power < 0 ? '-' : '+'}${Math.abs(power)}`
}
