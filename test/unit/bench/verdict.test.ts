import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { renderDocument } from '../../../bench/macro/document.ts'
import { GOALS, type Goal, judgeGoals } from '../../../bench/macro/goals.ts'
import { loadRuns, previousRun, saveRun, trendLines } from '../../../bench/macro/history.ts'
import { parseOptions } from '../../../bench/macro/options.ts'
import { plotRates } from '../../../bench/macro/plot.ts'
import { scenarioRows } from '../../../bench/macro/report.ts'
import type { BenchRun, Metrics, ScenarioResult } from '../../../bench/macro/results.ts'
import { SCENARIOS } from '../../../bench/macro/scenarios.ts'
import { textTable } from '../../../bench/macro/table.ts'

const FOLDER = mkdtempSync(join(tmpdir(), 'pistachio-bench-test-'))
afterAll(() => rmSync(FOLDER, { recursive: true, force: true }))

function result(scenario: string, contender: string, median: Metrics, problem = ''): ScenarioResult {
  return { scenario, contender, median, rounds: [median], problem }
}

function run(results: readonly ScenarioResult[], change: Partial<BenchRun> = {}): BenchRun {
  return {
    format: 1,
    when: '2026-01-02T03:04:05.000Z',
    commit: 'abc1234',
    command: 'npm run bench',
    mode: 'full',
    machine: { cpu: 'CPU', cores: 2, memoryBytes: 1 << 30, kernel: 'Linux 6' },
    versions: { nutcracker: '0.5.0' },
    rounds: 3,
    seconds: 2,
    results,
    ...change,
  }
}

function rates(nutcracker: number, pistachio: number): ScenarioResult[] {
  return [
    result('get-p16', 'direct', { rate: 900_000, cpuUs: 1 }),
    result('get-p16', 'nutcracker', { rate: nutcracker, cpuUs: 5 }),
    result('get-p16', 'pistachio-1', { rate: pistachio, cpuUs: 1.5, driverShare: 0.97 }),
  ]
}

describe('goals', () => {
  const goal: Goal = {
    scenario: 'get-p16',
    contender: 'pistachio-1',
    metric: 'rate',
    versus: 'nutcracker',
    bound: 'at least',
    value: 3.5,
    alarm: 1.25,
  }

  it.each([
    [400_000, 'met', false],
    [300_000, 'missed', false],
    [126_000, 'missed', false],
    [124_000, 'missed', true],
  ] as const)('a rate of %i beside 100,000 is %s, alarm %s', (rate, verdict, alarm) => {
    const [judged] = judgeGoals(run(rates(100_000, rate)), [goal])
    expect([judged!.verdict, judged!.alarm]).toEqual([verdict, alarm])
  })

  it('without an alarm are only missed, by however much', () => {
    const most: Goal = {
      ...goal,
      scenario: 'start',
      metric: 'startMs',
      versus: '',
      bound: 'at most',
      value: 300,
      alarm: Number.NaN,
    }
    const [judged] = judgeGoals(run([result('start', 'pistachio-1', { startMs: 5000 })]), [most])
    expect([judged!.verdict, judged!.alarm]).toEqual(['missed', false])
  })

  it('raise the alarm only beyond the value itself', () => {
    for (const { bound, value, alarm } of GOALS) {
      if (Number.isNaN(alarm)) continue
      if (bound === 'at least') expect(alarm).toBeLessThan(value)
      else expect(alarm).toBeGreaterThan(value)
    }
  })

  it('without a measurement are neither met nor missed', () => {
    const [judged] = judgeGoals(run([result('get-p16', 'pistachio-1', {}, 'did not start')]), [goal])
    expect(judged!.verdict).toBe('not measured')
  })

  it('name only scenarios that exist', () => {
    const names = new Set(SCENARIOS.map(scenario => scenario.name))
    expect(GOALS.filter(each => !names.has(each.scenario))).toEqual([])
  })
})

