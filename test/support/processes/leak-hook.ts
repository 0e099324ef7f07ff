/**
 * Loaded into every thread of a proxy under test (`LEAK_HOOK` in `startProxy`'s environment): the
 * thread leaks a little of everything, all the time. What a bug does, injected from outside, for
 * tests of the leak checks.
 */

import { openSync } from 'node:fs'

const INTERVAL_MS = 100
const OBJECTS = 2_000
const BUFFER_BYTES = 300_000
const MARK = 'PISTACHIO_TEST_LEAKS'

export const LEAK_HOOK = { NODE_OPTIONS: `--import=${import.meta.url}`, [MARK]: '1' }

// This module is also what tests import, in processes of their own.
if (process.env[MARK] !== undefined) {
  const leaked: unknown[] = []
  setInterval(() => {
    leaked.push(Array.from({ length: OBJECTS }, (_, number) => ({ number, text: `${number}` })))
    leaked.push(Buffer.alloc(BUFFER_BYTES, 1))
    leaked.push(openSync('/dev/null', 'r'))
  }, INTERVAL_MS).unref()
}
