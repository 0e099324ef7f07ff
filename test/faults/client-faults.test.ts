/** Some clients behave as badly as they can, while others work as always and must not notice. */

import { afterAll, expect } from 'vitest'
import { stopAll } from '../support/processes/child.ts'
import { Random } from '../support/random.ts'
import { comeAndGo, type Disturbance, flood, halfClose, reset, stall } from './disturbances.ts'
import type { Field } from './field.ts'
import { scenario } from './scenario.ts'
import { SEED } from './settings.ts'

afterAll(stopAll)

function disturbance(field: Field, ms: number): Disturbance {
  return { port: field.proxy.ports[0]!, random: new Random(SEED).fork(50), ms }
}

/** The timeout is long: clients that share a server with a flood wait for their replies there. */
const UNHARMED = { failures: false, pool: { timeout: 10_000 } }

/** Four clients with 16 MiB of unread replies each, and what was on its way when that was reached. */
const BOUNDED = { ...UNHARMED, growthMiB: 4 * 64, pool: { ...UNHARMED.pool, client_queue_bytes: 16_777_216 } }
scenario('clients flood and do not read', BOUNDED, (field, ms) => flood(disturbance(field, ms)))

scenario('clients stop in the middle of a request', UNHARMED, (field, ms) => stall(disturbance(field, ms)))

scenario('clients break off in the middle of requests and replies', UNHARMED, async (field, ms) => {
  await Promise.all([
    reset(disturbance(field, ms)),
    reset({ ...disturbance(field, ms), random: new Random(SEED).fork(51) }),
  ])
})

scenario('clients half-close and get all their replies', UNHARMED, async (field, ms) => {
  expect(await halfClose(disturbance(field, ms))).toEqual([])
})

scenario('clients come and go', UNHARMED, (field, ms) => comeAndGo(disturbance(field, ms)))
