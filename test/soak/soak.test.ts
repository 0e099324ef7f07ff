/** The soak in short, and the soak itself put to the test: what leaks must be noticed. */

import { afterAll, expect, test } from 'vitest'
import { stopAll } from '../support/processes/child.ts'
import { LEAK_HOOK } from '../support/processes/leak-hook.ts'
import { runSeed } from '../support/random.ts'
import { Wire } from '../support/wire/wire.ts'
import { describeFlatness, flatness, median } from './flatness.ts'
import { runSoak, type SoakOptions } from './soak.ts'

const SOAK_TIMEOUT_MS = 180_000
/** So many connections more stay after each round, in the soak that must notice them. */
const STAYING = 20

/** As short as it can be. */
const SHORT: SoakOptions = { ms: 0, seed: runSeed(), report: line => console.log(line) }

afterAll(stopAll)

test('nothing is wrong and nothing piles up while clients work and everything around them fails', {
  timeout: SOAK_TIMEOUT_MS,
}, async () => {
  const result = await runSoak(SHORT)
  expect(result.violations.slice(0, 5)).toEqual([])
  expect(result.checked).toBeGreaterThan(1_000)
  expect(result.risen).toEqual([])
})

test('a proxy that leaks objects, buffers, descriptors and connections is not flat in any of them', {
  timeout: SOAK_TIMEOUT_MS,
}, async () => {
  let staying: Wire[] = []
  let wanted = 0
  const everyRound = async (port: number): Promise<void> => {
    wanted += STAYING
    // Those of the worker that died come back, as a leak would.
    staying = staying.filter(wire => !wire.closed)
    while (staying.length < wanted) staying.push(await Wire.open({ port }))
  }
  const result = await runSoak({ ...SHORT, injected: { env: LEAK_HOOK, everyRound } })
  for (const wire of staying) wire.destroy()
  expect(result.risen.map(({ name }) => name)).toEqual([
    'resident memory',
    'heap',
    'buffers',
    'descriptors',
    'connections',
  ])
})

const NOISE = [3, -2, 1, -3, 2, -1, 0, 3, -2, 1]

function isFlat(values: readonly number[]): boolean {
  return flatness({ name: 'x', unit: '', allowance: 5, values }).flat
}

test('a steady rise is not flat, whatever the noise; noise, single peaks and a fall are', () => {
  expect(isFlat(NOISE.map(value => 100 + value))).toBe(true)
  expect(isFlat(NOISE.map((value, i) => 100 + value + i))).toBe(false)
  expect(isFlat(NOISE.map((value, i) => 100 + value - i))).toBe(true)
  expect(isFlat([100, 100, 100, 100, 100, 100, 100, 100, 900])).toBe(true)
  expect(isFlat([100, 100, 100, 900, 100, 100, 100, 100, 100])).toBe(true)
})

test('a rise that comes late or in one step is not flat', () => {
  expect(isFlat([100, 100, 100, 100, 100, 100, 100, 110, 120])).toBe(false)
  expect(isFlat([100, 100, 100, 100, 110, 110, 110, 110, 110])).toBe(false)
})

test('what could not be measured is not flat', () => {
  expect(isFlat([100, 100, Number.NaN, Number.NaN, Number.NaN, Number.NaN])).toBe(false)
})

test('the median is the value in the middle, or the mean of the two there', () => {
  expect(median([7, 1, 3])).toBe(3)
  expect(median([7, 1, 3, 4])).toBe(3.5)
})

test('the verdict says what rose, from what to what, and what would be allowed', () => {
  const series = { name: 'heap', unit: 'MiB', allowance: 2 }
  expect(describeFlatness(flatness({ ...series, values: [10, 11, 12] }))).toBe(
    'flat: heap 10.00 to 12.00 MiB (+2.00, 2.00 allowed)',
  )
  expect(describeFlatness(flatness({ ...series, values: [10, 11, 12.5] }))).toBe(
    'NOT FLAT: heap 10.00 to 12.50 MiB (+2.50, 2.00 allowed)',
  )
})
