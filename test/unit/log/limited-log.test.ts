import { expect, test } from 'vitest'
import { LINES_PER_INTERVAL, LimitedLog } from '../../../src/log/limited-log.ts'
import { recordingLog } from '../../support/recording-log.ts'
import { waitUntil } from '../../support/wait.ts'

test('of 50,000 lines of a kind some are written, and one tells how many were left out', async () => {
  const recorded = recordingLog()
  const limited = new LimitedLog(recorded.log, "pool 'p'", 200)
  let composed = 0
  for (let i = 0; i < 50_000; i++) limited.alert('unsupported command', () => `line ${composed++}`)
  const written = Array.from({ length: LINES_PER_INTERVAL }, (_, i) => `line ${i}`)
  expect(recorded.messages()).toEqual(written)
  expect(composed).toBe(LINES_PER_INTERVAL)
  await waitUntil(() => recorded.entries.length > written.length, 'the count')
  const count = `pool 'p': ${50_000 - LINES_PER_INTERVAL} more lines of the kind "unsupported command" were left out`
  expect(recorded.messages()).toEqual([...written, count])
  expect(recorded.entries.at(-1)!.severity).toBe('alert')
  limited.alert('unsupported command', () => 'later')
  expect(recorded.messages().at(-1)).toBe('later')
})

test('kinds do not share a limit, and `flush` gives the counts at once', () => {
  const recorded = recordingLog()
  const limited = new LimitedLog(recorded.log, "pool 'p'")
  for (let i = 0; i < LINES_PER_INTERVAL + 3; i++) limited.info('one', () => 'a')
  limited.warn('other', () => 'b')
  limited.flush()
  limited.flush()
  const written = Array.from({ length: LINES_PER_INTERVAL }, () => 'a')
  expect(recorded.messages()).toEqual([...written, 'b', 'pool \'p\': 3 more lines of the kind "one" were left out'])
})

test('a line that the level hides is neither composed nor counted', () => {
  const recorded = recordingLog()
  while (recorded.log.level > 5) recorded.log.shiftLevel(-1)
  const limited = new LimitedLog(recorded.log, "pool 'p'")
  for (let i = 0; i < LINES_PER_INTERVAL + 3; i++) limited.info('one', () => expect.fail('composed'))
  limited.flush()
  expect(recorded.entries).toEqual([])
})
