/**
 * The shapes of what a benchmark run finds: written by `measure.ts`, read by the table, the goals, the history, the
 * plot and the document. They are also the JSON that `--json` and `bench/results/` hold, so a change of meaning needs a
 * new `format`.
 */

/**
 * `rate`: requests a second. `p50Ms` … `p999Ms`: latency. `cpuUs`: CPU of the contender a request, in µs; for `direct`
 * the servers'. `serverCpuUs`: CPU of all servers a request. `peakBytes`: highest resident set under load.
 * `settledBytes`: resident set some seconds after it. `driverShare`: CPU of the load driver, 1 = one core. `startMs`:
 * spawn to first right reply. `connectionBytes`: resident bytes an idle client.
 */
export type Metric =
  | 'rate'
  | 'p50Ms'
  | 'p99Ms'
  | 'p999Ms'
  | 'cpuUs'
  | 'serverCpuUs'
  | 'peakBytes'
  | 'settledBytes'
  | 'driverShare'
  | 'startMs'
  | 'connectionBytes'

export type Metrics = Partial<Record<Metric, number>>

/** One contender in one scenario. */
export interface ScenarioResult {
  readonly scenario: string
  readonly contender: string
  /** Medians over the rounds; for `peakBytes` the highest. Empty when `problem` is set. */
  readonly median: Metrics
  readonly rounds: readonly Metrics[]
  /** Why there is no number: wrong replies, no start, no progress. '' when all is well. */
  readonly problem: string
}

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryBytes: number
  readonly kernel: string
}

/** One whole run. */
export interface BenchRun {
  readonly format: 1
  /** ISO 8601, UTC. */
  readonly when: string
  /** Short commit id of the work tree, with `+` when it had changes; '' outside git. */
  readonly commit: string
  readonly command: string
  readonly mode: 'full' | 'short'
  readonly machine: Machine
  /** Program name to the version it prints, for instance `redis-server` to `7.0.15`. */
  readonly versions: Readonly<Record<string, string>>
  readonly rounds: number
  readonly seconds: number
  readonly results: readonly ScenarioResult[]
}

/** The result of one contender in one scenario, or null. */
export function findResult(run: BenchRun, scenario: string, contender: string): ScenarioResult | null {
  return run.results.find(result => result.scenario === scenario && result.contender === contender) ?? null
}

/** A metric's median, or NaN when it was not measured. */
export function medianOf(run: BenchRun, scenario: string, contender: string, metric: Metric): number {
  return findResult(run, scenario, contender)?.median[metric] ?? Number.NaN
}
