import { expect, test } from 'vitest'
import { LogThrottle } from '../../../src/log/throttle.ts'

test('the first line is written, then one in ten seconds, which tells how many were not', () => {
  const throttle = new LogThrottle()
  expect(throttle.take(0)).toBe(0)
  expect([1, 5_000, 9_999].map(nowMs => throttle.take(nowMs))).toEqual([-1, -1, -1])
  expect(throttle.take(10_000)).toBe(3)
  expect(throttle.take(19_999)).toBe(-1)
  expect(throttle.take(50_000)).toBe(1)
  expect(throttle.take(60_000)).toBe(0)
})
