import { describe, expect, test } from 'vitest'
import { Drain, isPause } from '../../../../src/worker/client/drain.ts'
import type { PoolClients } from '../../../../src/worker/client/pool-clients.ts'

describe('a client with usual pauses of 200 ms', () => {
  test.each([
    [0, false, 'it may be about to send the next of a row'],
    [19, false, 'likewise'],
    [20, true, 'the pause has begun'],
    [100, true, 'its middle'],
    [101, false, 'the next request comes nearer'],
    [499, false, 'it is late, but who knows'],
    [500, true, 'it is silent for longer than it uses to'],
  ])('silent for %i ms: %s', (silentMs, expected) => {
    expect(isPause(silentMs, 200)).toBe(expected)
  })
})

test('a client that makes no pauses is let go after half a second of silence, not before', () => {
  for (const lastPauseMs of [0, 1, 39]) {
    expect([20, 100, 499, 500].map(silentMs => isPause(silentMs, lastPauseMs))).toEqual([false, false, false, true])
  }
})

test('a client that is silent for hours is let go at any time but around two seconds', () => {
  const hourMs = 3_600_000
  expect([20, 500, 501, 1_999, 2_000, 60_000].map(silentMs => isPause(silentMs, hourMs))).toEqual([
    true,
    true,
    false,
    false,
    true,
    true,
  ])
})

describe('the last call', () => {
  /** Whether a client in the middle of a request was told to end. */
  function ended(drain: Drain, nowMs: number): boolean {
    let told = false
    const client = {
      session: null,
      head: {},
      closeAfterReplies: () => {
        told = true
      },
    }
    drain.check([{ members: new Set([client]) } as unknown as PoolClients], nowMs)
    return told
  }

  test('is a second before the end', () => {
    const drain = new Drain(1_000, 30_000)
    expect([1_000, 29_999, 30_000, 40_000].map(nowMs => ended(drain, nowMs))).toEqual([false, false, true, true])
  })

  test('leaves a quarter of a short time for the last replies', () => {
    const drain = new Drain(0, 400)
    expect([0, 299, 300].map(nowMs => ended(drain, nowMs))).toEqual([false, false, true])
  })
})
