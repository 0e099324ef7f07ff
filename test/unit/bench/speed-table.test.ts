/** The README's table of speed has the figures of docs/benchmarks.md, as both pages are now. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { BenchRun } from '../../../bench/macro/results.ts'
import { SPEED_ROWS, speedBlock, writeSpeedBlock } from '../../../bench/macro/speed-table.ts'

const page = (path: string): string => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8')

function cellsOf(line: string): string[] {
  return line
    .split('|')
    .slice(1, -1)
    .map(cell => cell.trim())
}

/** The cells of the README's row with this title, or null. */
function readmeRow(readme: string, title: string): string[] | null {
  const line = readme.split('\n').find(each => each.startsWith(`| ${title} |`))
  return line === undefined ? null : cellsOf(line).slice(1)
}

/** The same cells, from a scenario's table in docs/benchmarks.md, or null. */
function benchmarksRow(benchmarks: string, scenario: string): string[] | null {
  const section = benchmarks.split(/^### /m).find(each => each.startsWith(`${scenario}\n`))
  if (section === undefined) return null
  const table = section.split('\n').filter(line => line.startsWith('|'))
  const titles = cellsOf(table[0]!)
  const row = (contender: string): string[] => cellsOf(table.find(line => line.startsWith(`| ${contender} |`))!)
  const ours = row('pistachio-1')
  const rate = titles.indexOf('requests/s')
  const cpu = titles.indexOf('CPU µs')
  const peak = titles.indexOf('peak MB')
  return [ours[rate]!, ours[rate + 1]!, ours[cpu]!, ours[cpu + 1]!, ours[peak]!, row('nutcracker')[peak]!]
}

test.each(SPEED_ROWS)('%s has the same figures in README and docs/benchmarks.md', (scenario, title) => {
  expect(readmeRow(page('README.md'), title)).toEqual(benchmarksRow(page('docs/benchmarks.md'), scenario))
})

test('both pages name the same run', () => {
  const measured = /Measured (\S+) at commit `(\S+)`/
  expect(measured.exec(page('README.md'))?.slice(1)).toEqual(measured.exec(page('docs/benchmarks.md'))?.slice(1))
})

test('a run replaces the block, and a README without a place for it is an error', () => {
  const folder = mkdtempSync(join(tmpdir(), 'pistachio-speed-table-'))
  try {
    const median = { rate: 423_456, cpuUs: 1.71, peakBytes: 90 << 20 }
    const base = { rate: 218_000, cpuUs: 4.31, peakBytes: 23 << 20 }
    const results = [
      { scenario: 'get-p16', contender: 'pistachio-1', median, rounds: [], problem: '' },
      { scenario: 'get-p16', contender: 'nutcracker', median: base, rounds: [], problem: '' },
    ]
    const machine = { cpu: 'CPU', cores: 2, memoryBytes: 1 << 30, kernel: 'Linux 6' }
    const head = { format: 1, when: '2026-01-02T03:04:05.000Z', commit: 'abc1234', command: '', mode: 'full' } as const
    const run: BenchRun = { ...head, machine, versions: {}, rounds: 1, seconds: 1, results }
    const readme = join(folder, 'README.md')
    writeFileSync(readme, `before\n${speedBlock({ ...run, results: [] })}\nafter\n`)
    writeSpeedBlock(readme, run)
    const text = readFileSync(readme, 'utf8')
    expect(text).toMatch(/^before\n<!-- .*\nafter\n$/s)
    expect(readmeRow(text, 'GET, pipeline 16')).toEqual(['423,000', '1.94', '1.71', '0.40', '90.0', '23.0'])
    expect(readmeRow(text, 'GET, pipeline 1')).toBeNull()
    writeFileSync(readme, 'nothing')
    expect(() => writeSpeedBlock(readme, run)).toThrow('has no place for the table of speed')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
