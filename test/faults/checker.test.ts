/** The checker of the fault suite, put to the test: each fault that a proxy could have is injected, and must be noticed. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Tampering, TamperingProxy } from '../support/fakes/tampering.ts'
import { stopAll } from '../support/processes/child.ts'
import { startRedis, type TestServer } from '../support/processes/servers.ts'
import { Random } from '../support/random.ts'
import { Actor } from './actor.ts'
import { Ledger, ModelledCounter, ModelledKey, taggedValue } from './ledger.ts'
import { RedisWork } from './redis-work.ts'
import { SEED } from './settings.ts'

const ACTORS = 3
const RUN_MS = 400
const PATIENCE_MS = 500

let redis: TestServer

beforeAll(async () => {
  redis = await startRedis()
})
afterAll(stopAll)

/** What clients notice behind a relay that tampers. */
async function violationsUnder(tampering: Tampering): Promise<readonly string[]> {
  const relay = await TamperingProxy.start(redis.port, tampering)
  const ledger = new Ledger()
  const actors = Array.from({ length: ACTORS }, (_, i) => {
    const random = new Random(SEED).fork(i)
    const name = `${tampering}-${i}`
    const work = new RedisWork(ledger, name, random)
    return new Actor({ name, work, ledger, random, address: () => ({ port: relay.port }), patienceMs: PATIENCE_MS })
  })
  try {
    for (const actor of actors) await actor.begin()
    const runs = actors.map(actor => actor.run())
    const deadlineMs = performance.now() + 10_000
    const waiting = (): boolean => tampering !== 'nothing' && ledger.violations.length === 0
    do await new Promise(resolve => setTimeout(resolve, RUN_MS))
    while (waiting() && performance.now() < deadlineMs)
    for (const actor of actors) actor.stop()
    await Promise.all(runs)
    expect(relay.tamperer.done).toBe(tampering !== 'nothing')
    return ledger.violations.map(each => each.what)
  } finally {
    for (const actor of actors) actor.close()
    await relay.stop()
  }
}

test('it has nothing to say where nothing is wrong', async () => {
  expect(await violationsUnder('nothing')).toEqual([])
})

test.each([
  ['corrupt', /never written to it|not the reply to/],
  ['swap', /not the reply to|not \+OK|not a |neither|never written|no server/],
  ['cross', /not the reply to/],
  ['duplicate', /not the reply to|not \+OK|not a |neither|never written|bytes after|not \d values/],
  ['drop', /not answered|unanswered|not the reply to|not \+OK|never written/],
  ['lose-write', /was acknowledged/],
  ['stale-read', /was acknowledged|never written/],
  ['repeat-write', /one happened twice/],
  ['false-error', /no server of its keys is in trouble/],
  ['close', /the connection was closed/],
] as const)('it notices: %s', async (tampering, expected) => {
  const violations = await violationsUnder(tampering)
  expect(
    violations.some(what => expected.test(what)),
    violations.slice(0, 5).join('\n'),
  ).toBe(true)
})

describe('the model', () => {
  test('admits a write of unknown outcome once, whenever it happens', () => {
    const key = new ModelledKey('k')
    key.acknowledge('1', 0)
    key.perhaps('2')
    expect(key.see('1')).toBe('')
    key.acknowledge('3', 1)
    expect(key.see('2')).toBe('')
    key.acknowledge('4', 2)
    expect(key.see('2')).toContain('has "2", though "4" was acknowledged')
  })

  test('admits that a server which was killed has lost its keys, until they are written again', () => {
    const key = new ModelledKey('k')
    key.acknowledge('1', 0)
    expect(key.see(null)).toContain('was acknowledged')
    key.serverLost(5)
    expect(key.see(null)).toBe('')
    expect(key.see('1')).toContain('was acknowledged')
    key.acknowledge('2', 6)
    expect(key.see(null)).toContain('was acknowledged')
  })

  test('knows that a write acknowledged after the server was killed may have been before', () => {
    const key = new ModelledKey('k')
    key.serverLost(5)
    key.acknowledge('1', 4)
    expect(key.see(null)).toBe('')
  })

  test('a key that moves may go back to what it was, and never to what it was not', () => {
    const key = new ModelledKey('k')
    key.exact = false
    key.acknowledge('1', 0)
    key.acknowledge('2', 1)
    expect(key.see('1')).toBe('')
    expect(key.see('other')).toContain('never written')
  })

  test('knows large values as well as small ones', () => {
    const key = new ModelledKey('k')
    const [first, second, third] = [1, 2, 3].map(number => taggedValue(`k#${number}`, 1_000))
    key.acknowledge(first!, 0)
    key.perhaps(second!)
    expect(key.see(first!)).toBe('')
    expect(key.see(second!)).toBe('')
    expect(key.see(first!)).toContain('was acknowledged')
    expect(key.see(third!)).toContain('never written')
  })

  test('notices a lost write however much was written since', () => {
    const key = new ModelledKey('k')
    for (let i = 0; i < 10_000; i++) key.acknowledge(`${i}`, i)
    expect(key.see('9999')).toBe('')
    expect(key.see('9998')).toContain('"9999" was acknowledged')
    expect(key.see('0')).toContain('or long ago')
    expect(key.see(null)).toContain('was acknowledged')
  })

  test('counts increments that were lost and that happened twice', () => {
    const counter = new ModelledCounter('c')
    expect(counter.acknowledge(1, 0)).toBe('')
    counter.perhaps()
    expect(counter.acknowledge(3, 1)).toBe('')
    expect(counter.acknowledge(3, 2)).toContain('were acknowledged')
    expect(new ModelledCounter('d').acknowledge(2, 0)).toContain('happened twice')
  })
})
