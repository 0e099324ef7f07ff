import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { ConfigError } from '../../../src/config/errors.ts'
import { parseDocument, type YamlNode } from '../../../src/config/parse.ts'
import { decodeSource } from '../../../src/config/source.ts'

interface LibyamlCase {
  readonly bytes: string
  readonly line?: string
  readonly scalars?: readonly string[]
}

const file = new URL('libyaml-cases.json', import.meta.url)
const { cases } = JSON.parse(readFileSync(file, 'utf8')) as { cases: readonly LibyamlCase[] }

function parse(bytes: string): YamlNode {
  return parseDocument(decodeSource(Buffer.from(bytes, 'latin1')), 'FILE')
}

function scalarsOf(node: YamlNode): readonly string[] {
  if (node.kind === 'scalar') return [node.value]
  if (node.kind === 'sequence') return node.items.flatMap(scalarsOf)
  return node.pairs.flatMap(([key, value]) => [...scalarsOf(key), ...scalarsOf(value)])
}

function problemOf(bytes: string): ConfigError {
  try {
    parse(bytes)
  } catch (error) {
    if (error instanceof ConfigError) return error
    throw error
  }
  throw new Error(`accepted, but should not be: ${JSON.stringify(bytes)}`)
}

describe('agrees with libyaml', () => {
  it.each(cases.filter(each => each.scalars !== undefined))('on the scalars of $bytes', ({ bytes, scalars }) => {
    expect(scalarsOf(parse(bytes))).toEqual(scalars)
  })

  it.each(cases.filter(each => each.line !== undefined))('on what is wrong with $bytes', ({ bytes, line }) => {
    expect(problemOf(bytes).lines).toEqual([line])
  })
})

describe('says where and what', () => {
  it.each([
    ['a:\n  b: c\n\td: e\n', 3, 1, 'a tab may not be used for indentation'],
    ['a:\n  listen: *:22121\n', 2, 11, '"*" starts an alias in YAML; quote the text'],
    ['a:\n  b: "c\n', 2, 6, 'a text in quotes begins here and has no " at its end'],
    ["a:\n  b: 'c''\n", 2, 6, "a text in quotes begins here and has no ' at its end"],
    ['a:\n  b: "c\\ud800"\n', 2, 8, 'an escape that is no character'],
    ['a:\n  hash_tag: {}\n', 2, 13, "YAML's flow mapping start ({) is not allowed"],
    ['a: b: c\n', 1, 4, 'a value with ": " in it; quote it'],
    ['a:\n  : b\n', 2, 3, 'there is no key before ":"'],
    ['a: b\n...\nc: d\n', 3, 1, 'text after the end of the document ("...")'],
    ['a: b\n---\nc: d\n', 2, 1, '2 YAML documents; put all pools into one'],
    ['a: ü😀 @\nb: @c\n', 2, 4, 'a value may not begin with "@" in YAML'],
    ['# ü😀\nü😀: @\n', 2, 5, 'a value may not begin with "@" in YAML'],
    ['a: b\r\nc: @d\r\n', 2, 4, 'a value may not begin with "@" in YAML'],
    ['a: b\nc: \x01\n', 2, 4, 'control character U+0001 is not allowed'],
    ['a: b\nc: \xc3\xa9\x80\n', 2, 5, 'bytes that are not valid UTF-8'],
  ])('%j', (bytes, line, column, message) => {
    const text = Buffer.from(bytes, /[^\0-\xff]/.test(bytes) ? 'utf8' : 'latin1').toString('latin1')
    const problem = problemOf(text)
    expect(problem.message).toContain(message)
    expect(problem.position).toEqual({ line, column })
  })

  it.each([
    'a:\n  redis_auth: &secret\n',
    'a:\n  redis_auth: *secret\n',
    'a:\n  redis_auth: |secret\n',
    'a:\n  redis_auth: !secret x\n',
  ])('without showing what may be a password: %j', bytes => {
    expect(problemOf(bytes).message).not.toContain('secret')
  })

  it('when a file is nested beyond any stack', () => {
    expect(problemOf('- '.repeat(20_000)).message).toContain('nested too deeply')
  })
})
