import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type LocalGeneration, nextGeneration } from '../../../../src/main/generation/generation.ts'
import { HealthMonitor } from '../../../../src/main/health/health.ts'
import type { PoolConfig } from '../../../../src/shared/config.ts'
import { Health, HealthState, HealthTime, PoolHead } from '../../../../src/shared/memory-layout.ts'
import { PoolStat, ServerStat } from '../../../../src/shared/stat-fields.ts'
import { configOf, poolOf, serverAt } from '../../../support/generation.ts'
import { localGeneration, routedServers, type TestSettings, testSettings } from '../../../support/local-generation.ts'
import { recordingLog } from '../../../support/recording-log.ts'
import { waitUntil } from '../../../support/wait.ts'

const RETRY_MS = 60
const POOL: Partial<PoolConfig> = {
  autoEjectHosts: true,
  serverRetryTimeoutMs: RETRY_MS,
  serverFailureLimit: 3,
  servers: [serverAt('a', 1), serverAt('b', 2), serverAt('c', 3)],
}
const SERVER = { pool: 0, server: 1 }

const recorded = recordingLog()
let settings: TestSettings
let generation: LocalGeneration
let monitor: HealthMonitor
/** What the probes say, and how many there were. */
let verdict: string
let probed: string[]

beforeEach(async () => {
  recorded.entries.length = 0
  settings = testSettings(1)
  verdict = 'Connection refused'
  probed = []
  monitor = new HealthMonitor({
    log: recorded.log,
    probe: async (_, server) => {
      probed.push(server.name)
      return verdict
    },
  })
  generation = await localGeneration(configOf(poolOf('p', POOL)), settings)
  monitor.useGeneration(generation)
})

afterEach(() => monitor.close())

/** What a worker does that has counted the last failure. */
function workerEjects(where: LocalGeneration = generation, at = SERVER): void {
  const times = where.layout.healthTimes(where.shared, at.pool, at.server)
  Atomics.store(where.layout.health(where.shared, at.pool, at.server), Health.state, HealthState.ejected)
  times[HealthTime.ejectedAtMs] = Date.now()
  times[HealthTime.retryAtMs] = Date.now() + RETRY_MS
  if (where === generation) monitor.ejected(at, 'Connection timed out')
}

const stateOf = (where: LocalGeneration = generation): number =>
  Atomics.load(where.layout.health(where.shared, SERVER.pool, SERVER.server), Health.state)

describe('ejection', () => {
  test('the table is published without the server', async () => {
    workerEjects()
    await waitUntil(() => routedServers(generation, 0).join() === '0,2', 'the table without the server')
    expect(Atomics.load(generation.layout.poolHead(generation.shared, 0), PoolHead.liveServers)).toBe(2)
  })

  test('it is counted and its time kept in microseconds', () => {
    const before = Date.now() * 1_000
    workerEjects()
    const row = generation.layout.row(generation.shared, 0)
    expect(row[generation.layout.poolStat(0) + PoolStat.serverEjects]).toBe(1)
    const at = row[generation.layout.serverStat(0, 1) + ServerStat.ejectedAt]
    expect(at).toBeGreaterThanOrEqual(before)
    expect(at).toBeLessThanOrEqual(Date.now() * 1_000)
  })

  test('it is logged with server, pool, time, failures and reason', () => {
    workerEjects()
    expect(recorded.entries).toMatchObject([
      {
        severity: 'notice',
        message: "server '127.0.0.1:2:1' of pool 'p' ejected for 60 ms after 3 failures: Connection timed out",
      },
    ])
  })

  test('all servers may go: the table is empty then', async () => {
    for (const server of [0, 1, 2]) workerEjects(generation, { pool: 0, server })
    await waitUntil(() => routedServers(generation, 0).length === 0, 'the empty table')
    expect(Atomics.load(generation.layout.poolHead(generation.shared, 0), PoolHead.liveServers)).toBe(0)
  })

  test('a table that cannot be built is tried again', async () => {
    let failures = 1
    settings.threads[0].before = () => (failures-- > 0 ? Promise.reject(new Error('injected')) : Promise.resolve())
    workerEjects()
    await waitUntil(() => routedServers(generation, 0).join() === '0,2', 'the table without the server')
    expect(recorded.entries.filter(entry => entry.severity === 'error')).toHaveLength(1)
  })
})

