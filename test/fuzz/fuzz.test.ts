/** The short form of the fuzz: the cases that failed once, some thousands of new ones, and proof that its checks find what they look for. */

import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { runSeed } from '../support/random.ts'

/** Mutated streams over all kinds; `npm run fuzz` does a million. */
const COUNT = Number(process.env.FUZZ_COUNT ?? 8_000)
const TIMEOUT_MS = 240_000

const seed = runSeed()

/** Runs the fuzz in a process of its own, whose handles and clocks are not the test's. */
function fuzz(...args: readonly string[]): Promise<{ code: number; output: string }> {
  const main = fileURLToPath(new URL('main.ts', import.meta.url))
  return new Promise(resolve => {
    execFile(process.execPath, [main, ...args], (error, stdout, stderr) => {
      const code = error === null ? 0 : Number(error.code ?? 1)
      resolve({ code, output: stdout + stderr })
    })
  })
}

test('mutated streams of clients and servers, PROXY headers and configurations do no harm', {
  timeout: TIMEOUT_MS,
}, async () => {
  const { code, output } = await fuzz(String(COUNT), String(seed))
  expect([code, output]).toEqual([0, expect.stringContaining('no fault')])
})

test('faults that are injected are found', { timeout: TIMEOUT_MS }, async () => {
  const { code, output } = await fuzz('0', String(seed), '--self-check')
  expect([code, output]).toEqual([0, expect.stringContaining('all injected faults were found')])
})
