/**
 * Loaded into every thread of a proxy under test (`CRASH_HOOK` in `startProxy`'s environment): a
 * worker thread throws when a file `crash-<worker>` appears in the folder of the proxy, the primary
 * when it is `crash-primary`. What a bug does, injected from outside.
 */

import { existsSync, rmSync } from 'node:fs'
import { isMainThread, workerData } from 'node:worker_threads'

const POLL_MS = 5

/**
 * Environment for a proxy whose threads can be made to crash, by a file of that name in its folder.
 */
export const CRASH_HOOK = { NODE_OPTIONS: `--import=${import.meta.url}` }

export function crashFile(thread: number | 'primary'): string {
  return `crash-${thread}`
}

/** A worker that starts while this file is there dies at once. */
export const BOOT_CRASH_FILE = 'crash-at-boot'

const thread = isMainThread ? 'primary' : workerData?.workerIndex
if (thread !== undefined) {
  if (!isMainThread && existsSync(BOOT_CRASH_FILE)) throw new Error('injected crash at boot')
  const file = crashFile(thread)
  setInterval(() => {
    if (!existsSync(file)) return
    rmSync(file)
    throw new Error('injected crash')
  }, POLL_MS).unref()
}
