/**
 * The speed that pistachio must show, as data, and the judgement of a run. All but two are ratios within one run,
 * because this kind of machine is as noisy as it is small. Called by `run.ts` for the verdict and by the reports.
 */

import { type BenchRun, type Metric, medianOf } from './results.ts'
import { ratio } from './statistics.ts'

export interface Goal {
  readonly scenario: string
  readonly contender: string
  readonly metric: Metric
  /** The contender whose figure is the divisor; '' when the value is absolute. */
  readonly versus: string
  readonly bound: 'at least' | 'at most'
  readonly value: number
  /** Beyond this noise explains nothing any more, and the short form fails; NaN = never. */
  readonly alarm: number
}

export interface GoalResult {
  readonly goal: Goal
  /** The ratio, or the figure itself; NaN when it was not measured. */
  readonly measured: number
  readonly verdict: 'met' | 'missed' | 'not measured'
  /** Missed by more than noise can explain: the short form fails. */
  readonly alarm: boolean
}

/**
 * Alarms are at about a quarter of what a quiet machine shows: two measurements of the same thing on a busy one have been
 * seen to differ by a factor of three. Memcached's are lower: `bench/notes.md` says why. Tails and absolute figures
 * depend on the machine too much to fail a build.
 */
export const GOALS: readonly Goal[] = [
  ...['get-p1', 'set-p1', 'mc-get-p1', 'mc-set-p1'].flatMap(scenario => [
    rateGoal(scenario, 1.15, 0.3),
    goal(scenario, 'cpuUs', 'at most', 0.75, 2),
    goal(scenario, 'p99Ms', 'at most', 1),
  ]),
  ...['get-p16', 'set-p16'].map(scenario => rateGoal(scenario, 3.5, 0.6)),
  ...['mc-get-p16', 'mc-set-p16'].map(scenario => rateGoal(scenario, 3.5, 0.4)),
  ...['get-p100', 'set-p100'].flatMap(scenario => [
    rateGoal(scenario, 5, 1),
    goal(scenario, 'cpuUs', 'at most', 0.1, 0.6),
  ]),
  { ...rateGoal('rb-get-p100', 0.95, 0.2), versus: 'direct' },
  ...['mget-20', 'mset-20'].map(scenario => rateGoal(scenario, 2, 0.5)),
  ...['mc-mget-20', 'mc-mget-20-p16'].map(scenario => rateGoal(scenario, 2, 0.4)),
  ...['get-16k', 'set-16k'].map(scenario => rateGoal(scenario, 1.15, 0.3)),
  ...['get-1m', 'set-1m'].flatMap(scenario => [
    rateGoal(scenario, 1.2, 0.25),
    goal(scenario, 'peakBytes', 'at most', 0.5),
  ]),
  ...['1m', '16m', '100m'].flatMap(size =>
    [`get-${size}-c20`, `set-${size}-c20`].flatMap(scenario => [
      rateGoal(scenario, 1, 0.25),
      goal(scenario, 'peakBytes', 'at most', 0.5),
    ]),
  ),
  { ...rateGoal('connect', 1, 0.2), contender: 'pistachio-N' },
  { ...goal('get-fixed', 'cpuUs', 'at most', 1.1), contender: 'pistachio-N', versus: 'pistachio-1' },
  { ...goal('idle', 'connectionBytes', 'at most', 8192), versus: '' },
  { ...goal('start', 'startMs', 'at most', 300), versus: '' },
]

/** Judges every goal whose scenario the run contains. */
export function judgeGoals(run: BenchRun, goals: readonly Goal[] = GOALS): GoalResult[] {
  const scenarios = new Set(run.results.map(result => result.scenario))
  return goals.filter(each => scenarios.has(each.scenario)).map(each => judge(run, each))
}

/** The goal in words, for instance `get-p16: rate of pistachio-1 at least 3.5 × nutcracker`. */
export function describeGoal({ scenario, contender, metric, versus, bound, value }: Goal): string {
  return `${scenario}: ${METRIC_NAMES[metric]} of ${contender} ${bound} ${value}${versus === '' ? '' : ` × ${versus}`}`
}

/** What the reports call each metric, with its unit. */
export const METRIC_NAMES: Readonly<Record<Metric, string>> = {
  rate: 'rate',
  p50Ms: 'p50',
  p99Ms: 'p99',
  p999Ms: 'p99.9',
  cpuUs: 'CPU a request',
  serverCpuUs: 'server CPU a request',
  peakBytes: 'peak memory',
  settledBytes: 'settled memory',
  driverShare: 'driver CPU',
  startMs: 'milliseconds to the first reply',
  connectionBytes: 'bytes an idle client',
}

function judge(run: BenchRun, each: Goal): GoalResult {
  const own = medianOf(run, each.scenario, each.contender, each.metric)
  const measured = each.versus === '' ? own : ratio(own, medianOf(run, each.scenario, each.versus, each.metric))
  if (!Number.isFinite(measured)) return { goal: each, measured, verdict: 'not measured', alarm: false }
  const atLeast = each.bound === 'at least'
  const met = atLeast ? measured >= each.value : measured <= each.value
  const alarm = atLeast ? measured < each.alarm : measured > each.alarm
  return { goal: each, measured, verdict: met ? 'met' : 'missed', alarm }
}

function rateGoal(scenario: string, value: number, alarm: number): Goal {
  return goal(scenario, 'rate', 'at least', value, alarm)
}

function goal(scenario: string, metric: Metric, bound: Goal['bound'], value: number, alarm = Number.NaN): Goal {
  return { scenario, contender: 'pistachio-1', metric, versus: 'nutcracker', bound, value, alarm }
}
