/**
 * One server of a pool, as one worker sees it: its connections and its health. Data plane.
 *
 *     phase      set by                                              next      hangs in
 *     serving    the constructor                                     retired   `Pool.servers`
 *     retired    retire: the server or its pool is not configured    closed    the pool's list of retired servers
 *     closed     removeConnection, retire: no connection is left     none      no list
 *
 * A connection hangs in one of the lists below: shared, in a database, retired, bulk, parked, or exclusive.
 */

import { assert } from '../../bytes/assert.ts'
import type { ServerConfig } from '../../shared/config.ts'
import { SERVER_FIELDS, ServerStat } from '../../shared/stat-fields.ts'
import { Failure, type FailureCode } from '../request/failure.ts'
import { BulkConnections, type BulkWaiter } from './bulk-connections.ts'
import { setAsideBusy } from './busy-scripts.ts'
import { refuseToConnect } from './connecting.ts'
import { DatabaseConnections } from './database-connections.ts'
import { ExclusiveConnections } from './exclusive-connections.ts'
import type { Pool } from './pool.ts'
import { Reconnection } from './reconnection.ts'
import { type ConnectionUser, ServerConnection } from './server-connection.ts'
import { ServerHealth } from './server-health.ts'

/** Connections of one worker to one server that may be parked at a time, each for one slow client. */
const MAX_PARKED_CONNECTIONS = 32

const ServerPhase = { serving: 0, retired: 1, closed: 2 } as const

export class Server {
  readonly pool: Pool
  config: ServerConfig
  index: number
  /** This worker's statistics row, and the first of the server's fields in it. */
  row: Float64Array
  statBase: number
  /** Its failures as all workers together have counted them. */
  readonly health: ServerHealth
  /** Connections that all clients share; a second set for clients that speak RESP3. */
  private readonly connections: ServerConnection[] = []
  private readonly connections3: ServerConnection[] = []
  /** Those of clients in databases other than 0. */
  private readonly inDatabases: DatabaseConnections<ServerConnection> = new DatabaseConnections()
  /** Connections that take no new requests, and close when the requests on them are answered. */
  private readonly retiredConnections: ServerConnection[] = []
  /** Connections that carry one large request at a time. */
  private readonly bulk: BulkConnections<ServerConnection>
  /** Connections that wait, each for the client of a large reply. New requests do not use them. */
  private readonly parked: ServerConnection[] = []
  /** Connections that one client has to itself for a while: transactions, blocking commands, subscriptions. */
  readonly exclusive: ExclusiveConnections<ServerConnection>
  /** What waits for the server while it is lost. */
  readonly reconnection: Reconnection
  /** How many connections the server has closed or failed. A change means that another process may serve there since. */
  losses = 0
  /** One of `ServerPhase`. */
  private phase: number = ServerPhase.serving
  /** Index of the shared connection that was used last. */
  private lastUsed = 0

