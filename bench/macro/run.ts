/**
 * `npm run bench`: starts the servers, measures the chosen scenarios with all contenders, prints a table of each,
 * judges the goals, tells the trend, and writes what was asked for. Exit code 1: wrong options, a contender that could
 * not be measured, or, in the short form, a ratio that noise cannot explain.
 *
 *     options ─▶ servers ─▶ measure.ts, scenario by scenario ─▶ table │ goals │ trend │ JSON │ bench/results │ docs
 */

import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, release, totalmem, type } from 'node:os'
import { fileURLToPath } from 'node:url'
import { writeDocuments } from './document.ts'
import { judgeGoals } from './goals.ts'
import { loadRuns, previousRun, runText, saveRun, trendLines } from './history.ts'
import { type MeasureContext, measureScenario } from './measure.ts'
import { type BenchOptions, HELP, parseOptions } from './options.ts'
import { Processes } from './processes.ts'
import { goalRows, type Rows, scenarioRows } from './report.ts'
import type { BenchRun, ScenarioResult } from './results.ts'
import { describeScenario, SCENARIOS } from './scenarios.ts'
import { type ServerGroup, startServers } from './servers.ts'
import { textTable } from './table.ts'
import type { Protocol } from './workload.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const RESULTS = fileURLToPath(new URL('../results', import.meta.url))

process.exitCode = await main(process.argv.slice(2))

async function main(argv: readonly string[]): Promise<number> {
  let options: BenchOptions
  try {
    options = parseOptions(argv)
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    return 1
  }
  if (options.help) {
    console.log(HELP)
    return 0
  }
  if (options.list) {
    for (const scenario of SCENARIOS) console.log(`${scenario.name.padEnd(16)}${describeScenario(scenario)}`)
    return 0
  }
  const processes = new Processes()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void processes.endAll().then(() => process.exit(130)))
  }
  try {
    const run = describeRun(options, argv, await measureAll(options, processes))
    return conclude(run, options)
  } finally {
    await processes.endAll()
  }
}

async function measureAll(options: BenchOptions, processes: Processes): Promise<ScenarioResult[]> {
  const groups = new Map<Protocol, Promise<ServerGroup>>()
  const context: MeasureContext = {
    processes,
    options,
    contenders: options.contenders,
    servers: protocol => {
      const group = groups.get(protocol) ?? startServers(processes, protocol)
      groups.set(protocol, group)
      return group
    },
    unstartable: new Map(),
  }
  const results: ScenarioResult[] = []
  for (const scenario of options.scenarios) {
    const measured = await measureScenario(context, scenario)
    console.log(`\n${scenario.name}: ${describeScenario(scenario)}\n${renderText(scenarioRows(scenario, measured))}`)
    results.push(...measured)
  }
  return results
}

function describeRun(options: BenchOptions, argv: readonly string[], results: readonly ScenarioResult[]): BenchRun {
  return {
    format: 1,
    when: new Date().toISOString(),
    commit: commitId(),
    command: ['npm run bench', ...(argv.length > 0 ? ['--', ...argv.map(shellWord)] : [])].join(' '),
    mode: options.short ? 'short' : 'full',
    machine: {
      cpu: cpus()[0]?.model ?? 'unknown',
      cores: availableParallelism(),
      memoryBytes: totalmem(),
      kernel: `${type()} ${release()}`,
    },
    versions: {
      pistachio: (JSON.parse(readFileSync(`${ROOT}/package.json`, 'utf8')) as { version: string }).version,
      node: process.versions.node,
      nutcracker: versionOf('nutcracker', ['-V'], /nutcracker-(\S+)/),
      'redis-server': versionOf('redis-server', ['--version'], /v=(\S+)/),
      memcached: versionOf('memcached', ['-V'], /memcached (\S+)/),
    },
    rounds: options.rounds,
    seconds: options.seconds,
    results,
  }
}

/** Prints the verdicts and writes the files. @returns the exit code. */
function conclude(run: BenchRun, options: BenchOptions): number {
  const goals = judgeGoals(run)
  if (goals.length > 0) console.log(`\nGoals\n${renderText(goalRows(goals))}`)
  const stored = loadRuns(RESULTS)
  const before = previousRun(stored, run)
  const trend = before === null ? [] : trendLines(before, run)
  if (trend.length > 0) console.log(`\nSince ${before!.when.slice(0, 16)} (${before!.commit})\n${trend.join('\n')}`)
  if (options.json !== '') writeFileSync(options.json, runText(run))
  if (options.save) console.log(`\nSaved ${saveRun(RESULTS, run)}`)
  if (options.writeDocs) console.log(`Wrote ${writeDocuments(ROOT, run, [...stored, run]).join(', ')}`)
  const problems = run.results.filter(result => result.problem !== '')
  printProblems(problems)
  const alarms = goals.filter(goal => goal.alarm)
  if (options.short && alarms.length > 0) console.error(`${alarms.length} ratios are beyond what noise explains`)
  return problems.length > 0 || (options.short && alarms.length > 0) ? 1 : 0
}

function shellWord(argument: string): string {
  return /^[\w./:=,-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", "'\\''")}'`
}

/** One line a problem, with all the scenarios that it spoiled. */
function printProblems(problems: readonly ScenarioResult[]): void {
  for (const [what, alike] of Map.groupBy(problems, ({ contender, problem }) => `${contender}: ${problem}`)) {
    console.error(`Not measured: ${what} (${alike.map(result => result.scenario).join(', ')})`)
  }
}

function renderText({ columns, cells }: Rows): string {
  return textTable(columns, cells)
}

function commitId(): string {
  const id = outputOf('git', ['-C', ROOT, 'rev-parse', '--short', 'HEAD']).trim()
  const changes = outputOf('git', ['-C', ROOT, 'status', '--porcelain', '--', 'src', 'bin', 'package.json']).trim()
  return id === '' ? '' : id + (changes === '' ? '' : '+')
}

function versionOf(program: string, args: readonly string[], pattern: RegExp): string {
  return pattern.exec(outputOf(program, args))?.[1] ?? 'none'
}

/** Both streams: nutcracker prints its version on stderr. '' when the program is missing. */
function outputOf(program: string, args: readonly string[]): string {
  try {
    return execFileSync('/bin/sh', ['-c', 'exec "$0" "$@" 2>&1', program, ...args], { encoding: 'utf8' })
  } catch {
    return ''
  }
}
