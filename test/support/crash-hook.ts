/**
 * Loaded into every thread of a proxy under test (`CRASH_HOOK` in `startProxy`'s environment): a worker thread throws when a file
 * `crash-<worker>` appears in the folder of the proxy. What a bug in a worker does, planted from outside.
 */

import { existsSync, rmSync } from 'node:fs'
import { isMainThread, workerData } from 'node:worker_threads'

const POLL_MS = 5

/** Environment for a proxy whose workers can be made to crash; `crash(folder, worker)` does it. */
export const CRASH_HOOK = { NODE_OPTIONS: `--import=${import.meta.url}` }

/** Name of the file, in the proxy's folder, that makes the worker crash. */
export function crashFile(worker: number): string {
  return `crash-${worker}`
}

if (!isMainThread && workerData?.workerIndex !== undefined) {
  const file = crashFile(workerData.workerIndex)
  setInterval(() => {
    if (!existsSync(file)) return
    rmSync(file)
    throw new Error('planted crash')
  }, POLL_MS).unref()
}
