import { describe, expect, it } from 'vitest'
import { median, medianOfRounds, ratio, seededIntegers } from '../../../bench/macro/statistics.ts'

describe('median', () => {
  it('is the middle value whatever the order', () => {
    expect(median([9, 1, 5])).toBe(5)
    expect(median([4, 1, 3, 2])).toBe(2.5)
  })

  it('of nothing is not a number', () => {
    expect(median([])).toBeNaN()
  })

  it('leaves the values as they were', () => {
    const values = [3, 1, 2]
    median(values)
    expect(values).toEqual([3, 1, 2])
  })
})

describe('medianOfRounds', () => {
  it('takes each metric by itself, from the rounds that have it', () => {
    const rounds = [
      { rate: 10, p99Ms: 5 },
      { rate: 30, p99Ms: 1 },
      { rate: 20, p99Ms: 3, settledBytes: 7 },
    ]
    expect(medianOfRounds(rounds)).toEqual({ rate: 20, p99Ms: 3, settledBytes: 7 })
  })

  it('keeps the highest peak', () => {
    expect(medianOfRounds([{ peakBytes: 5 }, { peakBytes: 9 }, { peakBytes: 1 }])).toEqual({ peakBytes: 9 })
  })

  it('leaves out a metric that is not a number in every round', () => {
    expect(medianOfRounds([{ startMs: Number.NaN }])).toEqual({})
  })
})

describe('ratio', () => {
  it('is not a number when a side is missing or the divisor is 0', () => {
    expect(ratio(6, 3)).toBe(2)
    expect(ratio(6, 0)).toBeNaN()
    expect(ratio(Number.NaN, 3)).toBeNaN()
    expect(ratio(3, Number.NaN)).toBeNaN()
  })
})

describe('seededIntegers', () => {
  it('stays below the bound, reaches all values, and repeats for a seed', () => {
    const random = seededIntegers(42)
    const values = Array.from({ length: 2000 }, () => random(10))
    expect(new Set(values)).toEqual(new Set([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]))
    const again = seededIntegers(42)
    expect(Array.from({ length: 2000 }, () => again(10))).toEqual(values)
  })
})
