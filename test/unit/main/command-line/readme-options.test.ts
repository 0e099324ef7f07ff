/** The README's table of our own options says what the command line takes: each option, its range, its default. */

import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { parseCommandLine } from '../../../../src/main/command-line/cli.ts'
import { OWN_USAGE_TEXT } from '../../../../src/main/command-line/usage.ts'

const README = new URL('../../../../README.md', import.meta.url)

interface Row {
  /** `--drain-timeout`. */
  readonly option: string
  readonly range: string
  readonly byDefault: string
}

function rows(): Row[] {
  const text = existsSync(README) ? readFileSync(README, 'utf8') : ''
  return [...text.matchAll(/^\| `(--[a-z-]+)=[NS]` \| (.*?) \| (.*?) \| .+ \|$/gm)].map(
    ([, option, range, byDefault]) => ({
      option: option!,
      range: range!,
      byDefault: byDefault!.replaceAll('`', ''),
    }),
  )
}

/** The help's line of an option. */
function help(option: string): string {
  return OWN_USAGE_TEXT.split('\n').find(line => line.trimStart().startsWith(`${option}=`)) ?? ''
}

function accepts(option: string, value: number): boolean {
  return parseCommandLine([option, `${value}`]).kind === 'run'
}

describe.runIf(existsSync(README))('the table of options', () => {
  test('has every option of the help, in its order', () => {
    const helped = [...OWN_USAGE_TEXT.matchAll(/^ +(--[a-z-]+)=/gm)].map(match => match[1])
    expect(rows().map(row => row.option)).toEqual(helped)
    expect(helped.length).toBeGreaterThan(6)
  })

  test.each(rows())('tells of $option what is taken, and what without it', ({ option, range, byDefault }) => {
    expect(range).not.toBe('')
    const [, told = ''] = /\(default: ([^,)]*?)(?: msec)?[,)]/.exec(help(option)) ?? []
    expect(byDefault).toBe(told === '' ? 'none' : told)
  })

  test.each(rows().filter(row => / to \d/.test(row.range) && !row.range.includes('%')))(
    'gives the range of $option',
    ({ option, range }) => {
      const [, least, most] = /(\d+) to (\d+)/.exec(range)!.map(Number)
      expect([least! - 1, least!, most!, most! + 1].map(value => accepts(option, value))).toEqual([
        false,
        true,
        true,
        false,
      ])
    },
  )
})
