import { describe, expect, it } from 'vitest'
import { type Column, figure, markdownTable, megabytes, ratioText, textTable } from '../../../bench/macro/table.ts'

const COLUMNS: readonly Column[] = [
  { title: 'who', align: 'left' },
  { title: 'rate', align: 'right' },
]

describe('tables', () => {
  it('align by the widest cell, without blanks at the end', () => {
    expect(
      textTable(COLUMNS, [
        ['nutcracker', '5'],
        ['a', '1,000'],
      ]),
    ).toBe('who          rate\nnutcracker      5\na           1,000')
    expect(textTable(COLUMNS, [['a', '']]).split('\n')[1]).toBe('a')
  })

  it('in Markdown keep the alignment and escape bars', () => {
    expect(markdownTable(COLUMNS, [['a|b', '1']])).toBe('| who | rate |\n| --- | ---: |\n| a\\|b | 1 |')
  })
})

describe('figures', () => {
  it('have three significant digits', () => {
    expect(figure(141_233)).toBe('141,000')
    expect(figure(5.5149)).toBe('5.51')
    expect(figure(0.08349)).toBe('0.0835')
    expect(figure(0)).toBe('0')
    expect(figure(Number.NaN)).toBe('–')
  })

  it('of ratios have two decimals, and of memory one', () => {
    expect(ratioText(3.5)).toBe('3.50')
    expect(ratioText(Number.NaN)).toBe('–')
    expect(megabytes(3 << 19)).toBe('1.5')
  })
})
