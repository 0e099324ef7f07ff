/** The cases of `cases/` in short: nothing that a pool answers may be wrong, and it refuses only what a case says that it refuses. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { COMMANDS } from '../../src/protocol/redis/commands.ts'
import { type Case, parseCases, readCases } from './case-file.ts'
import { sameValue } from './compare.ts'
import { SUBJECTS, type SubjectName, startTargets, type Targets } from './target.ts'
import { readValue } from './value.ts'
import { commandsOf, type Judged, judgeAll, type VerdictName } from './verdict.ts'

let targets: Targets
let judged: Judged[]

beforeAll(async () => {
  targets = await startTargets()
  judged = await judgeAll(targets, readCases())
}, 180_000)

afterAll(() => targets.stop())

function told(one: Judged, subject: SubjectName): string {
  const { command, form, place } = one.case
  return `${command} | ${form} (RESP${one.protocol}, ${subject}, ${place}): ${one.verdicts[subject].note}`
}

/** Whether the case says that this subject refuses it. */
function mayRefuse({ flags }: Case, subject: SubjectName): boolean {
  if (flags.has('refused')) return true
  return flags.has('many refused') && (subject === 'many' || (subject === 'gather' && !flags.has('gathered')))
}

/** What was judged so, as text. */
function allOf(name: VerdictName, fits: (one: Judged, subject: SubjectName) => boolean): string[] {
  return judged.flatMap(one =>
    SUBJECTS.filter(subject => one.verdicts[subject].name === name && fits(one, subject)).map(subject =>
      told(one, subject),
    ),
  )
}

test('no case promises what a server does not do', () => {
  expect(judged.filter(one => one.mistake !== '').map(one => `${one.case.place}: ${one.mistake}`)).toEqual([])
})

test('no answer is wrong', () => {
  expect(allOf('wrong', () => true)).toEqual([])
})

test('nothing is refused but what the cases say, and that is', () => {
  expect(allOf('refused', (one, subject) => !mayRefuse(one.case, subject))).toEqual([])
  expect(allOf('right', (one, subject) => mayRefuse(one.case, subject))).toEqual([])
})

test('every command of the server has a case', async () => {
  const names = await commandsOf(targets.direct)
  const commands = readCases().map(one => one.command.toLowerCase().replace(' ', '|'))
  const covered = new Set(commands.flatMap(command => [command, command.split('|')[0]!]))
  expect(names.length).toBeGreaterThan(200)
  expect(names.filter(name => !covered.has(name))).toEqual([])
})

test('every command of the proxy has a case', () => {
  const covered = new Set(readCases().map(one => one.command.split(' ')[0]!))
  expect(COMMANDS.map(command => command.name).filter(name => !covered.has(name))).toEqual([])
})

test('the keys of several servers are on several servers', async () => {
  await targets.subjects.many.reset()
  const setAll = parseCases('here', '== MSET | all\nMSET one 1 news 2 three 3')
  await judgeAll(targets, setAll)
  expect(await targets.subjects.many.tellServers(['DBSIZE'])).toEqual([['1'], ['1'], ['1']])
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
    expect((await judge('== TYPE | a different reply\nCLIENT ID')).verdicts.one.name).toBe('wrong')
    expect((await judge('== SAVE | refused\nSAVE')).verdicts.one.name).toBe('refused')
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
