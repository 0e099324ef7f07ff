import { afterAll, describe, expect, test } from 'vitest'
import { readScore, readWeight, ScorePrinter } from '../../../../src/protocol/redis/scores.ts'
import { stopAll } from '../../../support/processes/child.ts'
import { ask, startRedis } from '../../../support/processes/servers.ts'
import { decode } from '../../../support/wire/resp.ts'

afterAll(stopAll)

const NUMBERS =
  `1 0 -1 0.1 0.2 0.3 -2.5 1e100 -1e100 3.0000001 1e-7 123456789012 1e17 1e22 1.5e-5 0.0001234 1e-5 123456.789e3 4.35
  2.675 1e300 5e-324 12345678901234567890 9007199254740993 0.30000000000000004 -0.6 1.7976931348623157e308 0.000001`.split(
    /\s+/,
  )

describe('a score is printed', () => {
  test('as the installed server prints it', async () => {
    const server = await startRedis()
    const [info] = await ask(server, ['INFO', 'server'])
    const version = /redis_version:(\S+)/.exec(`${info}`)![1]!
    for (const text of NUMBERS) {
      const [, reply] = await ask(server, ['ZADD', 'z', text, 'm'], ['ZSCORE', 'z', 'm'])
      expect(new ScorePrinter(version).print(Number(text))).toBe(decode(reply!))
    }
  })

  // As redis-server 7.2 lays numbers out (deps/fpconv, emit_digits), whole ones in full.
  test.each([
    [0.1, '0.1'],
    [0.1 + 0.2, '0.30000000000000004'],
    [-2.4, '-2.4'],
    [0.00001234, '1.234e-5'],
    [0.0001234, '1.234e-4'],
    [0.001234, '0.001234'],
    [1e-7, '1e-7'],
    [1.5e20, '1.5e+20'],
    [1e300, '1e+300'],
    [9007199254740991, '9007199254740991'],
    [123456.789, '123456.789'],
  ])('%d with the fewest digits by newer servers: %s', (score, text) => {
    expect(new ScorePrinter('7.2.0').print(score)).toBe(text)
  })

  test('in the way of the replies seen, whatever the version', () => {
    const printer = new ScorePrinter('')
    expect(printer.print(0.6)).toBe('0.59999999999999998')
    printer.learn(0.1, '0.1')
    expect(printer.print(0.6)).toBe('0.6')
    printer.learn(Number.POSITIVE_INFINITY, 'inf')
    printer.learn(0.5, '0.5')
    printer.learn(0.1, '0.10000000000000001')
    expect(printer.print(0.6)).toBe('0.59999999999999998')
    expect(printer.print(Number.NEGATIVE_INFINITY)).toBe('-inf')
    expect(printer.print(-0)).toBe('-0')
  })
})

test('scores and weights are read as Redis reads them', () => {
  expect(['inf', '-inf', '1e100', '-0.5'].map(readScore)).toEqual([Infinity, -Infinity, 1e100, -0.5])
  expect(['1', '.5', '+2.', '-1e3', 'inf', '-Infinity'].map(readWeight)).toEqual([
    1,
    0.5,
    2,
    -1000,
    Infinity,
    -Infinity,
  ])
  expect(['', 'x', '0x1', '1 ', 'nan', '1e'].map(readWeight)).toEqual(Array(6).fill(Number.NaN))
})
