/**
 * Connections to one server that one client has to itself for a while: for a transaction, a blocking command, a subscription. Data plane.
 *
 *     take ─▶ idle one │ new one │ all in use: wait, first come first served ─▶ granted, or refused after a while
 *     give ─▶ the first that waits │ idle │ closed                              whoever gives one back has left nothing on it
 *
 * `Server` owns one of these. What a connection is used for its user knows (`ConnectionUser`); one whose state is in doubt is closed.
 */

import { Failure } from '../request/failure.ts'
import { connectionKind } from './connection-kind.ts'
import type { Server } from './server.ts'
import type { ConnectionUser, ServerConnection } from './server-connection.ts'

/**
 * Connections that the clients of one worker hold at one server, idle ones included; beyond that they wait.
 * @testOnly
 */
export const MAX_EXCLUSIVE_CONNECTIONS = 1_024
/** Clients of one worker that wait for such a connection; beyond that they are refused at once. */
const MAX_WAITERS = 1_024
/** Held connections that stay open while nobody uses them. */
const KEPT_IDLE_CONNECTIONS = 8
/** How long a client waits where the pool has no `timeout`, ms. */
const DEFAULT_WAIT_MS = 5_000

/** Who waits for a connection. It holds the connection from the moment it is granted. */
export interface ConnectionWaiter extends ConnectionUser {
  /** What its client speaks. */
  readonly resp3: boolean
  /** The database that its client has selected. */
  readonly database: number
  granted(connection: ServerConnection): void
  /** Waited too long, or the server is gone. */
  refused(): void
}

export class ExclusiveConnections {
  /** All of them, idle ones included. */
  readonly connections: ServerConnection[] = []
  private readonly server: Server
  private readonly idle: ServerConnection[] = []
  private readonly waiters: ConnectionWaiter[] = []
  /** `Turn.nowMs` by which each waiter is refused. */
  private readonly waitDeadlinesMs: number[] = []
  /** In use when the configuration changed: closed when they come back. */
  private readonly stale: Set<ServerConnection> = new Set()

  constructor(server: Server) {
    this.server = server
  }

  /**
   * @param database one in this database is preferred. The caller selects it where the connection is in another one.
   * @returns null when all are in use, or others wait already.
   */
  checkOut(user: ConnectionUser, resp3: boolean, database = 0): ServerConnection | null {
    return this.waiters.length > 0 ? null : this.find(user, resp3, database)
  }

  private find(user: ConnectionUser, resp3: boolean, database: number): ServerConnection | null {
    const same = this.idle.findIndex(connection => connection.resp3 === resp3 && connection.database === database)
    const at = same >= 0 ? same : this.idle.findIndex(connection => connection.resp3 === resp3 && isReady(connection))
    if (at >= 0) {
      const connection = this.idle.splice(at, 1)[0]
      connection.user = user
      return connection
    }
    // An idle one of the other protocol makes room.
    if (this.connections.length >= MAX_EXCLUSIVE_CONNECTIONS) this.idle.pop()?.retire()
    return this.connections.length < MAX_EXCLUSIVE_CONNECTIONS
      ? this.server.openExclusive(connectionKind(database, resp3), user)
      : null
  }

  /** @returns false when too many wait already. */
  wait(waiter: ConnectionWaiter): boolean {
    if (this.waiters.length >= MAX_WAITERS) return false
    const { context, config } = this.server.pool
    const waitMs = config.timeoutMs > 0 ? config.timeoutMs : DEFAULT_WAIT_MS
    this.waiters.push(waiter)
    this.waitDeadlinesMs.push(context.turn.nowMs + waitMs)
    context.timer.arm()
    return true
  }

  /** The waiter's client is gone. */
  stopWaiting(waiter: ConnectionWaiter): void {
    const at = this.waiters.indexOf(waiter)
    if (at < 0) return
    this.waiters.splice(at, 1)
    this.waitDeadlinesMs.splice(at, 1)
  }

  /** Takes back a connection that has answered everything and is, but for its database, as it was when it was new. */
  checkIn(connection: ServerConnection): void {
    connection.user = null
    if (this.stale.has(connection) || this.idle.length >= KEPT_IDLE_CONNECTIONS) {
      connection.retire()
      return
    }
    this.idle.push(connection)
    this.grant()
  }

  /** Serves those who wait, the first first. */
  private grant(): void {
    while (this.waiters.length > 0) {
      const waiter = this.waiters[0]
      const connection = this.find(waiter, waiter.resp3, waiter.database)
      if (connection === null) return
      this.stopWaiting(waiter)
      waiter.granted(connection)
    }
  }

  /** A connection is closed. */
  remove(connection: ServerConnection): void {
    const at = this.connections.indexOf(connection)
    if (at < 0) return
    this.connections.splice(at, 1)
    this.stale.delete(connection)
    const idleAt = this.idle.indexOf(connection)
    if (idleAt >= 0) this.idle.splice(idleAt, 1)
    this.grant()
  }

  /** The configuration has changed. @param serverRetired the server is no longer in it: what is in use ends too, with an error. */
  retire(serverRetired: boolean): void {
    for (const connection of [...this.connections]) {
      if (connection.user === null) connection.retire()
      else this.stale.add(connection)
    }
    if (!serverRetired) return
    this.refuse(this.waiters.length)
    for (const connection of [...this.connections]) connection.close(Failure.closed)
  }

  checkDeadlines(nowMs: number): void {
    let late = 0
    while (late < this.waiters.length && nowMs >= this.waitDeadlinesMs[late]) late++
    if (late > 0) this.refuse(late)
    // Backwards: a connection that ends leaves the list.
    for (let i = this.connections.length - 1; i >= 0; i--) this.connections[i]?.checkDeadlines(nowMs)
  }

  private refuse(count: number): void {
    this.waitDeadlinesMs.splice(0, count)
    for (const waiter of this.waiters.splice(0, count)) waiter.refused()
  }
}

/** Connected, and everything on it is answered: it may be brought into another database. */
function isReady(connection: ServerConnection): boolean {
  return connection.isUp && connection.head === null
}
