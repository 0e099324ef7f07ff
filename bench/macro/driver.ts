/**
 * Process of the load driver: `node driver.ts load|idle JOB` with the job as JSON. `load` prints one line of JSON, a
 * `LoadResult`. `idle` prints `ready` when its connections stand, keeps them until its input ends, and then prints what
 * went wrong, or an empty line. Started by `driver-process.ts`; a process of its own so that its CPU is counted apart
 * and nothing else runs on its loop.
 */

import { holdIdle, type LoadJob, runLoad } from './load.ts'

const [kind, text] = process.argv.slice(2) as ['load' | 'idle', string]
const job = JSON.parse(text) as LoadJob

if (kind === 'load') {
  print(JSON.stringify(await runLoad(job)))
} else {
  const inputEnd = new Promise<void>(resolve => {
    process.stdin.once('end', resolve)
  })
  process.stdin.resume()
  print(await holdIdle(job, () => print('ready'), inputEnd))
}
process.exit(0)

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