  constructor(pool: Pool, config: ServerConfig, index: number) {
    this.pool = pool
    this.config = config
    this.index = index
    this.row = pool.row
    this.statBase = pool.layout.serverStat(pool.index, index)
    this.health = new ServerHealth(this)
    this.exclusive = new ExclusiveConnections(pool, (kind, user) => this.openExclusive(kind, user))
    this.bulk = new BulkConnections(
      kind => this.openNew(true, kind, null),
      client => pool.context.resumeLater(client),
    )
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

  /** The server, or its pool, is no longer in the configuration. What it counts from now on is not shown. */
  retire(): void {
    this.countGauges(-1)
    this.row = new Float64Array(SERVER_FIELDS.length)
    this.statBase = 0
    this.countGauges(1)
    this.enter(ServerPhase.retired)
    this.health.retire()
    this.reconnection.stop()
    this.retireConnections()
    this.closeIfIdle()
  }

  /** It has no place in the configuration: it takes no new work, and its failures count no longer. */
  get isRetired(): boolean {
    return this.phase !== ServerPhase.serving
  }

  private enter(phase: number): void {
    assert(phase === this.phase + 1, 'a server goes through its phases in order')
    this.phase = phase
  }

  /** Closes a retired server that has no connection left. */
  private closeIfIdle(): void {
    if (this.phase !== ServerPhase.retired || this.connectionCount > 0) return
    this.enter(ServerPhase.closed)
    this.pool.serverClosed(this)
  }

  private countGauges(sign: number): void {
    for (const connection of this.allConnections()) connection.countGauges(sign)
  }

  allConnections(): ServerConnection[] {
    const { connections, connections3, inDatabases, retiredConnections, bulk, parked, exclusive } = this
    const shared = [...connections, ...connections3, ...inDatabases.all()]
    return [...shared, ...exclusive.connections, ...retiredConnections, ...bulk.connections, ...parked]
  }

  /** Every connection takes no more requests, and closes when the requests on it are answered. */
  retireConnections(): void {
    const databases = this.inDatabases.clear()
    for (const connection of [...this.connections.splice(0), ...this.connections3.splice(0), ...databases]) {
      this.retiredConnections.push(connection)
      connection.retire()
    }
    // Parked and bulk connections were greeted for the old configuration too, and must not be used again.
    for (const connection of this.parked.splice(0)) {
      this.retiredConnections.push(connection)
      connection.retire()
    }
    this.bulk.retire()
    this.exclusive.retire(this.isRetired)
  }

  /**
   * The connection for the next request: a new one while there are fewer than `server_connections` of its kind, then each in turn.
   * @param kind what the client needs, see `connection-kind.ts`.
   */
  connection(kind = 0): ServerConnection {
    const connections = kind === 0 ? this.connections : this.sharedOf(kind)
    const most = this.pool.config.serverConnections
    if (connections.length < most) return this.open(kind)
    if (most === 1) return connections[0]
    return this.nextConnection(connections)
  }

  private nextConnection(connections: readonly ServerConnection[]): ServerConnection {
    this.lastUsed = this.lastUsed + 1 < connections.length ? this.lastUsed + 1 : 0
    return connections[this.lastUsed]
  }

  /** A connection that all clients share and that is up; null where there is none. */
  get openConnection(): ServerConnection | null {
    const isUp = (connection: ServerConnection): boolean => connection.isUp
    return this.connections.find(isUp) ?? this.connections3.find(isUp) ?? null
  }

  private open(kind: number): ServerConnection {
    const shared = this.sharedOf(kind)
    const room = kind <= 1 || this.inDatabases.makeRoom(kind, this.pool.context.turn.nowMs)
    if (!room && shared.length > 0) return this.nextConnection(shared)
    if (!room) this.row[this.statBase + ServerStat.queueFull]++
    const connection = this.openNew(false, kind, null, room ? null : Failure.manyDatabases)
    shared.push(connection)
    return connection
  }

  /** @param refusal why it does not connect; null = it does. */
  private openNew(
    bulk: boolean,
    kind: number,
    user: ConnectionUser | null,
    refusal: FailureCode | null = null,
  ): ServerConnection {
    const connection = new ServerConnection(this, bulk, kind, user)
    this.pool.context.countConnection(1)
    if (refusal === null) connection.open()
    else refuseToConnect(connection, refusal)
    return connection
  }

  /** The connections that clients of a kind share. */
  private sharedOf(kind: number): ServerConnection[] {
    if (kind > 1) return this.inDatabases.of(kind)
    return kind === 0 ? this.connections : this.connections3
  }

  /** A connection that only `user` uses. @param kind see `connection-kind.ts`. */
  openExclusive(kind: number, user: ConnectionUser): ServerConnection {
    const connection = this.openNew(false, kind, user)
    this.exclusive.connections.push(connection)
    return connection
  }

  /** A connection that asks whether the server is ready. */
  openProbe(): ServerConnection {
    const connection = this.openExclusive(0, this.reconnection)
    this.pool.protocol.probe(connection)
    return connection
  }

  /**
   * A connection for one large request, apart from the shared ones.
   * @returns null when there are too many; the client is resumed when one is free.
   */
  bulkConnection(client: BulkWaiter): ServerConnection | null {
    return this.bulk.acquire(client)
  }

  /** A bulk connection has answered. */
  bulkDone(connection: ServerConnection): void {
    this.bulk.done(connection, !this.isRetired)
  }

  /**
   * Takes a connection out of use while its client takes a large reply: requests of other clients use another one.
   * @returns false when it stays in use, because too many are parked.
   */
  park(connection: ServerConnection): boolean {
    const connections = this.sharedOf(connection.kind)
    const at = connections.indexOf(connection)
    if (at < 0) return true
    if (this.parked.length >= MAX_PARKED_CONNECTIONS) return false
    connections.splice(at, 1)
    this.parked.push(connection)
    return true
  }

  /** Puts a parked connection to use again; retires it where another one has taken its place. */
  unpark(connection: ServerConnection): void {
    const at = this.parked.indexOf(connection)
    if (at < 0) return
    this.parked.splice(at, 1)
    const connections = this.sharedOf(connection.kind)
    if (connections.length < this.pool.config.serverConnections && !this.isRetired) {
      connections.push(connection)
    } else {
      this.retiredConnections.push(connection)
      connection.retire()
    }
  }

  /** Begins one connection, if there is none. */
  preconnect(): void {
    if (this.connections.length === 0) this.open(0)
  }

  removeConnection(connection: ServerConnection): void {
    this.pool.context.countConnection(-1)
    const connections = this.sharedOf(connection.kind)
    const at = connections.indexOf(connection)
    if (at >= 0) {
      connections.splice(at, 1)
      return
    }
    this.exclusive.remove(connection)
    const parkedAt = this.parked.indexOf(connection)
    if (parkedAt >= 0) this.parked.splice(parkedAt, 1)
    this.bulk.remove(connection)
    const retiredAt = this.retiredConnections.indexOf(connection)
    if (retiredAt >= 0) this.retiredConnections.splice(retiredAt, 1)
    this.closeIfIdle()
  }

  checkDeadlines(nowMs: number): void {
    const bulk = this.bulk.connections
    this.bulk.check(nowMs)
    // Backwards, because a connection that closes leaves its list.
    for (let i = this.connections.length - 1; i >= 0; i--) this.connections[i]?.checkDeadlines(nowMs)
    for (let i = this.connections3.length - 1; i >= 0; i--) this.connections3[i]?.checkDeadlines(nowMs)
    this.inDatabases.checkDeadlines(nowMs)
    if (this.inDatabases.count > 0) setAsideBusy(this, this.inDatabases.all(), this.parked, nowMs)
    this.exclusive.checkDeadlines(nowMs)
    this.reconnection.check(nowMs)
    for (let i = this.parked.length - 1; i >= 0; i--) this.parked[i]?.checkDeadlines(nowMs)
    for (let i = bulk.length - 1; i >= 0; i--) bulk[i]?.checkDeadlines(nowMs)
    for (let i = this.retiredConnections.length - 1; i >= 0; i--) this.retiredConnections[i]?.checkDeadlines(nowMs)
  }

  get connectionCount(): number {
    const shared = this.connections.length + this.connections3.length + this.inDatabases.count
    return (
      shared +
      this.retiredConnections.length +
      this.bulk.connections.length +
      this.parked.length +
      this.exclusive.connections.length
    )
  }

  /** A reply is larger than the pool's `max_message_bytes`. @param bytes its size, as far as it is known. */
  countTooLarge(bytes: number): void {
    const { config, limitedLog } = this.pool
    this.row[this.statBase + ServerStat.replyTooLarge]++
    limitedLog.notice(
      'reply too large',
      () =>
        `reply of ${bytes} bytes from server '${this.config.pname}' rejected: above max_message_bytes of pool '${config.name}'`,
    )
  }
}
