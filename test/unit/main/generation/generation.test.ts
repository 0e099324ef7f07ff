import { expect, test } from 'vitest'
import {
  carryHealth,
  findServer,
  forWorkers,
  type LocalGeneration,
  liveServers,
  nextGeneration,
  type ServerIndex,
} from '../../../../src/main/generation/generation.ts'
import { Control, Health, HealthState, HealthTime } from '../../../../src/shared/memory-layout.ts'
import { configOf, poolOf, serverAt } from '../../../support/generation.ts'
import { localGeneration, routedServers, testSettings } from '../../../support/local-generation.ts'

const EJECTING = { autoEjectHosts: true, servers: [serverAt('a', 1), serverAt('b', 2), serverAt('c', 3)] }

function healthOf({ layout, shared }: LocalGeneration, { pool, server }: ServerIndex): Int32Array {
  return layout.health(shared, pool, server)
}

function eject(generation: LocalGeneration, at: ServerIndex): void {
  Atomics.store(healthOf(generation, at), Health.state, HealthState.ejected)
  generation.layout.healthTimes(generation.shared, at.pool, at.server)[HealthTime.retryAtMs] = 77
}

test('the first generation routes to all servers at the level of the command line', async () => {
  const first = await localGeneration(configOf(poolOf('p', EJECTING), poolOf('q')))
  expect(routedServers(first, 0)).toEqual([0, 1, 2])
  expect(routedServers(first, 1)).toEqual([0, 1])
  expect(first.layout.control(first.shared)[Control.logLevel]).toBe(5)
  expect(first.id).toBe(1)
})

test('what workers are sent can be cloned', async () => {
  const first = await localGeneration(configOf(poolOf('p')))
  expect(structuredClone(forWorkers(first))).toMatchObject({ id: 1, config: first.config })
})

test('an ejected server stays ejected over a reload, with its time, and out of the table', async () => {
  const settings = testSettings(1)
  const first = await localGeneration(configOf(poolOf('p', EJECTING)), settings)
  eject(first, { pool: 0, server: 1 })
  Atomics.store(healthOf(first, { pool: 0, server: 2 }), Health.failures, 1)
  const config = configOf(poolOf('o'), poolOf('p', { ...EJECTING, servers: [serverAt('b', 2), serverAt('c', 3)] }))
  const next = await nextGeneration(config, settings, first)
  expect(next.id).toBe(2)
  expect(healthOf(next, { pool: 1, server: 0 })[Health.state]).toBe(HealthState.ejected)
  expect(next.layout.healthTimes(next.shared, 1, 0)[HealthTime.retryAtMs]).toBe(77)
  expect(healthOf(next, { pool: 1, server: 1 })[Health.failures]).toBe(1)
  expect(routedServers(next, 1)).toEqual([1])
})

test('a server at another address, and one of a pool that no longer ejects, begin anew', async () => {
  const settings = testSettings(1)
  const first = await localGeneration(configOf(poolOf('p', EJECTING), poolOf('q', EJECTING)), settings)
  for (const pool of [0, 1]) eject(first, { pool, server: 0 })
  const moved = [serverAt('a', 9), serverAt('b', 2), serverAt('c', 3)]
  const config = configOf(
    poolOf('p', { ...EJECTING, servers: moved }),
    poolOf('q', { ...EJECTING, autoEjectHosts: false }),
  )
  const next = await nextGeneration(config, settings, first)
  expect(routedServers(next, 0)).toEqual([0, 1, 2])
  expect(routedServers(next, 1)).toEqual([0, 1, 2])
})

test('what happens while tables are built is carried over at the switch', async () => {
  const settings = testSettings(1)
  const first = await localGeneration(configOf(poolOf('p', EJECTING)), settings)
  const config = configOf(poolOf('p', { ...EJECTING, timeoutMs: 9 }))
  const next = await nextGeneration(config, settings, first)
  eject(first, { pool: 0, server: 2 })
  first.layout.control(first.shared)[Control.logLevel] = 7
  expect(carryHealth(first, next)).toEqual([0])
  expect(carryHealth(first, next)).toEqual([])
  expect(liveServers(next, 0)).toEqual([0, 1])
  expect(next.layout.control(next.shared)[Control.logLevel]).toBe(7)
})

test('with eject_keep_ring an ejected server stays in the table', async () => {
  const first = await localGeneration(configOf(poolOf('p', { ...EJECTING, ejectKeepRing: true })))
  eject(first, { pool: 0, server: 1 })
  expect(liveServers(first, 0)).toEqual([0, 1, 2])
})

test('a reload whose tables cannot be built rejects and ends its thread', async () => {
  const settings = testSettings(1)
  const first = await localGeneration(configOf(poolOf('p')), settings)
  const newTableThread = (staysWarm: boolean) => {
    const thread = settings.newTableThread(staysWarm)
    settings.threads.at(-1)!.before = () => Promise.reject(new Error('injected'))
    return thread
  }
  const next = nextGeneration(configOf(poolOf('q')), { workers: 1, newTableThread }, first)
  await expect(next).rejects.toThrow('injected')
  expect(settings.threads.at(-1)!.closed).toBe(true)
})

test('the same server is found by pool, name and address', () => {
  const config = configOf(poolOf('o'), poolOf('p', EJECTING))
  expect(findServer(config, poolOf('p'), serverAt('b', 2))).toEqual({ pool: 1, server: 1 })
  expect(findServer(config, poolOf('p'), serverAt('b', 3))).toBeNull()
  expect(findServer(config, poolOf('none'), serverAt('b', 2))).toBeNull()
})
