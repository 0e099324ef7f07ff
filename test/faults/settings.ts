/**
 * How long and how often the fault suite runs: short among the other tests, longer by `npm run test:faults`.
 *
 *     FAULT_SECONDS  how long each scenario's faults go on     default 0.6
 *     ROUNDS         how often each scenario is run            default 1
 *     SEED           repeats a run's random choices
 */

import { runSeed } from '../support/random.ts'

export const FAULT_MS = Number(process.env.FAULT_SECONDS ?? 0.6) * 1_000
export const ROUNDS = Number(process.env.ROUNDS ?? 1)
export const SEED = runSeed()
/** Time limit of one scenario: the faults, and twice as much for start, settling and a busy machine. */
export const SCENARIO_TIMEOUT_MS = 60_000 + ROUNDS * FAULT_MS * 3
