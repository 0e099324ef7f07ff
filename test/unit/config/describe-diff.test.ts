import { expect, test } from 'vitest'
import { describeDiff } from '../../../src/config/describe-diff.ts'
import { diffConfigs } from '../../../src/config/diff.ts'
import type { Config } from '../../../src/shared/config.ts'
import { configOf, listenAt, poolOf, serverAt } from '../../support/generation.ts'

const describeChange = (before: Config, after: Config): string[] =>
  describeDiff(diffConfigs(before, after), before, after)

test('pools that come and go are named, those that stay as they are are not', () => {
  const [a, b, c] = ['a', 'b', 'c'].map((name, i) => poolOf(name, { listen: listenAt(`127.0.0.1:${i + 1}`) }))
  expect(describeChange(configOf(a, b), configOf(b, c))).toEqual([
    "pool 'c' added, listening on '127.0.0.1:3', with 2 servers",
    "pool 'a' removed",
    "'127.0.0.1:1' closed",
  ])
})

test('a changed pool says what changed in it', () => {
  const before = poolOf('p', { servers: [serverAt('a', 1), serverAt('b', 2), serverAt('c', 3)] })
  const servers = [
    serverAt('a', 1),
    { ...serverAt('b', 2), weight: 5, pname: '127.0.0.1:2:5' },
    serverAt('c', 4),
    serverAt('d', 5),
  ]
  const after = poolOf('p', { servers, timeoutMs: 9, listen: listenAt('127.0.0.1:9') })
  expect(describeChange(configOf(before), configOf(after))).toEqual([
    "pool 'p': listens on '127.0.0.1:9'; changed timeoutMs; added '127.0.0.1:5:1 d'; reweighted '127.0.0.1:2:5 b'; moved '127.0.0.1:4:1 c'",
    "'127.0.0.1:22121' closed",
  ])
  expect(describeChange(configOf(before), configOf(poolOf('p', { servers: [serverAt('a', 1)] })))).toEqual([
    "pool 'p': removed '127.0.0.1:2:1 b', '127.0.0.1:3:1 c'",
  ])
})