describe('return', () => {
  test('a server is asked at its retry time and not before', async () => {
    workerEjects()
    const retryAtMs = generation.layout.healthTimes(generation.shared, 0, 1)[HealthTime.retryAtMs]
    await waitUntil(() => probed.length > 0, 'the first probe')
    // Timers are allowed to fire a millisecond early.
    expect(Date.now()).toBeGreaterThanOrEqual(retryAtMs - 1)
    expect(probed[0]).toBe('b')
  })

  test('only a healthy server returns; until then it is asked again and again', async () => {
    workerEjects()
    await waitUntil(() => probed.length >= 2, 'a second probe')
    expect(stateOf()).toBe(HealthState.ejected)
    expect(routedServers(generation, 0)).toEqual([0, 2])
    verdict = ''
    await waitUntil(() => routedServers(generation, 0).join() === '0,1,2', 'the whole table')
    expect(stateOf()).toBe(HealthState.up)
    expect(generation.layout.health(generation.shared, 0, 1)[Health.failures]).toBe(0)
    const asked = probed.length
    await new Promise(resolve => setTimeout(resolve, 3 * RETRY_MS))
    expect(probed).toHaveLength(asked)
  })

  test('staying away is logged once for each reason, returning always', async () => {
    workerEjects()
    await waitUntil(() => probed.length >= 3, 'a third probe')
    verdict = "it answers '-LOADING'"
    await waitUntil(() => recorded.messages().some(message => message.includes('LOADING')), 'the other reason')
    verdict = ''
    await waitUntil(() => recorded.messages().some(message => message.includes('returns')), 'the return')
    const notices = recorded.entries.filter(entry => entry.severity === 'notice').map(entry => entry.message)
    expect(notices.slice(1)).toEqual([
      "server '127.0.0.1:2:1' of pool 'p' stays ejected for 60 ms more: Connection refused",
      "server '127.0.0.1:2:1' of pool 'p' stays ejected for 60 ms more: it answers '-LOADING'",
      "server '127.0.0.1:2:1' of pool 'p' answers again and returns",
    ])
  })

  test('a server that returned can be ejected again', async () => {
    workerEjects()
    verdict = ''
    await waitUntil(() => stateOf() === HealthState.up, 'the return')
    workerEjects()
    await waitUntil(() => routedServers(generation, 0).join() === '0,2', 'the table without the server')
    const row = generation.layout.row(generation.shared, 0)
    expect(row[generation.layout.poolStat(0) + PoolStat.serverEjects]).toBe(2)
  })
})

describe('with eject_keep_ring', () => {
  test('the table stays, the server is probed all the same', async () => {
    generation = await localGeneration(configOf(poolOf('p', { ...POOL, ejectKeepRing: true })), settings)
    monitor.useGeneration(generation)
    workerEjects()
    await waitUntil(() => probed.length >= 1, 'a probe')
    expect(routedServers(generation, 0)).toEqual([0, 1, 2])
    verdict = ''
    await waitUntil(() => stateOf() === HealthState.up, 'the return')
  })
})

describe('over a reload', () => {
  test('an ejected server is looked after in the new memory', async () => {
    workerEjects()
    const next = await nextGeneration(configOf(poolOf('p', { ...POOL, timeoutMs: 5 })), settings, generation)
    monitor.useGeneration(next)
    verdict = ''
    await waitUntil(() => stateOf(next) === HealthState.up, 'the return in the new memory')
    expect(stateOf(generation)).toBe(HealthState.ejected)
    await waitUntil(() => routedServers(next, 0).join() === '0,1,2', 'the whole table')
  })

  test('an ejection that a worker wrote to the old memory counts in the new', async () => {
    const next = await nextGeneration(configOf(poolOf('p', { ...POOL, timeoutMs: 5 })), settings, generation)
    const old = generation
    monitor.useGeneration(next)
    generation = next
    Atomics.store(old.layout.health(old.shared, 0, 1), Health.state, HealthState.ejected)
    monitor.ejected(SERVER, 'unknown')
    expect(stateOf(next)).toBe(HealthState.ejected)
    await waitUntil(() => routedServers(next, 0).join() === '0,2', 'the table without the server')
    verdict = ''
    await waitUntil(() => stateOf(next) === HealthState.up, 'the return')
  })

  test('a probe that was under way decides nothing any more', async () => {
    let answer: (problem: string) => void = () => {}
    monitor.close()
    monitor = new HealthMonitor({
      log: recorded.log,
      probe: () =>
        new Promise(resolve => {
          answer = resolve
          probed.push('asked')
        }),
    })
    monitor.useGeneration(generation)
    workerEjects()
    await waitUntil(() => probed.length === 1, 'the probe')
    const next = await nextGeneration(configOf(poolOf('p', { ...POOL, timeoutMs: 5 })), settings, generation)
    monitor.useGeneration(next)
    const late = answer
    late('')
    await waitUntil(() => probed.length === 2, 'a probe for the new memory')
    expect(stateOf(next)).toBe(HealthState.ejected)
    expect(stateOf(generation)).toBe(HealthState.ejected)
  })
})
