/** One of three servers fails in every way it can, while clients work on all of them. */

import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, describe, expect, test } from 'vitest'
import type { Fault } from '../support/fakes/faulty-relay.ts'
import { stopAll } from '../support/processes/child.ts'
import type { Kind } from '../support/processes/restartable-server.ts'
import { Random } from '../support/random.ts'
import { waitUntil } from '../support/wait.ts'
import { Field, TIMEOUT_MS, VICTIM } from './field.ts'
import { type ScenarioOptions, scenario } from './scenario.ts'
import { SCENARIO_TIMEOUT_MS, SEED } from './settings.ts'

const LOADING = Buffer.from('-LOADING Redis is loading the dataset in memory\r\n')
const RETRY_MS = 150

afterAll(stopAll)

/** A scenario in which the relay before the victim causes the disturbance. */
function relayed(name: string, options: ScenarioOptions, fault: Fault): void {
  scenario(name, { ...options, relay: true }, async ({ relay }, ms) => {
    const { faults } = relay!
    relay!.begin(fault)
    await delay(ms)
    await waitUntil(() => relay!.faults > faults, 'the fault to strike')
    relay!.end()
  })
}

describe.each<Kind>(['redis', 'memcache'])('a %s server', kind => {
  scenario('is killed and comes back empty', { kind }, async (field, ms) => {
    await field.victim.kill()
    field.ledger.serverLost(VICTIM)
    await delay(ms)
    await field.victim.start()
  })

  scenario('stands still for longer than the timeout', { kind, leastMs: TIMEOUT_MS + 200 }, async (field, ms) => {
    field.victim.freeze()
    await delay(ms)
    field.victim.go()
  })

  relayed('breaks off in the middle of replies', { kind }, { kind: 'break', probability: 0.05 })
  relayed(
    'breaks off in the middle of large replies',
    { kind, largePerMille: 200 },
    { kind: 'break', probability: 0.1 },
  )
  relayed('answers garbage', { kind }, { kind: 'garbage', probability: 0.05 })
  relayed('drops all connections and accepts none', { kind }, { kind: 'no-descriptors' })
  relayed('takes requests and answers nothing', { kind, leastMs: TIMEOUT_MS + 200 }, { kind: 'mute' })
  relayed('is slow, but within the timeout', { kind, failures: false }, { kind: 'slow', delayMs: TIMEOUT_MS / 10 })
})

relayed('a redis server says that it is loading', {}, { kind: 'instead', probability: 0.2, bytes: LOADING })

/** Resolves when no request has failed for a while. */
async function quiet(field: Field): Promise<void> {
  await waitUntil(async () => {
    const { errors } = field.ledger
    await delay(100)
    return field.ledger.errors === errors
  }, 'the errors to end')
}

test('an ejected server meets no client before it answers again', { timeout: SCENARIO_TIMEOUT_MS }, async () => {
  const pool = { auto_eject_hosts: true, server_failure_limit: 2, server_retry_timeout: RETRY_MS }
  const field = await Field.start({ pool, random: new Random(SEED).fork(0) })
  try {
    field.go()
    for (let round = 1; round <= 2; round++) {
      const told = (what: string): boolean => field.proxy.log().split(what).length > round
      field.ledger.serverMoves(VICTIM)
      const over = field.ledger.trouble(VICTIM, 0)
      await field.victim.kill()
      await waitUntil(() => told('ejected for'), 'the ejection')
      // The new table is on its way to the workers.
      await quiet(field)
      over()
      const { errors } = field.ledger
      await delay(4 * RETRY_MS)
      expect(field.ledger.errors).toBe(errors)
      await field.victim.start()
      await waitUntil(() => told('answers again and returns'), 'the return')
      await delay(2 * RETRY_MS)
      expect(field.ledger.errors).toBe(errors)
    }
    await field.settle()
  } finally {
    await field.stop()
  }
})
