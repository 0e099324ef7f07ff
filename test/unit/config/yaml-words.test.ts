/** Mistakes in YAML as they are made: each is said in words for its writer, at the place that must be changed. */

import { expect, test } from 'vitest'
import { parseConfig } from '../../../src/config/load.ts'
import { explainYaml } from '../../../src/config/yaml-words.ts'

const GOOD = `alpha:
  listen: 127.0.0.1:22121
  hash: fnv1a_64
  redis: true
  servers:
    - 127.0.0.1:6379:1
    - 127.0.0.1:6380:1
`

const MISTAKES: readonly (readonly [from: string, to: string, place: string, words: string])[] = [
  ['alpha:', 'alpha', '1:1', 'a colon is missing after "alpha"'],
  ['listen:', 'listen', '2:3', 'a colon is missing after "listen"'],
  ['servers:', 'servers', '5:3', 'a colon is missing after "servers"'],
  ['hash: ', 'hash:', '3:3', 'a space is missing after the colon'],
  ['  hash', '   hash', '3:4', 'this line is indented further than the one above'],
  ['  hash', ' hash', '3:2', 'this line is not indented like the others of its pool'],
  ['  hash', 'hash', '4:3', 'this line is indented further than the one above'],
  ['  listen', '    listen', '3:3', 'this line is not indented like the others of its pool'],
  ['  hash', '\thash', '3:1', 'a tab may not be used for indentation; use spaces'],
  ['    - 127.0.0.1:6380', '\t- 127.0.0.1:6380', '7:1', 'a tab may not be used for indentation; use spaces'],
  ['    - 127.0.0.1:6380', '   - 127.0.0.1:6380', '7:4', 'this item is not indented like the others of its list'],
  ['    - 127.0.0.1:6380', '- 127.0.0.1:6380', '7:1', 'this item is not indented like the others of its list'],
  [
    '    - 127.0.0.1:6380',
    '      - 127.0.0.1:6380',
    '6:7',
    '(line 7 is read as part of it because it is indented further: column 7)',
  ],
  ['- 127.0.0.1:6380', '-127.0.0.1:6380', '7:5', 'a space is missing after "-"'],
  ['- 127.0.0.1:6380', '127.0.0.1:6380', '7:5', 'a list item without "- "'],
  ['- 127.0.0.1:6379', '127.0.0.1:6379', '6:5', 'a pool without a list'],
  ['fnv1a_64', '"fnv1a_64', '3:9', 'a text in quotes begins here and has no " at its end'],
  ['fnv1a_64', '"fnv1a" 64', '3:17', 'text after the end of a value'],
  ['fnv1a_64', '"\\q"', '3:10', 'no escape of YAML'],
  ['fnv1a_64', 'a: b', '3:9', 'a value with ": " in it'],
  ['fnv1a_64', '@a', '3:9', 'a value may not begin with "@"'],
  ['fnv1a_64', ', a', '3:9', 'a value may not begin with ","'],
  ['fnv1a_64', ']a', '3:9', 'a value may not begin with "]"'],
  ['fnv1a_64', '|a', '3:10', '"|" begins a block of text'],
  ['hash: fnv1a_64', 'hash_tag: {', '3:13', '"{" begins a list or a mapping'],
  ['hash', 'h'.repeat(1_100), '3:3', 'a key of more than 1,024 characters'],
]

test.each(MISTAKES)('%j in place of %j: %s, %s', async (from, to, place, words) => {
  const result = await parseConfig(Buffer.from(GOOD.replace(from, () => to)), 'f.yml')
  const { reason } = result as { reason: string }
  expect(reason.slice(0, reason.indexOf(': '))).toBe(`f.yml:${place}`)
  expect(reason).toContain(words)
})

test('a mistake that has no words of its own still gets ours', () => {
  expect(explainYaml('Something new in the package', 'a: b\n', 0).message).toMatch(/^neither a "key: value" line/)
})

test('no value is shown, which could be a password', async () => {
  for (const secret of ['se: cret', '@secret', '"se" cret', '{secret', '|secret', '%secret']) {
    const result = await parseConfig(
      Buffer.from(GOOD.replace('hash: fnv1a_64', () => `redis_auth: ${secret}`)),
      'f.yml',
    )
    expect((result as { reason: string }).reason).not.toContain('cret')
  }
})
