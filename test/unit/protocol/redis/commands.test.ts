import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { COMMANDS, lookupCommand, UNKNOWN_COMMAND } from '../../../../src/protocol/redis/commands.ts'
import { Random, runSeed } from '../../../support/random.ts'
import { latin1 } from './feeding.ts'

const vectors = JSON.parse(readFileSync(new URL('../../../vectors/redis-commands.json', import.meta.url), 'utf8')) as {
  commands: { name: string; fragmented_when_more_than_one_key: string | null }[]
}

function lookup(name: string) {
  // What lies around the name must not matter.
  const bytes = latin1(`GET${name}SET`)
  return lookupCommand(bytes, 3, bytes.length - 3)
}

function anyCase(random: Random, name: string): string {
  return [...name].map(char => (random.chance(0.5) ? char.toLowerCase() : char)).join('')
}

describe('lookup', () => {
  test('nutcracker knows 137 names, and so do we', () => {
    expect(vectors.commands.length).toBe(137)
    for (const { name } of vectors.commands) expect([name, lookup(name).name]).toEqual([name, name])
  })

  test('every name is found in any letter case, and is found once', () => {
    const random = new Random(runSeed())
    expect(new Set(COMMANDS.map(command => command.name)).size).toBe(COMMANDS.length)
    for (const command of COMMANDS) {
      for (let i = 0; i < 20; i++) {
        const name = anyCase(random, command.name)
        expect([name, lookup(name)]).toEqual([name, command])
      }
    }
  })

  test('a name that is a little different is another name', () => {
    const random = new Random(runSeed())
    const names = new Set(COMMANDS.map(command => command.name))
    for (const { name } of COMMANDS) {
      const others = [name.slice(1), name.slice(0, -1), `${name}X`, `X${name}`, `${name} `, `${name}\0`]
      for (let at = 0; at < name.length; at++) {
        // 0x20 apart and yet no letter: such bytes must not be folded.
        others.push(name.slice(0, at) + String.fromCharCode(name.charCodeAt(at) ^ 0x80) + name.slice(at + 1))
        others.push(name.slice(0, at) + String.fromCharCode(random.below(256)) + name.slice(at + 1))
      }
      for (const other of others) {
        const upper = other.replace(/[a-z]/g, char => char.toUpperCase())
        expect([other, lookup(other).name]).toEqual([other, names.has(upper) ? upper : ''])
      }
    }
  })

  test('digits, dots and the like are not folded to what lies 32 away', () => {
    for (const { name } of COMMANDS) {
      for (const [at, char] of [...name].entries()) {
        if (/[A-Z]/.test(char)) continue
        const folded = name.slice(0, at) + String.fromCharCode(char.charCodeAt(0) ^ 0x20) + name.slice(at + 1)
        expect([folded, lookup(folded)]).toEqual([folded, UNKNOWN_COMMAND])
      }
    }
  })

  test.each(['', 'X'.repeat(100), '\r\n', '\0', 'G\0T', 'GET\r', '\xc7ET'])('%j is unknown', name => {
    expect(lookup(name)).toBe(UNKNOWN_COMMAND)
  })
})

test('fragments carry the name that nutcracker writes', () => {
  const fragmented = vectors.commands.filter(command => command.fragmented_when_more_than_one_key !== null)
  expect(fragmented.length).toBe(5)
  for (const { name, fragmented_when_more_than_one_key: lower } of fragmented) {
    expect(Buffer.from(lookup(name).fragmentName).toString('latin1')).toBe(`$${name.length}\r\n${lower}\r\n`)
  }
})
