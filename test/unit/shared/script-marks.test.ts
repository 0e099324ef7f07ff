/** What threads share of scripts. */

import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { SCRIPT_MARKS, SCRIPT_MARKS_INTS, ScriptMark, ScriptMarks } from '../../../src/shared/script-marks.ts'

const sha = (text: string | number): Buffer => createHash('sha1').update(`${text}`).digest()

function memory(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(SCRIPT_MARKS_INTS * 4))
}

test('bits are known to all who share the memory', () => {
  const ints = memory()
  const [here, there] = [new ScriptMarks(ints), new ScriptMarks(ints)]
  expect(there.bits(sha('a'))).toBe(0)
  expect(here.add(sha('a'), ScriptMark.harmless)).toBe(0)
  expect(there.bits(sha('a'))).toBe(ScriptMark.harmless)
  expect(there.add(sha('a'), ScriptMark.keysLogged)).toBe(ScriptMark.harmless)
  expect(here.bits(sha('a'))).toBe(ScriptMark.harmless | ScriptMark.keysLogged)
  here.remove(sha('a'), ScriptMark.harmless)
  expect(there.bits(sha('a'))).toBe(ScriptMark.keysLogged)
  expect(there.bits(sha('b'))).toBe(0)
})

test('a full table takes no more, and forgets none', () => {
  const marks = new ScriptMarks(memory())
  const added: number[] = []
  for (let i = 0; i < SCRIPT_MARKS * 4; i++) if (marks.add(sha(i), ScriptMark.harmless) === 0) added.push(i)
  expect(added.length).toBeGreaterThan(SCRIPT_MARKS / 2)
  expect(added.length).toBeLessThanOrEqual(SCRIPT_MARKS)
  expect(marks.add(sha('one more'), ScriptMark.harmless)).toBe(-1)
  for (const i of added) expect(marks.bits(sha(i))).toBe(ScriptMark.harmless)
})

test('whether keys are derived anywhere is one look', () => {
  const ints = memory()
  const marks = new ScriptMarks(ints)
  marks.add(sha('a'), ScriptMark.harmless)
  expect(marks.anyDerived).toBe(false)
  marks.add(sha('b'), ScriptMark.derivedKeys)
  expect(new ScriptMarks(ints).anyDerived).toBe(true)
})

test('functions are forgotten together', () => {
  const ints = memory()
  const marks = new ScriptMarks(ints)
  const before = marks.functionEpoch
  new ScriptMarks(ints).forgetFunctions()
  expect(marks.functionEpoch).not.toBe(before)
})
