import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parseConfig, testConfigReport } from '../../../src/config/load.ts'
import { resolveForTests } from './support.ts'

interface VectorCase {
  readonly name: string
  readonly yaml: string
  readonly test_conf_exit: number
  readonly test_conf_stderr: readonly string[]
  readonly run_log: readonly string[]
}

const DIRECTORY = '/tmp'
const vectors = new URL('../../vectors/config-cases.json', import.meta.url)
const { cases } = JSON.parse(readFileSync(vectors, 'utf8')) as { cases: readonly VectorCase[] }

/** An absolute path of exactly so many bytes. */
function pathOf(bytes: number): string {
  return `${DIRECTORY}/`.padEnd(bytes, 'p')
}

function fill(text: string): string {
  return text.replaceAll('@DIR@', DIRECTORY).replace(/@PATH(\d+)@/g, (_, bytes) => pathOf(Number(bytes)))
}

/** The log lines about the file: not the summary, which goes to stderr, nor what happens after a valid file. */
function detailLines(test: VectorCase): readonly string[] {
  return test.run_log.filter(line => !line.startsWith('nutcracker: ') && !line.startsWith('bind on '))
}

it('holds all measured cases', () => {
  expect(cases.length).toBe(172)
})

describe.each(cases)('$name', test => {
  it('gives nutcracker’s exit code and stderr, and a reason with a place in the file before them', async () => {
    const result = await parseConfig(Buffer.from(fill(test.yaml)), '@CONF@', { resolve: resolveForTests })
    const report = testConfigReport(result, '@CONF@')
    const lines = report.stderr.split('\n').slice(0, -1)
    expect(report.exitCode).toBe(test.test_conf_exit)
    expect(lines.slice(-test.test_conf_stderr.length)).toEqual(test.test_conf_stderr)
    const ours = lines.slice(0, -test.test_conf_stderr.length)
    if (test.test_conf_exit === 0) expect(ours).toEqual([])
    else expect(ours).toEqual([expect.stringMatching(/^@CONF@:(\d+:\d+:)? \S.+[^.]$/)])
  })

  it('gives nutcracker’s log lines', async () => {
    const result = await parseConfig(Buffer.from(fill(test.yaml)), '@CONF@', { resolve: resolveForTests })
    expect(result.ok ? [] : result.lines).toEqual(detailLines(test).map(fill))
  })
})
