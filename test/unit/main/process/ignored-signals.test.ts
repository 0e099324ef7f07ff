import { expect, test } from 'vitest'
import { inheritedIgnored } from '../../../../src/main/process/ignored-signals.ts'

test('the mask of the kernel names signals, and leaves the environment', () => {
  const env: NodeJS.ProcessEnv = { PISTACHIO_IGNORED_SIGNALS: '0000000000004005', OTHER: 'x' }
  expect([...inheritedIgnored(env)].sort()).toEqual(['SIGHUP', 'SIGQUIT', 'SIGTERM'])
  expect(env).toEqual({ OTHER: 'x' })
})

test('without a mask, or with nonsense, none is ignored', () => {
  for (const mask of [undefined, '', 'x', '0000000000004005 ', '-1']) {
    expect(inheritedIgnored({ PISTACHIO_IGNORED_SIGNALS: mask }).size).toBe(0)
  }
})
