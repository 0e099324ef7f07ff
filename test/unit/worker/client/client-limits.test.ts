import { expect, test } from 'vitest'
import { clientLimits } from '../../../../src/worker/client/client-limits.ts'
import { poolOf } from '../../../support/generation.ts'

const MIB = 1_048_576
const GIB = 1_024 * MIB
const automatic = poolOf('p', { clientQueueBytes: 0 })

test('an explicit client_queue_bytes is all, whatever the memory limit', () => {
  const limits = clientLimits(poolOf('p', { clientQueueBytes: 4 * MIB }), 32 * MIB, 2)
  expect(limits).toEqual({
    inFlightBytes: 4 * MIB,
    queueBytes: 4 * MIB,
    closeBytes: 16 * MIB,
    largeReplyBytes: 16 * MIB,
    pushBytes: 16 * MIB,
    keepsForWriter: false,
  })
})

test.each([
  [4 * GIB, 1, GIB / 2, 'an eighth of the whole limit'],
  [2 * GIB, 2, GIB / 2, 'an eighth of the whole limit'],
  [16 * GIB, 1, GIB, 'no more than 1 GiB'],
  [Infinity, 4, GIB, 'no more than 1 GiB'],
  [256 * MIB, 16, 128 * MIB, 'no more than half of what the worker has'],
])('by default, with %i bytes a worker and %i workers: %i, %s', (memoryBytes, workers, queueBytes) => {
  const limits = clientLimits(automatic, memoryBytes, workers)
  expect(limits.queueBytes).toBe(queueBytes)
  expect(limits.inFlightBytes).toBe(16 * MIB)
  expect(limits.closeBytes).toBe(queueBytes + 64 * MIB)
  expect(limits.keepsForWriter).toBe(true)
})

test('by default, what is in flight does not exceed what may wait', () => {
  expect(clientLimits(automatic, 16 * MIB, 1)).toMatchObject({ inFlightBytes: 2 * MIB, queueBytes: 2 * MIB })
})
