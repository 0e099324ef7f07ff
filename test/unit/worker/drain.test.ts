import { describe, expect, test } from 'vitest'
import { Drain } from '../../../src/worker/drain.ts'
import type { Pool } from '../../../src/worker/pool.ts'

/** What `Drain` asked of a client: `pause N` = to end if nothing has come for N ms, `turn` = to end once answered. */
function asked(drain: Drain, nowMs: number): string {
  let said = ''
  const client = {
    endInPause: (sinceMs: number) => {
      said = `pause ${nowMs - sinceMs}`
    },
    endInTurn: () => {
      said = 'turn'
    },
  }
  drain.check([{ clients: new Set([client]) } as unknown as Pool], nowMs)
  return said
}

describe('a drain of 30 s', () => {
  const drain = new Drain(1_000, 30_000)

  test('asks for a pause of 100 ms until the last second', () => {
    for (const nowMs of [1_000, 1_020, 15_000, 29_100]) expect(asked(drain, nowMs)).toBe('pause 100')
  })

  test('takes ever shorter pauses before the last call', () => {
    expect([29_200, 29_600, 29_840, 29_980].map(nowMs => asked(drain, nowMs))).toEqual([
      'pause 100',
      'pause 50',
      'pause 20',
      'pause 20',
    ])
  })

  test('makes its last call a second before the end', () => {
    expect(asked(drain, 29_999)).toBe('pause 20')
    expect(asked(drain, 30_000)).toBe('turn')
    expect(asked(drain, 40_000)).toBe('turn')
  })
})

test('a short drain keeps a quarter of its time for the last replies', () => {
  const drain = new Drain(0, 400)
  expect(asked(drain, 0)).toBe('pause 37.5')
  expect(asked(drain, 299)).toBe('pause 20')
  expect(asked(drain, 300)).toBe('turn')
})
