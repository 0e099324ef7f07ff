/**
 * Draws a run as an SVG: each scenario's rates as multiples of nutcracker's. No library: a few rectangles and texts.
 * Called by `document.ts`.
 */

import { type BenchRun, medianOf } from './results.ts'
import { ratio } from './statistics.ts'
import { ratioText } from './table.ts'

const BASE = 'nutcracker'
const WIDTH = 860
const LABEL_WIDTH = 130
const VALUE_WIDTH = 60
const BAR_HEIGHT = 11
const GROUP_GAP = 9
const HEAD_HEIGHT = 58
const FOOT_HEIGHT = 12
/** Okabe and Ito's colours, which people with any colour vision tell apart. */
const COLOURS = ['#999999', '#0072b2', '#e69f00', '#009e73', '#cc79a7', '#56b4e9']

interface Bar {
  readonly scenario: string
  readonly contender: string
  readonly multiple: number
}

/** @returns the text of an SVG file. Scenarios without a rate of nutcracker are left out. */
export function plotRates(run: BenchRun): string {
  const scenarios = [...new Set(run.results.map(result => result.scenario))]
  const groups = scenarios.map(scenario => barsOf(run, scenario)).filter(bars => bars.length > 0)
  const contenders = [...new Set(groups.flat().map(bar => bar.contender))]
  const largest = Math.max(1, ...groups.flat().map(bar => bar.multiple))
  const scale = (WIDTH - LABEL_WIDTH - VALUE_WIDTH) / largest
  const bottom = HEAD_HEIGHT + groups.reduce((sum, bars) => sum + bars.length * BAR_HEIGHT + GROUP_GAP, 0)
  const parts = [...headParts(contenders), ...gridParts(largest, scale, bottom)]
  let y = HEAD_HEIGHT
  for (const bars of groups) {
    parts.push(text(LABEL_WIDTH - 8, y + (bars.length * BAR_HEIGHT) / 2 + 4, bars[0]!.scenario, 'end'))
    for (const bar of bars) {
      const width = Math.max(1, bar.multiple * scale)
      const colour = COLOURS[contenders.indexOf(bar.contender) % COLOURS.length]!
      parts.push(
        `<rect x="${LABEL_WIDTH}" y="${y}" width="${width.toFixed(1)}" height="${BAR_HEIGHT - 1}" fill="${colour}"/>`,
      )
      parts.push(text(LABEL_WIDTH + width + 4, y + BAR_HEIGHT - 2, ratioText(bar.multiple), 'start', 9))
      y += BAR_HEIGHT
    }
    y += GROUP_GAP
  }
  const height = bottom + FOOT_HEIGHT
  const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif">`
  return `${[head, `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`, ...parts, '</svg>'].join('\n')}\n`
}

function barsOf(run: BenchRun, scenario: string): Bar[] {
  const base = medianOf(run, scenario, BASE, 'rate')
  return run.results
    .filter(result => result.scenario === scenario)
    .map(({ contender }) => ({
      scenario,
      contender,
      multiple: ratio(medianOf(run, scenario, contender, 'rate'), base),
    }))
    .filter(bar => Number.isFinite(bar.multiple))
}

function headParts(contenders: readonly string[]): string[] {
  const parts = [text(12, 20, `Requests a second, as multiples of ${BASE}'s`, 'start', 14)]
  let x = LABEL_WIDTH
  for (const [i, contender] of contenders.entries()) {
    parts.push(`<rect x="${x}" y="32" width="10" height="10" fill="${COLOURS[i % COLOURS.length]}"/>`)
    parts.push(text(x + 14, 41, contender, 'start'))
    x += 34 + contender.length * 7
  }
  return parts
}

function gridParts(largest: number, scale: number, bottom: number): string[] {
  const step = Math.max(1, Math.ceil(largest / 12))
  const parts: string[] = []
  for (let multiple = 0; multiple <= largest; multiple += step) {
    const x = (LABEL_WIDTH + multiple * scale).toFixed(1)
    const colour = multiple === 1 ? '#666666' : '#dddddd'
    parts.push(`<line x1="${x}" y1="${HEAD_HEIGHT - 6}" x2="${x}" y2="${bottom}" stroke="${colour}" stroke-width="1"/>`)
  }
  return parts
}

function text(x: number, y: number, content: string, anchor: 'start' | 'end', size = 12): string {
  const safe = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}" font-size="${size}" fill="#222222">${safe}</text>`
}
