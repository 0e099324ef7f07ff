/** One server of a pool, as one worker sees it: its connections and its health. Data plane. */

import type { ServerConfig } from '../config/types.ts'
import { Health, HealthState, HealthTime } from '../shared/layout.ts'
import { SERVER_FIELDS } from '../stats/fields.ts'
import { FAILURE_TEXTS, Failure, type FailureCode } from './errno.ts'
import type { Pool } from './pool.ts'
import { ServerConnection } from './server-connection.ts'

export class Server {
  readonly pool: Pool
  config: ServerConfig
  index: number
  /** This worker's statistics row, and the first of the server's fields in it. */
  row: Float64Array
  statBase: number
  private health: Int32Array
  private healthTimes: Float64Array
  private readonly connections: ServerConnection[] = []
  /** Connections that take no new request and close when they have answered what they have. */
  private readonly leavingConnections: ServerConnection[] = []
  private left = false
  private turn = 0
  /** The last failure that was logged; a state is logged once, not once a request. 0 = in order. */
  private loggedFailure = -1

  constructor(pool: Pool, config: ServerConfig, index: number) {
    this.pool = pool
    this.config = config
    this.index = index
    this.row = pool.row
    this.statBase = pool.layout.serverStat(pool.index, index)
    this.health = pool.layout.health(pool.shared, pool.index, index)
    this.healthTimes = pool.layout.healthTimes(pool.shared, pool.index, index)
  }

  /** Moves to the pool's new shared memory after a reload: what its connections have queued is counted there from now on. */
  rebase(config: ServerConfig, index: number): void {
    const { pool } = this
    for (const connection of this.connections) connection.countGauges(-1)
    this.config = config
    this.index = index
    this.row = pool.row
    this.statBase = pool.layout.serverStat(pool.index, index)
    this.health = pool.layout.health(pool.shared, pool.index, index)
    this.healthTimes = pool.layout.healthTimes(pool.shared, pool.index, index)
    for (const connection of this.connections) connection.countGauges(1)
  }

  /** The server is no longer in the configuration. Its old statistics are nobody's any more. */
  leave(): void {
    for (const connection of this.connections) connection.countGauges(-1)
    this.row = new Float64Array(SERVER_FIELDS.length)
    this.statBase = 0
    for (const connection of this.connections) connection.countGauges(1)
    this.health = new Int32Array(2)
    this.left = true
    this.leaveConnections()
    if (this.connections.length + this.leavingConnections.length === 0) this.pool.left(this)
  }

  /** No connection of today takes another request; each closes when it has answered what it has. */
  leaveConnections(): void {
    for (const connection of this.connections.splice(0)) {
      this.leavingConnections.push(connection)
      connection.leave()
    }
  }

  /** The connection for the next request: a new one while there are fewer than `server_connections`, then each in turn. */
  connection(): ServerConnection {
    const { connections } = this
    const most = this.pool.config.serverConnections
    if (connections.length < most) return this.open()
    if (most === 1) return connections[0]
    this.turn = this.turn + 1 < connections.length ? this.turn + 1 : 0
    return connections[this.turn]
  }

  private open(): ServerConnection {
    const connection = new ServerConnection(this)
    this.connections.push(connection)
    this.pool.context.countConnection(1)
    connection.open()
    return connection
  }

  /** Begins one connection, if there is none. */
  preconnect(): void {
    if (this.connections.length === 0) this.open()
  }

  removeConnection(connection: ServerConnection): void {
    this.pool.context.countConnection(-1)
    const at = this.connections.indexOf(connection)
    if (at >= 0) {
      this.connections.splice(at, 1)
      return
    }
    const leavingAt = this.leavingConnections.indexOf(connection)
    if (leavingAt >= 0) this.leavingConnections.splice(leavingAt, 1)
    if (this.left && this.leavingConnections.length === 0) this.pool.left(this)
  }

  checkDeadlines(nowMs: number): void {
    // Backwards: a connection that ends leaves the list.
    for (let i = this.connections.length - 1; i >= 0; i--) this.connections[i]?.checkDeadlines(nowMs)
    for (let i = this.leavingConnections.length - 1; i >= 0; i--) this.leavingConnections[i]?.checkDeadlines(nowMs)
  }

  get connectionCount(): number {
    return this.connections.length + this.leavingConnections.length
  }

  describeFailure(failure: FailureCode): string {
    return failure === Failure.unknown ? 'the server closed the connection' : FAILURE_TEXTS[failure]
  }

  /** Logs a failure once for each change of state. */
  logFailure(failure: FailureCode): void {
    if (this.loggedFailure === failure) return
    this.loggedFailure = failure
    this.pool.context.log.notice(
      `server '${this.config.pname}' of pool '${this.pool.config.name}': ${this.describeFailure(failure)}`,
    )
  }

  /** One failure more, over all workers. Whoever reaches the limit ejects; the primary publishes the table without this server. */
  countFailure(reason: string): void {
    const { config } = this.pool
    if (!config.autoEjectHosts || this.left) return
    const failures = Atomics.add(this.health, Health.failures, 1) + 1
    if (failures < config.serverFailureLimit) return
    if (Atomics.compareExchange(this.health, Health.state, HealthState.up, HealthState.ejected) !== HealthState.up)
      return
    Atomics.store(this.health, Health.failures, 0)
    const nowMs = Date.now()
    this.healthTimes[HealthTime.retryAtMs] = nowMs + config.serverRetryTimeoutMs
    this.healthTimes[HealthTime.ejectedAtMs] = nowMs
    this.pool.context.reportEjected(this, reason)
  }

  /** Any reply ends a series of failures. */
  countSuccess(): void {
    this.loggedFailure = -1
    if (this.health[Health.failures] !== 0) Atomics.store(this.health, Health.failures, 0)
  }

  get ejected(): boolean {
    return Atomics.load(this.health, Health.state) === HealthState.ejected
  }
}
