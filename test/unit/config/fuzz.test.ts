import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isSetting } from '../../../src/config/directive.ts'
import { DIRECTIVES } from '../../../src/config/directives.ts'
import { parseConfig } from '../../../src/config/load.ts'
import { runSeed } from '../../support/random.ts'
import { configOf, resolveForTests } from './support.ts'

const seed = runSeed()
/** No text of a few hundred bytes takes a hundredth of this. */
const LIMIT_MS = 2000

const corpus = readCorpus()

function readCorpus(): readonly string[] {
  const vectors = JSON.parse(readFileSync(new URL('../../vectors/config-cases.json', import.meta.url), 'utf8'))
  const measured = JSON.parse(readFileSync(new URL('libyaml-cases.json', import.meta.url), 'utf8'))
  const example = readFileSync(new URL('../../../conf/nutcracker.yml', import.meta.url), 'latin1')
  return [
    ...vectors.cases.map((each: { yaml: string }) => Buffer.from(each.yaml).toString('latin1')),
    ...measured.cases.map((each: { bytes: string }) => each.bytes),
    example,
  ]
}

async function endsWell(bytes: Uint8Array): Promise<void> {
  const started = performance.now()
  const result = await parseConfig(bytes, 'F', { resolve: resolveForTests })
  expect(performance.now() - started).toBeLessThan(LIMIT_MS)
  if (result.ok) expect(result.config.pools.length).toBeGreaterThan(0)
  else expect(result.reason).toMatch(/^F:(\d+:\d+:)? ./)
}

/** A text of the corpus with a few bytes put in, taken out or exchanged. */
const mutated = fc
  .tuple(
    fc.constantFrom(...corpus),
    fc.array(
      fc.record({
        at: fc.double({ min: 0, max: 1, noNaN: true }),
        drop: fc.nat(6),
        insert: fc.oneof(
          fc.constantFrom(
            '\n',
            '\t',
            ' ',
            ': ',
            '- ',
            '? ',
            '#',
            '"',
            "'",
            '|',
            '>',
            '&a',
            '*a',
            '!',
            '{',
            '}',
            '[',
            ']',
            ',',
            '%',
          ),
          fc.constantFrom(
            '---\n',
            '...\n',
            '\r',
            '\\',
            '\0',
            '\xff',
            '\xef\xbb\xbf',
            '\xe2\x80\xa8',
            '\xc2\x85',
            'servers:',
            '\n\n',
          ),
          fc.string({ unit: 'binary', maxLength: 4 }).map(text => Buffer.from(text).toString('latin1')),
        ),
      }),
      { minLength: 1, maxLength: 6 },
    ),
  )
  .map(([text, edits]) =>
    edits.reduce((before, { at, drop, insert }) => {
      const index = Math.floor(at * before.length)
      return before.slice(0, index) + insert + before.slice(index + drop)
    }, text),
  )

describe('any bytes', () => {
  it('give a configuration or a reason, and soon', async () => {
    await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), endsWell), { seed, numRuns: 1500 })
  })

  it('give a configuration or a reason where they were nearly a configuration', async () => {
    const property = fc.asyncProperty(mutated, text => endsWell(Buffer.from(text, 'latin1')))
    await fc.assert(property, { seed, numRuns: 4000 })
  })

  it.each([
    '- ',
    '? ',
    '{',
    '[',
    '"',
    "'",
    ':',
    ': ',
    '\n',
    '\t',
    '#',
    '&a ',
    '*',
    '!',
    '| ',
    '---\n',
    'a:\n',
    'a: b\n',
    '%',
  ])('give a reason for 5,000 times %j', async text => {
    const result = await parseConfig(Buffer.from(text.repeat(5000)), 'F', { resolve: resolveForTests })
    expect(result.ok).toBe(false)
  })
})

/** Every setting by its key, each with a value that it accepts: [text, value in the pool]. */
const settings = fc.record(
  Object.fromEntries(DIRECTIVES.filter(isSetting).map(directive => [directive.key, acceptedValue(directive)])),
  { requiredKeys: [] },
)

function acceptedValue(directive: (typeof DIRECTIVES)[number]): fc.Arbitrary<readonly [string, unknown]> {
  switch (directive.type) {
    case 'number': {
      const least = Math.max(directive.min, directive.key === 'server_failure_limit' ? 1 : 0)
      return fc.integer({ min: least, max: directive.max }).map(value => [String(value), value] as const)
    }
    case 'bool':
      return fc.boolean().map(value => [String(value), value] as const)
    case 'name':
      return fc.constantFrom(...directive.names).map(value => [value, value] as const)
    case 'hash-tag':
      return fc.constantFrom(['"{}"', [0x7b, 0x7d]] as const, ["'[]'", [0x5b, 0x5d]] as const)
    case 'text':
      return fc.stringMatching(/^[ -~]{1,20}$/).map(value => [JSON.stringify(value), value] as const)
    case 'listen':
    case 'servers':
      throw new Error(`${directive.key} is not a setting`)
  }
}

describe('any valid settings', () => {
  it('are read back from any order of lines', async () => {
    await fc.assert(
      fc.asyncProperty(settings, fc.infiniteStream(fc.nat()), async (given, order) => {
        const all: Record<string, readonly [string, unknown]> = { ...given, redis: ['true', true] }
        // Such a pool has one database.
        const single = all.strict?.[1] === true || Number(all.redis_db?.[1] ?? 0) > 0
        if (single) delete all.databases
        const lines = Object.entries(all).map(([key, value]) => `  ${key}: ${value[0]}\n`)
        lines.push('  listen: 127.0.0.1:1\n', '  servers:\n    - 127.0.0.1:2:3 x\n')
        const shuffled = lines.map(line => ({ line, rank: order.next().value })).toSorted((a, b) => a.rank! - b.rank!)
        const { pools } = await configOf(`p:\n${shuffled.map(each => each.line).join('')}`)
        for (const directive of DIRECTIVES.filter(isSetting)) {
          const value = all[directive.key]
          const otherwise = directive.key === 'databases' && single ? 1 : directive.default
          expect(pools[0]![directive.field]).toEqual(value === undefined ? otherwise : value[1])
        }
      }),
      { seed, numRuns: 300 },
    )
  })
})
