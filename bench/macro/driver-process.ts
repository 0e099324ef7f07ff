/** The runner's side of the load driver: starts `driver.ts` with a job and reads its answer. Called by `measure.ts`. */

import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { LoadJob, LoadResult } from './load.ts'
import type { Processes } from './processes.ts'

const DRIVER = fileURLToPath(new URL('driver.ts', import.meta.url))
/** A driver gives up by itself when nothing moves for 10 s, at each of its four steps. */
const GRACE_MS = 60_000

/** Runs one load in a process of its own. @throws when the driver itself fails; a failing load is in `problem`. */
export async function driveLoad(processes: Processes, job: LoadJob): Promise<LoadResult> {
  const child = processes.start('driver', process.execPath, [DRIVER, 'load', JSON.stringify(job)])
  const timer = setTimeout(() => child.signal('SIGKILL'), (job.seconds + job.warmupSeconds) * 1000 + GRACE_MS)
  let text = ''
  child.process.stdout?.on('data', chunk => {
    text += chunk
  })
  const how = await child.exited
  clearTimeout(timer)
  if (how !== '0') throw new Error(`The load driver ended with ${how}: ${child.lastOutput}`)
  return JSON.parse(text) as LoadResult
}

/** Idle connections held by a process of their own. */
export interface IdleClients {
  /** Closes them. @returns the problem they met, '' for none. */
  release(): Promise<string>
}

/** Resolves when all of the job's connections stand and each has had one reply. @throws with the reason if not. */
export async function driveIdle(processes: Processes, job: LoadJob): Promise<IdleClients> {
  const child = processes.start('driver', process.execPath, [DRIVER, 'idle', JSON.stringify(job)], 'pipe')
  const timer = setTimeout(() => child.signal('SIGKILL'), GRACE_MS)
  const lines = createInterface({ input: child.process.stdout! })
  const [first] = (await once(lines, 'line')) as [string]
  clearTimeout(timer)
  if (first !== 'ready') {
    await child.exited
    throw new Error(first)
  }
  return {
    release: async () => {
      const last = once(lines, 'line') as Promise<[string]>
      child.process.stdin?.end()
      const [problem] = await last
      await child.exited
      return problem
    },
  }
}
