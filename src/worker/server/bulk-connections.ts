/**
 * One server's connections for large requests, which pass through while they still arrive. Each carries one request at a time, so that a
 * slow sender delays no other client. Data plane; `Server` has one of these.
 *
 *     acquire ─▶ idle one of the kind │ new one │ all busy: the client waits, unread, and is resumed when one is free
 */

import type { Resumable } from '../request/worker-scope.ts'

/** Most large requests that one worker has in flight to one server. The clients of further ones are not read. */
const MAX_CONNECTIONS = 32
/** Idle connections that stay open; further ones are closed after `IDLE_MS`. */
const KEPT_IDLE_CONNECTIONS = 4
/**
 * An idle connection is kept for this long, ms. Large requests come in series, and the kernel sends slowly on a new
 * connection at first (SET of 1 MiB from 50 clients, four connections kept: one request in three opened another).
 */
const IDLE_MS = 5_000

/** A client that waits for a connection for its large request. */
export interface BulkWaiter extends Resumable {
  readonly closed: boolean
  /** See `connection-kind.ts`. */
  readonly connectionKind: number
}

/** What is asked of a connection here. */
export interface BulkConnection {
  readonly kind: number
  /** Time since the server last said something, ms. */
  silentMs(nowMs: number): number
  /** Takes no more requests; closes at once where none is in flight. */
  retire(): void
}

export class BulkConnections<Connection extends BulkConnection> {
  /** All of them, idle ones included. */
  readonly connections: Connection[] = []
  /** Idle ones, longest first. */
  private readonly idle: Connection[] = []
  private readonly waiters: BulkWaiter[] = []
  private readonly open: (kind: number) => Connection
  private readonly resume: (client: BulkWaiter) => void

  /** @param open makes a connection and begins to connect it. @param resume lets a client that waits try again. */
  constructor(open: (kind: number) => Connection, resume: (client: BulkWaiter) => void) {
    this.open = open
    this.resume = resume
  }

  /** @returns null when all are busy; the client is resumed when one is free. */
  acquire(client: BulkWaiter): Connection | null {
    const kind = client.connectionKind
    const at = this.idle.findLastIndex(connection => connection.kind === kind)
    if (at >= 0) return this.idle.splice(at, 1)[0]
    // An idle one of another kind makes room.
    if (this.connections.length >= MAX_CONNECTIONS) this.idle[0]?.retire()
    if (this.connections.length >= MAX_CONNECTIONS) {
      if (!this.waiters.includes(client)) this.waiters.push(client)
      return null
    }
    const connection = this.open(kind)
    this.connections.push(connection)
    return connection
  }

  /** A connection has answered. @param reusable false: it takes no more requests. */
  done(connection: Connection, reusable: boolean): void {
    this.wakeWaiter()
    if (reusable) this.idle.push(connection)
    else connection.retire()
  }

  /** No connection takes another request. */
  retire(): void {
    this.idle.length = 0
    for (const connection of [...this.connections]) connection.retire()
    while (this.waiters.length > 0) this.wakeWaiter()
  }

  /** A connection is closed. */
  remove(connection: Connection): void {
    const at = this.connections.indexOf(connection)
    if (at < 0) return
    this.connections.splice(at, 1)
    const idleAt = this.idle.indexOf(connection)
    if (idleAt >= 0) this.idle.splice(idleAt, 1)
    this.wakeWaiter()
  }

  check(nowMs: number): void {
    const { idle, waiters } = this
    if (waiters.length > 0 && idle.length > 0) this.wakeWaiter()
    while (idle.length > KEPT_IDLE_CONNECTIONS && idle[0].silentMs(nowMs) >= IDLE_MS) idle.shift()!.retire()
  }

  /** Resumes the first waiter that is still connected: a free connection must not wait for a closed client. */
  private wakeWaiter(): void {
    let client = this.waiters.shift()
    while (client?.closed) client = this.waiters.shift()
    if (client !== undefined) this.resume(client)
  }
}
