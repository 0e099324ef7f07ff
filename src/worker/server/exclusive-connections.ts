/**
 * Connections to one server that one client has to itself for a while: for a transaction, a blocking command, a
 * subscription. Data plane; `Server` has one of these.
 *
 *     checkOut ─▶ idle one │ new one │ all in use: wait, first come first served ─▶ granted, or refused after a while
 *     checkIn  ─▶ the first waiter │ idle │ closed                the user has left no state on the connection
 *
 * A connection whose state is in doubt is closed instead of checked in.
 */

import type { PoolConfig } from '../../shared/config.ts'
import { Failure, type FailureCode } from '../request/failure.ts'
import type { WorkerScope } from '../request/worker-scope.ts'
import { connectionKind } from './connection-kind.ts'

/**
 * Connections of one worker to one server, idle ones included. Beyond that clients wait.
 * @testOnly
 */
export const MAX_EXCLUSIVE_CONNECTIONS = 1_024
/** Clients of one worker that may wait for a connection to one server. Beyond that they are refused at once. */
const MAX_WAITERS = 1_024
/** Idle connections that stay open. */
const KEPT_IDLE_CONNECTIONS = 8
/** How long a client waits where the pool has no `timeout`, ms. */
const DEFAULT_WAIT_MS = 5_000

/** What is asked of a connection (`ServerConnection`) here. */
export interface ExclusiveConnection {
  /** What uses it now; null = it is idle. */
  user: object | null
  readonly resp3: boolean
  readonly database: number
  readonly isUp: boolean
  /** Oldest request in flight; null = none. */
  readonly head: object | null
  /** Takes no more requests, and closes when none is in flight. */
  retire(): void
  close(failure: FailureCode): void
  checkDeadlines(nowMs: number): void
}

type UserOf<Connection extends ExclusiveConnection> = NonNullable<Connection['user']>

/** A client that waits for a connection. It uses the connection from the moment it is granted. */
export interface ConnectionWaiter<Connection> {
  /** Protocol version of the client. */
  readonly resp3: boolean
  /** The database that its client has selected. */
  readonly database: number
  granted(connection: Connection): void
  /** It waited too long, or the server is gone. */
  refused(): void
}

type Waiter<Connection extends ExclusiveConnection> = ConnectionWaiter<Connection> & UserOf<Connection>

export class ExclusiveConnections<Connection extends ExclusiveConnection> {
  /** All of them, idle ones included. */
  readonly connections: Connection[] = []
  private readonly pool: { readonly config: PoolConfig; readonly context: WorkerScope }
  private readonly open: (kind: number, user: UserOf<Connection>) => Connection
  private readonly idle: Connection[] = []
  /** Clients that wait, longest first. */
  private readonly waiters: Waiter<Connection>[] = []
  /** `Turn.nowMs` by which each waiter is refused. */
  private readonly waitDeadlinesMs: number[] = []
  /** In use when the configuration changed: retired when they are checked in. */
  private readonly stale: Set<Connection> = new Set()

  /** @param open makes a connection, begins to connect it, and adds it to `connections`. */
  constructor(
    pool: { readonly config: PoolConfig; readonly context: WorkerScope },
    open: (kind: number, user: UserOf<Connection>) => Connection,
  ) {
    this.pool = pool
    this.open = open
  }

  /**
   * @param database one in this database is preferred. The caller selects it where the connection is in another one.
   * @returns null when all are in use, or other clients wait already.
   */
  checkOut(user: UserOf<Connection>, resp3: boolean, database = 0): Connection | null {
    return this.waiters.length > 0 ? null : this.find(user, resp3, database)
  }

  private find(user: UserOf<Connection>, resp3: boolean, database: number): Connection | null {
    const same = this.idle.findIndex(connection => connection.resp3 === resp3 && connection.database === database)
    const at = same >= 0 ? same : this.idle.findIndex(connection => connection.resp3 === resp3 && isReady(connection))
    if (at >= 0) {
      const connection = this.idle.splice(at, 1)[0]
      connection.user = user
      return connection
    }
    // An idle one of the other protocol makes room.
    if (this.connections.length >= MAX_EXCLUSIVE_CONNECTIONS) this.idle.pop()?.retire()
    return this.connections.length < MAX_EXCLUSIVE_CONNECTIONS ? this.open(connectionKind(database, resp3), user) : null
  }

  /** @returns false when too many wait already. */
  wait(waiter: Waiter<Connection>): boolean {
    if (this.waiters.length >= MAX_WAITERS) return false
    const { context, config } = this.pool
    const waitMs = config.timeoutMs > 0 ? config.timeoutMs : DEFAULT_WAIT_MS
    this.waiters.push(waiter)
    this.waitDeadlinesMs.push(context.turn.nowMs + waitMs)
    context.timer.arm()
    return true
  }

  /** The waiter's client is gone. */
  stopWaiting(waiter: Waiter<Connection>): void {
    const at = this.waiters.indexOf(waiter)
    if (at < 0) return
    this.waiters.splice(at, 1)
    this.waitDeadlinesMs.splice(at, 1)
  }

  /** Takes back a connection on which everything is answered, and which is as new but for its database. */
  checkIn(connection: Connection): void {
    connection.user = null
    if (this.stale.has(connection) || this.idle.length >= KEPT_IDLE_CONNECTIONS) {
      connection.retire()
      return
    }
    this.idle.push(connection)
    this.grant()
  }

  /** Serves the waiters, longest first. */
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
  remove(connection: Connection): void {
    const at = this.connections.indexOf(connection)
    if (at < 0) return
    this.connections.splice(at, 1)
    this.stale.delete(connection)
    const idleAt = this.idle.indexOf(connection)
    if (idleAt >= 0) this.idle.splice(idleAt, 1)
    this.grant()
  }

  /**
   * The configuration has changed.
   * @param serverRetired the server is no longer in it: the connections in use close too, and their requests fail.
   */
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
    // Backwards, because a connection that closes leaves the list.
    for (let i = this.connections.length - 1; i >= 0; i--) this.connections[i]?.checkDeadlines(nowMs)
  }

  private refuse(count: number): void {
    this.waitDeadlinesMs.splice(0, count)
    for (const waiter of this.waiters.splice(0, count)) waiter.refused()
  }
}

/** It is up, and everything on it is answered: its user may select another database. */
function isReady(connection: ExclusiveConnection): boolean {
  return connection.isUp && connection.head === null
}
