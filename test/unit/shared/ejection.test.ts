/** What becomes of an ejected server, with and without `eject_keep_ring`. */

import { expect, test } from 'vitest'
import { isDown, isEjected, isInRing } from '../../../src/shared/ejection.ts'
import { Health, HealthState } from '../../../src/shared/memory-layout.ts'

const LEAVES = false
const STAYS = true

function recordOf(state: number): Int32Array {
  const health = new Int32Array(new SharedArrayBuffer(4 * Object.keys(Health).length))
  health[Health.state] = state
  return health
}

test('an ejected server leaves the ring, or stays in it and is down', () => {
  const health = recordOf(HealthState.ejected)
  expect(isEjected(health)).toBe(true)
  expect([isInRing(LEAVES, health), isDown(LEAVES, health)]).toEqual([false, false])
  expect([isInRing(STAYS, health), isDown(STAYS, health)]).toEqual([true, true])
})

test.each([HealthState.up, HealthState.lost])('a server in state %i is in the ring and not down', state => {
  const health = recordOf(state)
  expect(isEjected(health)).toBe(false)
  for (const keepsRing of [LEAVES, STAYS])
    expect([isInRing(keepsRing, health), isDown(keepsRing, health)]).toEqual([true, false])
})
