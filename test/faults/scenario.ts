/** How a scenario runs: a field of its own, faults in bursts with calm between them, a verdict, and an end whatever happened. */

import { test } from 'vitest'
import { Random } from '../support/random.ts'
import { Field, type FieldOptions, VICTIM } from './field.ts'
import { FAULT_MS, ROUNDS, SCENARIO_TIMEOUT_MS, SEED } from './settings.ts'

const BURSTS = 2
/** More bursts, where the latencies of the first ones were bad: another process may have had the machine. */
const MOST_BURSTS = 6
const CALM_MS = 100

export interface ScenarioOptions extends Omit<FieldOptions, 'random'> {
  /** Requests for the victim's keys may fail during a burst. Default true. */
  readonly failures?: boolean
  /** Clients may lose their connection during a burst. Default false. */
  readonly closes?: boolean
  /** No burst is shorter, ms. */
  readonly leastMs?: number
}

/** A test that runs the scenario `ROUNDS` times. @param burst one burst of faults, which lasts about `ms`. */
export function scenario(
  name: string,
  options: ScenarioOptions,
  burst: (field: Field, ms: number) => Promise<void>,
): void {
  test(name, { timeout: SCENARIO_TIMEOUT_MS }, async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const field = await Field.start({ ...options, random: new Random(SEED).fork(round) })
      try {
        await run(field, options, burst)
        await field.settle()
      } finally {
        await field.stop()
      }
    }
  })
}

async function run(
  field: Field,
  options: ScenarioOptions,
  burst: (field: Field, ms: number) => Promise<void>,
): Promise<void> {
  const { failures = true, closes = false, leastMs = 0 } = options
  const ms = Math.max(leastMs, FAULT_MS / BURSTS)
  field.go(!closes)
  for (let i = 0; i < BURSTS || (!closes && !field.provedCalm && i < MOST_BURSTS); i++) {
    const fault = async (): Promise<void> => {
      const ends = [failures ? field.ledger.trouble(VICTIM) : null, closes ? field.ledger.closing() : null]
      await burst(field, ms)
      for (const end of ends) end?.()
    }
    if (closes) await fault()
    else await field.duringFault(CALM_MS, fault)
  }
}
