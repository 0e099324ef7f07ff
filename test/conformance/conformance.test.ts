/** The cases of `cases/` in short: nothing that a pool answers may be wrong, and it refuses only what a case says that it refuses. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Case, parseCases, readCases } from './case-file.ts'
import { sameValue } from './compare.ts'
import { startTargets, type Targets } from './target.ts'
import { readValue } from './value.ts'
import { type Judged, judgeAll, type Verdict } from './verdict.ts'

let targets: Targets
let judged: Judged[]

beforeAll(async () => {
  targets = await startTargets()
  judged = await judgeAll(targets, readCases())
}, 180_000)

afterAll(() => targets.stop())

function told(one: Judged, where: string, verdict: Verdict): string {
  return `${one.case.command} | ${one.case.form} (RESP${one.protocol}, ${where}, ${one.case.place}): ${verdict.note}`
}

function sides(one: Judged): [string, Verdict, boolean][] {
  const { flags } = one.case
  const refused = flags.has('refused')
  return [
    ['one server', one.one, refused],
    ['several servers', one.many, refused || flags.has('many refused')],
  ]
}

test('no case promises what a server does not do', () => {
  expect(judged.filter(one => one.mistake !== '').map(one => `${one.case.place}: ${one.mistake}`)).toEqual([])
})

test('no answer is wrong', () => {
  const wrong = judged.flatMap(one =>
    sides(one).flatMap(([where, verdict]) => (verdict.name === 'wrong' ? [told(one, where, verdict)] : [])),
  )
  expect(wrong).toEqual([])
})

test('nothing is refused but what the cases say', () => {
  const refused = judged.flatMap(one =>
    sides(one).flatMap(([where, verdict, known]) =>
      verdict.name === 'refused' && !known ? [told(one, where, verdict)] : [],
    ),
  )
  expect(refused).toEqual([])
})

test('every command of the server has a case', async () => {
  const [[list]] = (await targets.direct.tellServers(['COMMAND', 'LIST'])) as [[string]]
  const covered = new Set(readCases().map(one => one.command.split(' ')[0]!.toLowerCase()))
  const names = list.slice(1, -1).split(' ')
  expect(names.length).toBeGreaterThan(200)
  expect(names.filter(name => !covered.has(name))).toEqual([])
})

test('the keys of several servers are on several servers', async () => {
  await targets.many.reset()
  const setAll = parseCases('here', '== MSET | all\nMSET one 1 news 2 three 3')
  await judgeAll(targets, setAll)
  expect(await targets.many.tellServers(['DBSIZE'])).toEqual([['1'], ['1'], ['1']])
})

describe('the comparison itself', () => {
  const value = (text: string) => readValue(Buffer.from(text.replaceAll('|', '\r\n')))
  const same = (name: 'exact' | 'unordered' | 'pairs' | 'shape' | 'type', left: string, right: string) =>
    sameValue({ name, argument: '' }, value(left), value(right))

  test('sees another type, another order and another error', () => {
    expect(same('exact', '+OK|', '+OK|')).toBe(true)
    expect(same('exact', '+OK|', '$2|OK|')).toBe(false)
    expect(same('exact', '*2|:1|:2|', '*2|:2|:1|')).toBe(false)
    expect(same('exact', '*2|:1|:2|', '~2|:1|:2|')).toBe(false)
    expect(same('exact', '-ERR a|', '-ERR b|')).toBe(false)
    expect(same('unordered', '*2|:1|:2|', '*2|:2|:1|')).toBe(true)
    expect(same('unordered', '*2|:1|:2|', '*2|:2|:2|')).toBe(false)
    expect(same('pairs', '*4|:1|:2|:3|:4|', '*4|:3|:4|:1|:2|')).toBe(true)
    expect(same('pairs', '*4|:1|:2|:3|:4|', '*4|:1|:4|:3|:2|')).toBe(false)
    expect(same('shape', '*2|:1|:2|', '*2|:7|$1|x|')).toBe(false)
    expect(same('type', '$-1|', '$1|x|')).toBe(false)
    expect(same('type', '+OK|', '-ERR x|')).toBe(false)
  })

  test('tells refused from wrong', async () => {
    const judge = async (text: string): Promise<Judged> => (await judgeAll(targets, parseCases('here', text)))[0]!
    expect((await judge('== TYPE | a different reply\nCLIENT ID')).one.name).toBe('wrong')
    expect((await judge('== SELECT | refused\nSELECT 1')).one.name).toBe('refused')
    expect((await judge('== GET | promises too much\nGET k ;; error')).mistake).toContain('GET k')
  })

  test('finds mistakes in case files', () => {
    const read = (text: string): Case[] => parseCases('here', text)
    expect(() => read('GET k')).toThrow('here:1')
    expect(() => read('== GET')).toThrow('here:1')
    expect(() => read('== GET | x\nGET k ;; sideways')).toThrow('sideways')
    expect(read('== SET | x\nB> SET "a\\x00b" \'c d\' ;; near 2, as x')[0]!.steps[0]).toMatchObject({
      client: 'B',
      args: ['SET', 'a\0b', 'c d'],
      compare: { name: 'near', argument: '2' },
      as: 'x',
    })
  })
})
