/** One server of a pool, as one worker sees it: its connections and its health. Data plane. */

import type { ServerConfig } from '../../shared/config.ts'
import { HealthState } from '../../shared/memory-layout.ts'
import { SERVER_FIELDS, ServerStat } from '../../shared/stat-fields.ts'
import type { Resumable } from '../io/worker-scope.ts'
import { HeldConnections } from './exclusive-connections.ts'
import type { Pool } from './pool.ts'
import { Reconnection } from './reconnection.ts'
import { type ConnectionHolder, ConnectionState, ServerConnection } from './server-connection.ts'
import { ServerHealth } from './server-health.ts'

/** A client that waits for a connection for its large request. */
export interface BulkWaiter extends Resumable {
  readonly closed: boolean
  readonly resp3: boolean
}

/** Large requests that one worker has under way to one server; further ones wait, unread. */
const MAX_BULK_CONNECTIONS = 32
/** Connections that wait, each for the client of a large reply, while others use others. */
const MAX_PARKED_CONNECTIONS = 32
/** Bulk connections kept open while idle for good; those beyond go after `BULK_IDLE_MS`. */
const KEPT_BULK_CONNECTIONS = 4
/**
 * Large requests come in series, and a new connection has to find out anew how much it may send at once (SET of 1 MiB from 50 clients: one in
 * three opened a connection where four were kept).
 */
const BULK_IDLE_MS = 5_000

export class Server {
  readonly pool: Pool
  config: ServerConfig
  index: number
  /** This worker's statistics row, and the first of the server's fields in it. */
  row: Float64Array
  statBase: number
  /** What all workers together know of its failures. */
  readonly health: ServerHealth
  /** Connections that all clients share; a second set for clients that speak RESP3. */
  private readonly connections: ServerConnection[] = []
  private readonly connections3: ServerConnection[] = []
  /** Connections that take no new request and close when they have answered what they have. */
  private readonly leavingConnections: ServerConnection[] = []
  /** Connections that carry one large request at a time; the idle ones among them, longest first; clients that wait for one. */
  private readonly bulk: ServerConnection[] = []
  private readonly idleBulk: ServerConnection[] = []
  private readonly bulkWaiters: BulkWaiter[] = []
  /** Connections that wait for the client of a large reply. */
  private readonly parked: ServerConnection[] = []
  /** Connections that one client has to itself for a while. */
  readonly held: HeldConnections
  /** Who waits for it while it is lost. */
  readonly reconnection: Reconnection
  private left = false
  private turn = 0

  constructor(pool: Pool, config: ServerConfig, index: number) {
    this.pool = pool
    this.config = config
    this.index = index
    this.row = pool.row
    this.statBase = pool.layout.serverStat(pool.index, index)
    this.health = new ServerHealth(this)
    this.held = new HeldConnections(this)
    this.reconnection = new Reconnection(this)
  }

  /** Moves to the pool's new shared memory after a reload: what its connections have queued is counted there from now on. */
  rebase(config: ServerConfig, index: number): void {
    const { pool } = this
    this.countGauges(-1)
    this.config = config
    this.index = index
    this.row = pool.row
    this.statBase = pool.layout.serverStat(pool.index, index)
    this.health.rebase()
    this.countGauges(1)
  }

  /** The server is no longer in the configuration. Its old statistics are nobody's any more. */
  leave(): void {
    this.countGauges(-1)
    this.row = new Float64Array(SERVER_FIELDS.length)
    this.statBase = 0
    this.countGauges(1)
    this.health.retire()
    this.left = true
    this.reconnection.stop()
    this.leaveConnections()
    if (this.connectionCount === 0) this.pool.left(this)
  }

  private countGauges(sign: number): void {
    for (const connection of this.allConnections()) connection.countGauges(sign)
  }

  allConnections(): ServerConnection[] {
    const { connections, connections3, leavingConnections, bulk, parked, held } = this
    return [...connections, ...connections3, ...held.connections, ...leavingConnections, ...bulk, ...parked]
  }

