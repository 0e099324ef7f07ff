/**
 * `npm run bench:micro`: runs every `*.bench.ts` below this folder by tinybench and prints
 * nanoseconds a call. Each suite runs in its own process, because a function that has seen another
 * suite's shapes is compiled for both. PATTERN is matched against the path below this folder:
 * `request-path`, `protocol/`.
 *
 *     npm run bench:micro -- [PATTERN] [--time MS] [--json FILE]
 */

import { spawnSync } from 'node:child_process'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { Bench } from 'tinybench'
import { type Column, figure, textTable } from '../macro/table.ts'
import type { Suite } from './suite.ts'

const FOLDER = fileURLToPath(new URL('.', import.meta.url))
const DEFAULT_TIME_MS = 200

/** One task's result: nanoseconds a call. */
interface TaskResult {
  readonly suite: string
  readonly task: string
  readonly medianNs: number
  readonly p99Ns: number
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    time: { type: 'string', default: String(DEFAULT_TIME_MS) },
    json: { type: 'string', default: '' },
    suite: { type: 'string', default: '' },
  },
})

if (values.suite !== '') {
  const results = JSON.stringify(await runSuite(values.suite, Number(values.time)))
  // A suite may have left a timer, as a worker has one.
  process.stdout.write(results, () => process.exit())
} else {
  process.exitCode = runAll(positionals[0] ?? '', values.time, values.json)
}

/** @returns the exit code: 1 when a suite failed or none matched. */
function runAll(pattern: string, timeMs: string, json: string): number {
  const files = readdirSync(FOLDER, { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.bench.ts') && new RegExp(pattern).test(name))
    .sort()
  if (files.length === 0) console.error(`No bench file matches ${pattern}`)
  const results: TaskResult[] = []
  let failed = files.length === 0
  for (const file of files) {
    const child = spawnSync(
      process.execPath,
      [fileURLToPath(import.meta.url), '--suite', join(FOLDER, file), '--time', timeMs],
      { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] },
    )
    if (child.status === 0) {
      const measured = JSON.parse(child.stdout) as TaskResult[]
      console.log(`\n${measured[0]?.suite ?? file}\n${renderTasks(measured)}`)
      results.push(...measured)
    } else {
      console.error(`${file} failed`)
      failed = true
    }
  }
  if (json !== '') writeFileSync(json, `${JSON.stringify(results, null, 1)}\n`)
  return failed ? 1 : 0
}

async function runSuite(path: string, timeMs: number): Promise<TaskResult[]> {
  const { suite } = (await import(pathToFileURL(path).href)) as { suite: Suite }
  const bench = new Bench({ time: timeMs, warmupTime: timeMs / 2, throws: true })
  for (const task of suite.tasks) bench.add(task.name, task.fn)
  await bench.run()
  return suite.tasks.map(task => {
    const { result } = bench.getTask(task.name)!
    if (result.state !== 'completed') throw new Error(`${suite.name}, ${task.name}: ${result.state}`)
    const nanoseconds = 1e6 / task.batch
    return {
      suite: suite.name,
      task: task.name,
      medianNs: result.latency.p50 * nanoseconds,
      p99Ns: result.latency.p99 * nanoseconds,
    }
  })
}

function renderTasks(results: readonly TaskResult[]): string {
  const columns: Column[] = [
    { title: 'task', align: 'left' },
    { title: 'ns a call', align: 'right' },
    { title: 'p99', align: 'right' },
  ]
  return textTable(
    columns,
    results.map(result => [result.task, figure(result.medianNs), figure(result.p99Ns)]),
  )
}
