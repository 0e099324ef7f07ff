/**
 * The README's table of speed, written from a run by `document.ts` together with `docs/benchmarks.md`, so that the two pages have the same
 * figures. `test/unit/bench/speed-table.test.ts` compares the pages.
 */

import { readFileSync, writeFileSync } from 'node:fs'
import { type BenchRun, type Metric, medianOf } from './results.ts'
import { ratio } from './statistics.ts'
import { type Column, figure, markdownTable, megabytes, ratioText } from './table.ts'

/** The scenarios of the table: name, and what its row says. */
export const SPEED_ROWS: readonly (readonly [string, string])[] = [1, 16, 100].flatMap(pipeline => [
  [`get-p${pipeline}`, `GET, pipeline ${pipeline}`] as const,
  [`set-p${pipeline}`, `SET, pipeline ${pipeline}`] as const,
])

const SUBJECT = 'pistachio-1'
const BASE = 'nutcracker'
const BEGIN = '<!-- speed: written by npm run bench -- --write-docs -->'
const END = '<!-- end of speed -->'

const COLUMNS: readonly Column[] = [
  { title: 'one worker, 32-byte values, 50 clients', align: 'left' },
  ...['requests/s', '× nutcracker', 'CPU µs a request', '× nutcracker', 'peak MB', 'nutcracker’s peak MB'].map(
    title => ({
      title,
      align: 'right' as const,
    }),
  ),
]

/** The block between the markers, markers included. A scenario that the run has not measured has no row. */
export function speedBlock(run: BenchRun): string {
  const measured = SPEED_ROWS.filter(([name]) => Number.isFinite(medianOf(run, name, SUBJECT, 'rate')))
  const { cores, cpu } = run.machine
  const where = `at commit \`${run.commit || 'unknown'}\` on ${cores} cores (${cpu}), shared by clients, proxy and servers`
  const text =
    measured.length === 0
      ? 'The last run did not measure these scenarios.'
      : `Measured ${run.when.slice(0, 10)} ${where}:\n\n${markdownTable(
          COLUMNS,
          measured.map(row => cells(run, row)),
        )}`
  return `${BEGIN}\n${text}\n${END}`
}

/** Replaces the block in a README. A README without the markers is an error. @returns its path. */
export function writeSpeedBlock(readme: string, run: BenchRun): string {
  const text = readFileSync(readme, 'utf8')
  const begin = text.indexOf(BEGIN)
  const end = text.indexOf(END)
  if (begin === -1 || end < begin) throw new Error(`${readme} has no place for the table of speed: ${BEGIN} … ${END}`)
  writeFileSync(readme, text.slice(0, begin) + speedBlock(run) + text.slice(end + END.length))
  return readme
}

function cells(run: BenchRun, [name, title]: readonly [string, string]): string[] {
  const ours = (metric: Metric): number => medianOf(run, name, SUBJECT, metric)
  const base = (metric: Metric): number => medianOf(run, name, BASE, metric)
  return [
    title,
    figure(ours('rate')),
    ratioText(ratio(ours('rate'), base('rate'))),
    figure(ours('cpuUs')),
    ratioText(ratio(ours('cpuUs'), base('cpuUs'))),
    megabytes(ours('peakBytes')),
    megabytes(base('peakBytes')),
  ]
}
