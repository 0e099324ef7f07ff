/**
 * A server that is lost, and what waits for its return: connections with requests for `server_loss_wait`, subscribers
 * without a limit. Data plane; each server has one, which is idle while nothing waits.
 *
 *     lost ─▶ a probe each 100 ms: connect, greet, PING ─▶ answered ─▶ connections connect and send what they have queued, in its order
 *                  └ `-LOADING`, refused, silent: again      └ `server_loss_wait` over ─▶ their requests fail, and later ones at once
 */

import type { LimitedLog } from '../../log/limited-log.ts'
import type { PoolConfig, ServerConfig } from '../../shared/config.ts'
import { Failure, type FailureCode } from '../request/failure.ts'
import type { WorkerScope } from '../request/worker-scope.ts'

/** From the end of a probe to the next, ms; the second after `SLOW_AFTER_MS` without an answer. */
const RETRY_MS = 100
const SLOW_RETRY_MS = 1_000
const SLOW_AFTER_MS = 10_000
/** A probe without an answer for this long is closed, ms: a connect to a host that was away may never end. */
const PROBE_MS = 1_000
/** Most requests that wait on one connection. Further ones are rejected as if the queue was full. */
export const MAX_WAITING_REQUESTS = 65_536

/** A server's connection (`ServerConnection`) as far as it waits, or is a probe. */
export interface WaitingConnection {
  user: object | null
  connectAgain(): void
  fail(failure: FailureCode): void
  retire(): void
  close(failure: FailureCode): void
}

/** The server (`Server`) that is waited for. */
export interface LostServer {
  readonly config: ServerConfig
  readonly pool: { readonly config: PoolConfig; readonly context: WorkerScope; readonly limitedLog: LimitedLog }
  /** Opens a connection that asks whether the server is ready; its user is the server's `Reconnection`. */
  openProbe(): WaitingConnection
}

/** A client's subscriptions, which go on when the server is back. */
export interface ReturnWatcher {
  serverBack(): void
}

/** Uses the connection of the probe, as a `ConnectionUser`. */
export class Reconnection {
  readonly listens = false
  readonly stateful = false
  private readonly server: LostServer
  /** `Turn.nowMs` of the first failure; -1 = the server is not known to be lost. */
  private lostSinceMs = -1
  private failure: FailureCode = Failure.closed
  private readonly waiting: Set<WaitingConnection> = new Set()
  private readonly watchers: Set<ReturnWatcher> = new Set()
  private probe: WaitingConnection | null = null
  private probeStartedMs = 0
  private nextProbeMs = 0
  /** `Turn.nowMs` when the present wait began. */
  private activeSinceMs = 0

  constructor(server: LostServer) {
    this.server = server
  }

  private get nowMs(): number {
    return this.server.pool.context.turn.nowMs
  }

  /** Requests wait instead of failing. */
  isOpen(nowMs: number): boolean {
    return this.lostSinceMs >= 0 && nowMs - this.lostSinceMs < this.server.pool.config.serverLossWaitMs
  }

  /** The coarse timer must look at it. */
  get active(): boolean {
    return this.probe !== null || this.waiting.size > 0 || this.watchers.size > 0 || this.isOpen(this.nowMs)
  }

  /** The server ended a connection, or does not accept one. */
  lost(failure: FailureCode): void {
    if (this.server.pool.config.serverLossWaitMs === 0 || this.lostSinceMs >= 0) return
    this.lostSinceMs = this.nowMs
    this.failure = failure
    this.begin()
  }

  private begin(): void {
    if (this.probe === null) {
      this.activeSinceMs = this.nowMs
      this.nextProbeMs = this.nowMs
    }
    this.server.pool.context.timer.arm()
  }

  /**
   * Lets a connection that is not up wait for the server.
   * @returns false when it must not, or no longer: its requests fail.
   */
  admits(connection: WaitingConnection): boolean {
    if (connection.user === this || !this.isOpen(this.nowMs)) return false
    this.waiting.add(connection)
    this.server.pool.context.timer.arm()
    return true
  }

  /** The connection is closed. */
  forget(connection: WaitingConnection): void {
    this.waiting.delete(connection)
  }

  /** `watcher.serverBack` is called once, when the server answers. */
  watch(watcher: ReturnWatcher): void {
    if (this.watchers.size === 0) {
      this.begin()
      this.log(
        'subscribers go on',
        () => 'is lost: its subscribers stay connected to the other servers until it is back',
      )
    }
    this.watchers.add(watcher)
  }

  unwatch(watcher: ReturnWatcher): void {
    this.watchers.delete(watcher)
  }

  /** The server left the configuration. */
  stop(): void {
    this.watchers.clear()
  }

  /** A connection is up. */
  connected(connection: WaitingConnection): void {
    // One that accepts may still be loading: a probe's answer is awaited.
    if (connection.user !== this && (this.lostSinceMs >= 0 || this.watchers.size > 0)) this.back()
  }

  /** The probe has failed. */
  probeFailed(failure: FailureCode): void {
    this.failure = failure
  }

  check(nowMs: number): void {
    if (this.waiting.size > 0 && !this.isOpen(nowMs)) this.giveUp()
    if (this.probe !== null) {
      if (nowMs - this.probeStartedMs >= PROBE_MS) this.probe.close(Failure.timedOut)
      return
    }
    if (nowMs < this.nextProbeMs || (this.watchers.size === 0 && !this.isOpen(nowMs))) return
    this.probeStartedMs = nowMs
    this.probe = this.server.openProbe()
  }

  private giveUp(): void {
    const connections = [...this.waiting]
    this.waiting.clear()
    for (const connection of connections) connection.fail(this.failure)
  }

  private back(): void {
    this.lostSinceMs = -1
    const connections = [...this.waiting]
    const watchers = [...this.watchers]
    this.waiting.clear()
    this.watchers.clear()
    if (watchers.length > 0) {
      this.log('subscribers are back', () => `is back: ${watchers.length} clients are subscribed there again`)
    }
    for (const connection of connections) connection.connectAgain()
    for (const watcher of watchers) watcher.serverBack()
  }

  private log(kind: string, what: () => string): void {
    const { config, pool } = this.server
    pool.limitedLog.notice(kind, () => `server '${config.pname}' of pool '${pool.config.name}' ${what()}`)
  }

  takesPush(): boolean {
    return false
  }

  /** The probe is answered. */
  connectionIdle(connection: WaitingConnection): void {
    this.probe = null
    connection.user = null
    connection.retire()
    this.back()
  }

  connectionLost(): void {
    this.probe = null
    const slow = this.nowMs - this.activeSinceMs >= SLOW_AFTER_MS
    this.nextProbeMs = this.nowMs + (slow ? SLOW_RETRY_MS : RETRY_MS)
  }
}
