import { expect, test } from 'vitest'
import { whenQuiet } from '../../../src/net/quiet-close.ts'

/** @returns the number of counts that `whenQuiet` took, and how long it waited. */
async function wait(events: (calls: number) => number): Promise<{ calls: number; waitedMs: number }> {
  let calls = 0
  const startMs = performance.now()
  await new Promise<void>(resolve => {
    whenQuiet(() => {
      calls++
      return events(calls)
    }, resolve)
  })
  return { calls, waitedMs: performance.now() - startMs }
}

test('one poll that finds nothing is enough', async () => {
  expect((await wait(() => 0)).calls).toBe(2)
})

test('waits as long as every poll finds something', async () => {
  expect((await wait(calls => Math.min(calls, 6))).calls).toBe(8)
})

test('waits for a second at most', async () => {
  const { waitedMs } = await wait(calls => calls)
  expect(waitedMs).toBeGreaterThanOrEqual(1_000)
})