describe('the table of a scenario', () => {
  const scenario = SCENARIOS.find(each => each.name === 'get-p16')!

  it('shows ratios to nutcracker and to direct, and says when the driver was the limit', () => {
    const { columns, cells } = scenarioRows(scenario, rates(100_000, 360_000))
    const lines = textTable(columns, cells).split('\n')
    expect(lines[3]).toMatch(/^pistachio-1 +360,000 +3\.60 +0\.40 .* 97 % {2}the driver was the limit$/)
    expect(lines[2]).not.toContain('limit')
  })

  it('shows the problem of a contender in place of figures', () => {
    const results = [...rates(100_000, 1), result('get-p16', 'other', {}, 'exited with 127')]
    const { columns, cells } = scenarioRows(scenario, results)
    expect(textTable(columns, cells).split('\n')[4]).toMatch(/^other +–.*exited with 127$/)
  })
})

describe('the history', () => {
  it('finds the last stored run of the same form and tells the change of the ratio', () => {
    saveRun(FOLDER, run(rates(100_000, 300_000), { when: '2026-01-01T00:00:00.000Z' }))
    saveRun(FOLDER, run(rates(100_000, 350_000), { when: '2026-01-02T00:00:00.000Z' }))
    saveRun(FOLDER, run(rates(1, 1), { when: '2026-01-03T00:00:00.000Z', mode: 'short' }))
    const now = run(rates(50_000, 210_000), { when: '2026-01-04T00:00:00.000Z' })
    const before = previousRun(loadRuns(FOLDER), now)
    expect(before?.when).toBe('2026-01-02T00:00:00.000Z')
    expect(trendLines(before!, now)).toEqual(['get-p16: 3.50 → 4.20 × nutcracker (+20 %, faster)'])
  })

  it('keeps the run as it was', () => {
    const folder = join(FOLDER, 'whole')
    const whole = run(rates(100_000, 300_000))
    saveRun(folder, whole)
    expect(loadRuns(folder)).toEqual([whole])
  })

  it('of a folder that does not exist is empty', () => {
    expect(loadRuns(join(FOLDER, 'none'))).toEqual([])
  })
})

describe('the document and its plot', () => {
  const measured = run(rates(100_000, 360_000))

  it('hold the machine, the command, the figures, the goals and the notes', () => {
    const text = renderDocument(measured, [measured, measured], '## Limits\n\nNone.')
    for (const part of [
      '2 cores (CPU)',
      '`npm run bench`',
      '| pistachio-1 | 360,000 | 3.60 |',
      '| met |',
      '## Trend',
      '## Limits',
    ]) {
      expect(text).toContain(part)
    }
  })

  it('draw a bar for each rate, as long as its multiple of nutcracker', () => {
    const svg = plotRates(measured)
    const widths = [
      ...svg.matchAll(/<rect x="130" y="\d+" width="([\d.]+)" height="10" fill="#\w+"\/>\n<text [^>]*font-size="9"/g),
    ].map(match => Number(match[1]))
    expect(widths).toHaveLength(3)
    expect(widths[2]! / widths[1]!).toBeCloseTo(3.6, 1)
  })

  it('leave out what was not measured', () => {
    expect(plotRates(run([result('get-p16', 'nutcracker', {}, 'gone')]))).not.toContain('get-p16')
  })
})

describe('the command line', () => {
  it('selects scenarios by pattern and contenders by name', () => {
    const options = parseOptions(['--only', '^get-p1$', '--contenders', 'direct', '--contender', 'mine=mine {conf}'])
    expect(options.scenarios.map(scenario => scenario.name)).toEqual(['get-p1'])
    expect(options.contenders.map(contender => contender.name)).toEqual(['direct', 'mine'])
  })

  it('takes the short scenarios alone in the short form', () => {
    const options = parseOptions(['--short'])
    expect(options.scenarios.every(scenario => scenario.short)).toBe(true)
    expect(options.seconds).toBe(1)
  })

  it.each([
    [['--only', 'nothing'], /matches no scenario/],
    [['--contenders', 'nobody'], /not "nobody"/],
    [['--contender', 'mine'], /wants name=command/],
    [['--rounds', '0'], /above 0/],
  ] as const)('refuses %j', (argv, message) => {
    expect(() => parseOptions(argv)).toThrow(message)
  })
})