  /** No connection of today takes another request; each closes when it has answered what it has. */
  leaveConnections(): void {
    for (const connection of [...this.connections.splice(0), ...this.connections3.splice(0)]) {
      this.leavingConnections.push(connection)
      connection.leave()
    }
    // What was parked or is carrying a large request has greeted as the others, and must not come back either.
    for (const connection of this.parked.splice(0)) {
      this.leavingConnections.push(connection)
      connection.leave()
    }
    this.idleBulk.length = 0
    for (const connection of [...this.bulk]) connection.leave()
    while (this.bulkWaiters.length > 0) this.wakeBulkWaiter()
    this.held.leave(this.left)
  }

  /**
   * The connection for the next request: a new one while there are fewer than `server_connections`, then each in turn.
   * @param resp3 the client speaks RESP3, and the connection does.
   */
  connection(resp3 = false): ServerConnection {
    const connections = resp3 ? this.connections3 : this.connections
    const most = this.pool.config.serverConnections
    if (connections.length < most) return this.open(resp3)
    if (most === 1) return connections[0]
    this.turn = this.turn + 1 < connections.length ? this.turn + 1 : 0
    return connections[this.turn]
  }

  /** A connection that all clients share and that is up; null where there is none. */
  get openConnection(): ServerConnection | null {
    const isUp = ({ state }: ServerConnection): boolean => state === ConnectionState.up
    return this.connections.find(isUp) ?? this.connections3.find(isUp) ?? null
  }

  private open(resp3: boolean): ServerConnection {
    const connection = new ServerConnection(this, false, resp3, null)
    this.sharedBy(connection).push(connection)
    this.pool.context.countConnection(1)
    connection.open()
    return connection
  }

  private sharedBy(connection: ServerConnection): ServerConnection[] {
    return connection.resp3 ? this.connections3 : this.connections
  }

  /** A connection that only `holder` uses. */
  openHeld(resp3: boolean, holder: ConnectionHolder): ServerConnection {
    const connection = new ServerConnection(this, false, resp3, holder)
    this.held.connections.push(connection)
    this.pool.context.countConnection(1)
    connection.open()
    return connection
  }

  /** A connection that asks whether the server is ready. */
  openProbe(): ServerConnection {
    const connection = this.openHeld(false, this.reconnection)
    this.pool.protocol.probe(connection)
    return connection
  }

  /**
   * A connection for one large request, apart from those that all share.
   * @returns null when there are too many; the client is told when one is free.
   */
  bulkConnection(client: BulkWaiter): ServerConnection | null {
    const { resp3 } = client
    const idle = this.idleBulk.findLastIndex(connection => connection.resp3 === resp3)
    if (idle >= 0) return this.idleBulk.splice(idle, 1)[0]
    if (this.bulk.length >= MAX_BULK_CONNECTIONS) {
      if (!this.bulkWaiters.includes(client)) this.bulkWaiters.push(client)
      return null
    }
    const connection = new ServerConnection(this, true, resp3, null)
    this.bulk.push(connection)
    this.pool.context.countConnection(1)
    connection.open()
    return connection
  }

  /** A bulk connection has answered. */
  bulkDone(connection: ServerConnection): void {
    this.wakeBulkWaiter()
    if (this.left) connection.leave()
    else this.idleBulk.push(connection)
  }

  /**
   * Takes a connection out of use while its client takes a large reply: requests of others open another.
   * @returns false when it stays in use: there are too many that wait.
   */
  park(connection: ServerConnection): boolean {
    const connections = this.sharedBy(connection)
    const at = connections.indexOf(connection)
    if (at < 0) return true
    if (this.parked.length >= MAX_PARKED_CONNECTIONS) return false
    connections.splice(at, 1)
    this.parked.push(connection)
    return true
  }

