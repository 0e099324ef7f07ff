/** A run as rows: the same columns for the terminal and the document. Called by `run.ts` and `document.ts`. */

import { describeGoal, type GoalResult } from './goals.ts'
import type { ScenarioResult } from './results.ts'
import type { Scenario } from './scenarios.ts'
import { ratio } from './statistics.ts'
import { type Column, figure, megabytes, ratioText } from './table.ts'

/** From this share of a core on, the load driver may have been the limit. */
const DRIVER_LIMIT = 0.95

interface Field extends Column {
  /** @param others the results of the same scenario, for ratios. */
  readonly cell: (result: ScenarioResult, others: readonly ScenarioResult[]) => string
}

const CONTENDER: Field = { title: 'contender', align: 'left', cell: result => result.contender }
const NOTE: Field = { title: 'note', align: 'left', cell: noteText }

const LOAD_FIELDS: readonly Field[] = [
  CONTENDER,
  right('requests/s', result => figure(value(result, 'rate'))),
  right('× nutcracker', (result, others) => ratioText(ratioTo('nutcracker', 'rate', result, others))),
  right('× direct', (result, others) => ratioText(ratioTo('direct', 'rate', result, others))),
  right('p50 ms', result => figure(value(result, 'p50Ms'))),
  right('p99 ms', result => figure(value(result, 'p99Ms'))),
  right('p99.9 ms', result => figure(value(result, 'p999Ms'))),
  right('CPU µs', result => figure(value(result, 'cpuUs'))),
  right('× nutcracker', (result, others) => ratioText(ratioTo('nutcracker', 'cpuUs', result, others))),
  right('servers µs', result => figure(value(result, 'serverCpuUs'))),
  right('peak MB', result => megabytes(value(result, 'peakBytes'))),
  right('settled MB', result => megabytes(value(result, 'settledBytes'))),
  right('driver', result => percent(value(result, 'driverShare'))),
  NOTE,
]

const IDLE_FIELDS: readonly Field[] = [
  CONTENDER,
  right('bytes a client', result => figure(value(result, 'connectionBytes'))),
  right('peak MB', result => megabytes(value(result, 'peakBytes'))),
  right('settled MB', result => megabytes(value(result, 'settledBytes'))),
  NOTE,
]

const START_FIELDS: readonly Field[] = [CONTENDER, right('ms', result => figure(value(result, 'startMs'))), NOTE]

export interface Rows {
  readonly columns: readonly Column[]
  readonly cells: readonly (readonly string[])[]
}

/** One scenario, one row a contender. A column that would hold nothing is left out. */
export function scenarioRows(scenario: Scenario, results: readonly ScenarioResult[]): Rows {
  const fields = scenario.kind === 'idle' ? IDLE_FIELDS : scenario.kind === 'start' ? START_FIELDS : LOAD_FIELDS
  const all = fields.map(field => ({ field, cells: results.map(result => field.cell(result, results)) }))
  const used = all.filter(column => column.cells.some(cell => cell !== '' && cell !== '–'))
  return {
    columns: used.map(column => column.field),
    cells: results.map((_, row) => used.map(column => column.cells[row]!)),
  }
}

/** One row a goal: what was wanted, what was found. */
export function goalRows(goals: readonly GoalResult[]): Rows {
  return {
    columns: [left('goal'), { title: 'measured', align: 'right' }, left('verdict')],
    cells: goals.map(({ goal, measured, verdict, alarm }) => [
      describeGoal(goal),
      goal.versus === '' ? figure(measured) : ratioText(measured),
      alarm ? `${verdict}, far beyond noise` : verdict,
    ]),
  }
}

function noteText(result: ScenarioResult): string {
  if (result.problem !== '') return result.problem
  return value(result, 'driverShare') >= DRIVER_LIMIT ? 'the driver was the limit' : ''
}

function ratioTo(
  contender: string,
  metric: 'rate' | 'cpuUs',
  result: ScenarioResult,
  others: readonly ScenarioResult[],
): number {
  // The CPU of `direct` is the servers': not what a proxy costs.
  if (metric === 'cpuUs' && result.contender === 'direct') return Number.NaN
  return ratio(value(result, metric), others.find(other => other.contender === contender)?.median[metric] ?? Number.NaN)
}

function value(result: ScenarioResult, metric: keyof ScenarioResult['median']): number {
  return result.median[metric] ?? Number.NaN
}

function percent(share: number): string {
  return Number.isFinite(share) ? `${Math.round(share * 100)} %` : '–'
}

function left(title: string): Column {
  return { title, align: 'left' }
}

function right(title: string, cell: Field['cell']): Field {
  return { title, align: 'right', cell }
}
