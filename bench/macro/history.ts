/**
 * The stored runs in `bench/results/`, one JSON file each, and what they say about the trend. Ratios to nutcracker are
 * compared, not rates: they outlive a change of machine. Called by `run.ts` and `document.ts`.
 */

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type BenchRun, medianOf } from './results.ts'
import { ratio } from './statistics.ts'
import { ratioText } from './table.ts'

/** Of this contender the trend is told. */
const SUBJECT = 'pistachio-1'
const BASE = 'nutcracker'
/** Changes below this are within what two runs of the same program differ by. */
const NOTABLE_CHANGE = 0.15

/** Writes the run under its time and commit. @returns the file's path. */
export function saveRun(directory: string, run: BenchRun): string {
  mkdirSync(directory, { recursive: true })
  const stamp = run.when.slice(0, 16).replaceAll(':', '')
  const name = [stamp, run.commit.replace('+', '-changed'), run.mode].filter(part => part !== '').join('_')
  const path = join(directory, `${name}.json`)
  writeFileSync(path, runText(run))
  return path
}

/**
 * The run as JSON with one result a line and five significant digits, so that the files stay small and their
 * differences readable.
 */
export function runText(run: BenchRun): string {
  const { results, ...head } = run
  const shorten = (_: string, value: unknown): unknown =>
    typeof value === 'number' ? Number(value.toPrecision(5)) : value
  const lines = results.map(result => `  ${JSON.stringify(result, shorten)}`)
  return `${JSON.stringify(head, null, 1).slice(0, -2)},\n "results": [\n${lines.join(',\n')}\n ]\n}\n`
}

/** All stored runs, oldest first. Files of another format are passed over. */
export function loadRuns(directory: string): BenchRun[] {
  let names: string[]
  try {
    names = readdirSync(directory)
  } catch {
    return []
  }
  const runs = names
    .filter(name => name.endsWith('.json'))
    .map(name => JSON.parse(readFileSync(join(directory, name), 'utf8')) as BenchRun)
  return runs.filter(run => run.format === 1).sort((a, b) => a.when.localeCompare(b.when))
}

/** The newest stored run before this one in the same form, or null. */
export function previousRun(stored: readonly BenchRun[], run: BenchRun): BenchRun | null {
  return stored.findLast(each => each.mode === run.mode && each.when < run.when) ?? null
}

/** Rate of one worker as a multiple of nutcracker's, or NaN. */
export function subjectRatio(run: BenchRun, scenario: string): number {
  return ratio(medianOf(run, scenario, SUBJECT, 'rate'), medianOf(run, scenario, BASE, 'rate'))
}

/** One line a scenario that both runs have, for instance `get-p16: 3.60 → 4.10 × nutcracker (+14 %)`. */
export function trendLines(before: BenchRun, now: BenchRun): string[] {
  const lines: string[] = []
  for (const scenario of new Set(now.results.map(result => result.scenario))) {
    const old = subjectRatio(before, scenario)
    const fresh = subjectRatio(now, scenario)
    const change = ratio(fresh, old) - 1
    if (!Number.isFinite(change)) continue
    const percent = `${change >= 0 ? '+' : '−'}${Math.abs(Math.round(change * 100))} %`
    const mark = Math.abs(change) < NOTABLE_CHANGE ? '' : change > 0 ? ', faster' : ', slower'
    lines.push(`${scenario}: ${ratioText(old)} → ${ratioText(fresh)} × ${BASE} (${percent}${mark})`)
  }
  return lines
}