  /** Takes a connection that was parked back, if its place was not taken. */
  unpark(connection: ServerConnection): void {
    const at = this.parked.indexOf(connection)
    if (at < 0) return
    this.parked.splice(at, 1)
    const connections = this.sharedBy(connection)
    if (connections.length < this.pool.config.serverConnections && !this.left) {
      connections.push(connection)
    } else {
      this.leavingConnections.push(connection)
      connection.leave()
    }
  }

  private trimIdleBulk(nowMs: number): void {
    const { idleBulk } = this
    while (idleBulk.length > KEPT_BULK_CONNECTIONS && idleBulk[0].silentMs(nowMs) >= BULK_IDLE_MS) {
      idleBulk.shift()!.leave()
    }
  }

  /** Passes over clients that are gone: a free connection must not wait for them. */
  private wakeBulkWaiter(): void {
    let client = this.bulkWaiters.shift()
    while (client?.closed) client = this.bulkWaiters.shift()
    if (client !== undefined) this.pool.context.resumeLater(client)
  }

  /** Begins one connection, if there is none. */
  preconnect(): void {
    if (this.connections.length === 0) this.open(false)
  }

  removeConnection(connection: ServerConnection): void {
    this.pool.context.countConnection(-1)
    const connections = this.sharedBy(connection)
    const at = connections.indexOf(connection)
    if (at >= 0) {
      connections.splice(at, 1)
      return
    }
    this.held.remove(connection)
    const parkedAt = this.parked.indexOf(connection)
    if (parkedAt >= 0) this.parked.splice(parkedAt, 1)
    const bulkAt = this.bulk.indexOf(connection)
    if (bulkAt >= 0) {
      this.bulk.splice(bulkAt, 1)
      const idleAt = this.idleBulk.indexOf(connection)
      if (idleAt >= 0) this.idleBulk.splice(idleAt, 1)
      this.wakeBulkWaiter()
    }
    const leavingAt = this.leavingConnections.indexOf(connection)
    if (leavingAt >= 0) this.leavingConnections.splice(leavingAt, 1)
    if (this.left && this.connectionCount === 0) this.pool.left(this)
  }

  checkDeadlines(nowMs: number): void {
    if (this.bulkWaiters.length > 0 && this.idleBulk.length > 0) this.wakeBulkWaiter()
    this.trimIdleBulk(nowMs)
    // Backwards: a connection that ends leaves the list.
    for (let i = this.connections.length - 1; i >= 0; i--) this.connections[i]?.checkDeadlines(nowMs)
    for (let i = this.connections3.length - 1; i >= 0; i--) this.connections3[i]?.checkDeadlines(nowMs)
    this.held.checkDeadlines(nowMs)
    this.reconnection.check(nowMs)
    for (let i = this.parked.length - 1; i >= 0; i--) this.parked[i]?.checkDeadlines(nowMs)
    for (let i = this.bulk.length - 1; i >= 0; i--) this.bulk[i]?.checkDeadlines(nowMs)
    for (let i = this.leavingConnections.length - 1; i >= 0; i--) this.leavingConnections[i]?.checkDeadlines(nowMs)
  }

  get connectionCount(): number {
    const shared = this.connections.length + this.connections3.length
    return (
      shared + this.leavingConnections.length + this.bulk.length + this.parked.length + this.held.connections.length
    )
  }

  /** A reply is larger than the pool's `max_message_bytes`. @param bytes of it, at least. */
  countTooLarge(bytes: number): void {
    const { config, limitedLog } = this.pool
    this.row[this.statBase + ServerStat.replyTooLarge]++
    limitedLog.notice(
      'reply too large',
      () =>
        `reply of ${bytes} bytes of server '${this.config.pname}' refused: max_message_bytes of pool '${config.name}'`,
    )
  }

  get ejected(): boolean {
    return this.health.state === HealthState.ejected
  }

  /** In a pool without `auto_eject_hosts`: the last that any worker heard of it was a failed connection. */
  get lost(): boolean {
    return this.health.state === HealthState.lost
  }
}
