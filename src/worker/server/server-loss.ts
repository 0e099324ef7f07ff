/**
 * A server that is lost and comes back, in a pool without `auto_eject_hosts`: one line in the log for each, whichever worker finds out
 * first. Data plane. The state is in the server's health record, which all workers share.
 *
 *     up ── a connection fails, or says nothing for `timeout` ──▶ lost ── any reply ──▶ up
 *
 * It stops no request from going to the server. Requests that any server can answer prefer servers that are not lost.
 */

import type { LimitedLog } from '../../log/limited-log.ts'
import { Health, HealthState, HealthTime } from '../../shared/memory-layout.ts'

/** A server that comes and goes all the time is told of this often, ms; a loss that lasts is always told of in the end. */
const LOG_INTERVAL_MS = 10_000

/** A server's record in shared memory. */
export interface HealthRecord {
  readonly health: Int32Array
  readonly times: Float64Array
}

/** @param name of the server and its pool, for the log. @param reason text of the failure. */
export function noteLost({ health, times }: HealthRecord, name: string, reason: string, limitedLog: LimitedLog): void {
  const before = Atomics.compareExchange(health, Health.state, HealthState.up, HealthState.lost)
  const isNew = before === HealthState.up
  if (!isNew && Atomics.load(health, Health.quietLoss) === 0) return
  const nowMs = Date.now()
  if (isNew) {
    times[HealthTime.lostAtMs] = nowMs
    // A success looks at this number only.
    Atomics.store(health, Health.failures, 1)
  }
  if (nowMs - times[HealthTime.lossLoggedMs] < LOG_INTERVAL_MS) {
    if (isNew) Atomics.add(health, Health.unloggedLosses, 1)
    Atomics.store(health, Health.quietLoss, 1)
    return
  }
  times[HealthTime.lossLoggedMs] = nowMs
  Atomics.store(health, Health.quietLoss, 0)
  const more = Atomics.exchange(health, Health.unloggedLosses, 0)
  // A quiet loss that lasts is told of late, and is one of those that were counted.
  const others = isNew ? more : more - 1
  const since = others > 0 ? ` (and was lost ${others} times more since the last such line)` : ''
  limitedLog.notice(`loss of ${name}`, () => `${name} is lost: ${reason}${since}`)
}

/** The server has answered. @param name of the server and its pool, for the log. */
export function noteBack({ health, times }: HealthRecord, name: string, limitedLog: LimitedLog): void {
  if (Atomics.compareExchange(health, Health.state, HealthState.lost, HealthState.up) !== HealthState.lost) return
  if (Atomics.exchange(health, Health.quietLoss, 0) !== 0) return
  const lostSec = (Date.now() - times[HealthTime.lostAtMs]) / 1_000
  limitedLog.notice(`loss of ${name}`, () => `${name} is back after ${lostSec.toFixed(1)} s`)
}
