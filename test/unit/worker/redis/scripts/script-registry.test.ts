import { describe, expect, test } from 'vitest'
import {
  LONGEST_TEXT_BYTES,
  REGISTRY_BYTES,
  ScriptRegistry,
} from '../../../../../src/worker/redis/scripts/script-registry.ts'

describe('what a pool loaded', () => {
  test('is known by its digest in any case, and by its name', () => {
    const registry = new ScriptRegistry()
    expect(registry.remember('script', 'ab', 'return 1', [])).toBe(true)
    expect(registry.remember('function', 'lib', '#!lua', [])).toBe(true)
    expect(registry.script('AB')).toBe('return 1')
    expect(registry.library('lib')).toBe('#!lua')
    expect(registry.script('lib')).toBeNull()
  })

  test('is owed to a server until that has it', () => {
    const registry = new ScriptRegistry()
    registry.remember('script', 'a', 'return 1', ['s1', 's2'])
    registry.remember('function', 'lib', 'old', ['s1'])
    expect(registry.remember('script', 'a', 'return 1', ['s2'])).toBe(false)
    expect(registry.remember('script', 'a', 'return 1', ['s3'])).toBe(true)
    expect(registry.owedTo('s1').map(({ name }) => name)).toEqual(['a', 'lib'])
    expect(registry.paid('script', 'a', 's1')).toBe(true)
    expect(registry.paid('script', 'a', 's1')).toBe(false)
    expect(registry.owedTo('s1').map(({ name }) => name)).toEqual(['lib'])
    expect(registry.owedTo('s3').map(({ name }) => name)).toEqual(['a'])
  })

  test('a new version of a library replaces the one that was owed', () => {
    const registry = new ScriptRegistry()
    registry.remember('function', 'lib', 'old', ['s1', 's2'])
    registry.remember('function', 'lib', 'new', ['s1'])
    expect(registry.owedTo('s1').map(({ text }) => text)).toEqual(['new'])
    expect(registry.owedTo('s2')).toEqual([])
  })

  test('is forgotten with what the servers forget', () => {
    const registry = new ScriptRegistry()
    registry.remember('script', 'a', 'return 1', ['s1'])
    registry.remember('function', 'lib', 'x', ['s1'])
    registry.clear('script')
    registry.forget('function', 'lib')
    expect(registry.script('a')).toBeNull()
    expect(registry.owedTo('s1')).toEqual([])
  })

  test('takes a bounded amount of memory: the oldest goes first, what is owed goes last', () => {
    const registry = new ScriptRegistry()
    const text = 'x'.repeat(100_000)
    const count = Math.ceil(REGISTRY_BYTES / text.length)
    registry.remember('script', 'owed', text, ['s1'])
    for (let i = 0; i < count; i++) registry.remember('script', `s${i}`, text, [])
    expect(registry.script('owed')).toBe(text)
    expect(registry.script('s0')).toBeNull()
    expect(registry.script(`s${count - 1}`)).toBe(text)
    for (let i = 0; i < count; i++) registry.remember('script', `t${i}`, text, ['s1'])
    expect(registry.owedTo('s1').length).toBeLessThan(count)
    expect(registry.remember('script', 'large', 'x'.repeat(LONGEST_TEXT_BYTES + 1), [])).toBe(false)
  })
})
