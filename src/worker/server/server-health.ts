/**
 * The failures of one server, counted over all workers, and what follows. Data plane. The record is in shared memory.
 *
 *     auto_eject_hosts     up ── server_failure_limit failures in a row ──▶ ejected ── the primary's probe is answered ──▶ up
 *     without              up ── a connection fails, or says nothing for `timeout` ──▶ lost ── any reply ──▶ up
 *
 * An ejected server is out of the ring (`main/health/health.ts`). A lost one stays in it and gets every request as before; requests that any
 * server can answer prefer other servers. Each change is logged once, by the worker that notices it first.
 */

import type { LimitedLog } from '../../log/limited-log.ts'
import type { PoolConfig, ServerConfig } from '../../shared/config.ts'
import { isDown, isEjected, isInRing } from '../../shared/ejection.ts'
import { Health, HealthState, HealthTime, type SharedLayout } from '../../shared/memory-layout.ts'
import { FAILURE_TEXTS, Failure, type FailureCode } from '../request/failure.ts'
import type { WorkerScope } from '../request/worker-scope.ts'

/** Least time between two lines about a server that is lost and back again and again, ms. A loss that lasts is always logged. */
const LOG_INTERVAL_MS = 10_000

/** The server (`Server`), which may move to other shared memory with a reload. */
export interface HealthSubject {
  readonly pool: {
    readonly config: PoolConfig
    readonly index: number
    readonly layout: SharedLayout
    readonly shared: SharedArrayBuffer
    readonly context: WorkerScope
    readonly limitedLog: LimitedLog
  }
  readonly config: ServerConfig
  readonly index: number
  /** It is no longer in the configuration. */
  readonly isRetired: boolean
}

export class ServerHealth {
  private readonly server: HealthSubject
  private record: Int32Array
  private times: Float64Array
  /** The failure that was logged last: each is logged once, and not once a request. -1 = the server has answered since. */
  private loggedFailure = -1
  /** Whether the pool has `eject_keep_ring`. Kept here because each request asks for it. */
  private keepsRing: boolean

  constructor(server: HealthSubject) {
    const { pool, index } = server
    this.server = server
    this.keepsRing = pool.config.ejectKeepRing
    this.record = pool.layout.health(pool.shared, pool.index, index)
    this.times = pool.layout.healthTimes(pool.shared, pool.index, index)
  }

  /** Moves to the pool's new shared memory. */
  rebase(): void {
    const { pool, index } = this.server
    this.keepsRing = pool.config.ejectKeepRing
    this.record = pool.layout.health(pool.shared, pool.index, index)
    this.times = pool.layout.healthTimes(pool.shared, pool.index, index)
  }

  /** The server is no longer in the configuration: its failures are not counted from now on. */
  retire(): void {
    this.record = new Int32Array(this.record.length)
  }

  get isEjected(): boolean {
    return isEjected(this.record)
  }

  /** Keys may be assigned to it. */
  get isInRing(): boolean {
    return isInRing(this.keepsRing, this.record)
  }

  /** It is ejected and stays in the ring: requests for it fail at once. */
  get isDown(): boolean {
    return isDown(this.keepsRing, this.record)
  }

  /** In a pool without `auto_eject_hosts`: the last that any worker heard of it was a failed connection. */
  get isLost(): boolean {
    return Atomics.load(this.record, Health.state) === HealthState.lost
  }

  /** Logs a failure once for each change of state. In a pool without `auto_eject_hosts` the line about a lost server has it. */
  logFailure(failure: FailureCode): void {
    const { pool } = this.server
    if (this.loggedFailure === failure) return
    if (!pool.config.autoEjectHosts && !isLocal(failure)) return
    this.loggedFailure = failure
    pool.limitedLog.notice('server failure', () => `${this.name}: ${FAILURE_TEXTS[failure]}`)
  }

  /** One failure more. The worker that reaches the limit ejects; the primary publishes the table without this server. */
  countFailure(reason: string): void {
    const { pool, index } = this.server
    const { config } = pool
    if (!config.autoEjectHosts || this.server.isRetired) return
    const failures = Atomics.add(this.record, Health.failures, 1) + 1
    if (failures < config.serverFailureLimit) return
    if (Atomics.compareExchange(this.record, Health.state, HealthState.up, HealthState.ejected) !== HealthState.up)
      return
    Atomics.store(this.record, Health.failures, 0)
    const nowMs = Date.now()
    this.times[HealthTime.retryAtMs] = nowMs + config.serverRetryTimeoutMs
    this.times[HealthTime.ejectedAtMs] = nowMs
    pool.context.post({ type: 'ejected', pool: pool.index, server: index, reason })
  }

  /** One failure more, because the server cannot be reached or does not answer: it may be lost. */
  countLoss(reason: string): void {
    if (this.server.pool.config.autoEjectHosts) this.countFailure(reason)
    else if (!this.server.isRetired) this.noteLost(reason)
  }

  /** Any reply ends a series of failures. */
  countSuccess(): void {
    this.loggedFailure = -1
    if (this.record[Health.failures] !== 0) this.endFailures()
  }

  private endFailures(): void {
    Atomics.store(this.record, Health.failures, 0)
    if (!this.server.pool.config.autoEjectHosts) this.noteBack()
  }

  private noteLost(reason: string): void {
    const { record, times } = this
    const isNew = Atomics.compareExchange(record, Health.state, HealthState.up, HealthState.lost) === HealthState.up
    if (!isNew && Atomics.load(record, Health.quietLoss) === 0) return
    const nowMs = Date.now()
    if (isNew) {
      times[HealthTime.lostAtMs] = nowMs
      // A success looks at this number only.
      Atomics.store(record, Health.failures, 1)
    }
    if (nowMs - times[HealthTime.lossLoggedMs] < LOG_INTERVAL_MS) {
      if (isNew) Atomics.add(record, Health.unloggedLosses, 1)
      Atomics.store(record, Health.quietLoss, 1)
      return
    }
    times[HealthTime.lossLoggedMs] = nowMs
    Atomics.store(record, Health.quietLoss, 0)
    // A loss that was not logged at first and lasts is logged late: it is one of those that were counted.
    const others = Atomics.exchange(record, Health.unloggedLosses, 0) - (isNew ? 0 : 1)
    const since = others > 0 ? ` (lost ${others} times more since the last such line)` : ''
    this.logLoss(`is lost: ${reason}${since}`)
  }

  private noteBack(): void {
    const { record, times } = this
    if (Atomics.compareExchange(record, Health.state, HealthState.lost, HealthState.up) !== HealthState.lost) return
    if (Atomics.exchange(record, Health.quietLoss, 0) !== 0) return
    const lostSec = (Date.now() - times[HealthTime.lostAtMs]) / 1_000
    this.logLoss(`is back after ${lostSec.toFixed(1)} s`)
  }

  private logLoss(what: string): void {
    const { name } = this
    this.server.pool.limitedLog.notice(`loss of ${name}`, () => `${name} ${what}`)
  }

  private get name(): string {
    const { pool, config } = this.server
    return `server '${config.pname}' of pool '${pool.config.name}'`
  }
}

/** @returns true for a failure of this machine: the server is not ejected for it. */
export function isLocal(failure: FailureCode): boolean {
  return failure === Failure.tooManyFiles || failure === Failure.noMemory || failure === Failure.noAddress
}
