/** One pool, as one worker sees it: its servers, its router, its clients, its statistics. Data plane. */

import { LimitedLog } from '../../log/limited-log.ts'
import { PoolRouter } from '../../routing/ring-router.ts'
import type { PoolConfig, ServerConfig } from '../../shared/config.ts'
import type { SharedLayout } from '../../shared/memory-layout.ts'
import { PoolStat, ServerStat } from '../../shared/stat-fields.ts'
import type { Client } from '../client/client.ts'
import type { Context } from '../context.ts'
import { MemcacheProtocol } from '../memcache/memcache-protocol.ts'
import type { Protocol, RequestParser } from '../protocol.ts'
import { RedisProtocol } from '../redis/redis-protocol.ts'
import { answerFailure, answerLocally, deliverFailure, rejectFragment } from '../request/delivery.ts'
import { Failure } from '../request/failure.ts'
import type { Message } from '../request/message.ts'
import { KeySplit } from '../request/split-request.ts'
import { Server } from './server.ts'
import type { ServerConnection } from './server-connection.ts'

/** Request parsers kept for reuse; a burst's surplus goes to the garbage collector. */
const KEPT_PARSERS = 64
/** A queue of fewer requests is never full, however large they are. */
const FEW_REQUESTS = 16

export class Pool {
  readonly context: Context
  config: PoolConfig
  index: number
  layout: SharedLayout
  shared: SharedArrayBuffer
  protocol: Protocol
  router: PoolRouter
  servers: Server[] = []
  /** This worker's statistics row, and the first of the pool's fields in it. */
  row: Float64Array
  statBase: number
  /** Scratch for splitting one request. */
  split: KeySplit
  readonly clients: Set<Client> = new Set()
  /** For every line that a client can cause. */
  readonly limitedLog: LimitedLog
  /** Servers that are no longer in the configuration and still have requests to answer. */
  private readonly leaving: Server[] = []
  private abandoned = false
  /** Epoch of the routing table that the clients' sessions know of. */
  private checkedEpoch = 0
  /** Parsers that no client uses at the moment. */
  requestParsers: RequestParser[] = []

  constructor(context: Context, config: PoolConfig, index: number, layout: SharedLayout, shared: SharedArrayBuffer) {
    this.context = context
    this.limitedLog = new LimitedLog(context.log, `pool '${config.name}'`)
    this.config = config
    this.index = index
    this.layout = layout
    this.shared = shared
    this.row = layout.row(shared, context.workerIndex + 1)
    this.statBase = layout.poolStat(index)
    this.protocol = config.redis ? new RedisProtocol(this) : new MemcacheProtocol(this)
    this.router = new PoolRouter(config, layout, shared, index)
    this.split = new KeySplit(config.servers.length)
    this.servers = config.servers.map((server, i) => new Server(this, server, i))
  }

  takeRequestParser(): RequestParser {
    return this.requestParsers.pop() ?? this.protocol.newRequestParser()
  }

  giveRequestParser(parser: RequestParser): void {
    parser.reset()
    if (this.requestParsers.length < KEPT_PARSERS) this.requestParsers.push(parser)
  }

  /**
   * The connection that the request at hand goes to.
   * @param serverIndex what the router said; -1 = no server is live.
   * @param silent the client wants no reply, and no error either.
   * @returns null when there is none: the client has had its error.
   */
  connectionTo(client: Client, serverIndex: number, silent = false): ServerConnection | null {
    if (serverIndex < 0) {
      if (!silent) answerFailure(client, Failure.refused)
      return null
    }
    const server = this.servers[serverIndex]
    if (this.isDown(server)) {
      answerFailure(client, Failure.refused)
      return null
    }
    const connection = server.connection(client.resp3)
    if (!isFull(connection, this.config)) return connection
    server.row[server.statBase + ServerStat.queueFull]++
    answerLocally(client, this.protocol.queueFull)
    return null
  }

  /**
   * The connection that a fragment goes to.
   * @returns null when there is none: the fragment has failed, and with it perhaps its whole request.
   */
  connectionForFragment(fragment: Message, serverIndex: number): ServerConnection | null {
    const server = this.servers[serverIndex]
    if (this.isDown(server)) {
      deliverFailure(fragment, this, Failure.refused)
      return null
    }
    const client = fragment.group!.parent.client
    const connection = server.connection(client?.resp3 === true)
    if (!isFull(connection, this.config)) return connection
    server.row[server.statBase + ServerStat.queueFull]++
    rejectFragment(fragment, this.protocol.queueFull)
    return null
  }

  /** With `eject_keep_ring` the ring still names servers that are out. */
  isDown(server: Server): boolean {
    return this.config.ejectKeepRing && server.ejected
  }

  /** Says in the log why a client is not served. */
  logRefused(client: Client, reason: string): void {
    this.limitedLog.notice(
      'refused client',
      () => `refused c ${client.address} of pool '${this.config.name}': ${reason}`,
    )
  }

  admit(client: Client): void {
    this.clients.add(client)
    this.row[this.statBase + PoolStat.clientConnections]++
    this.context.countConnection(1)
  }

  /** Clients of this pool over all workers. */
  clientsOverall(): number {
    let clients = 0
    for (let worker = 0; worker < this.context.workers; worker++) {
      clients += this.layout.row(this.shared, worker + 1)[this.statBase + PoolStat.clientConnections]
    }
    return clients
  }

  forget(client: Client): void {
    if (!this.clients.delete(client)) return
    this.row[this.statBase + PoolStat.clientConnections]--
    this.context.countConnection(-1)
    this.context.clientGone()
  }

  /** The configured servers, and those that are on their way out. */
  allServers(): Server[] {
    return [...this.servers, ...this.leaving]
  }

  checkDeadlines(nowMs: number): void {
    if (this.router.epoch !== this.checkedEpoch) {
      this.checkedEpoch = this.router.epoch
      for (const client of this.clients) client.session?.ringChanged()
    }
    for (const server of this.servers) server.checkDeadlines(nowMs)
    for (const server of this.leaving) server.checkDeadlines(nowMs)
  }

  /** Something may have a deadline. */
  get busy(): boolean {
    for (const server of this.servers) if (server.connectionCount > 0) return true
    return this.leaving.length > 0
  }

  preconnect(): void {
    for (const server of this.servers) server.preconnect()
  }

  /**
   * Takes a new configuration and its memory. Clients stay; servers known by the same name and address keep their connections and what is
   * queued on them; the others finish what they have and close.
   */
  adopt(config: PoolConfig, index: number, layout: SharedLayout, shared: SharedArrayBuffer): void {
    const oldRow = this.row
    const oldBase = this.statBase
    const greets = config.redisAuth !== this.config.redisAuth || config.redisDb !== this.config.redisDb
    const before = new Map(this.servers.map(server => [identityOf(server.config), server]))
    this.config = config
    this.index = index
    this.layout = layout
    this.shared = shared
    this.row = layout.row(shared, this.context.workerIndex + 1)
    this.statBase = layout.poolStat(index)
    this.row[this.statBase + PoolStat.clientConnections] += oldRow[oldBase + PoolStat.clientConnections]
    oldRow[oldBase + PoolStat.clientConnections] = 0
    this.router = new PoolRouter(config, layout, shared, index)
    this.split = new KeySplit(config.servers.length)
    this.servers = config.servers.map((serverConfig, i) => {
      const identity = identityOf(serverConfig)
      const known = before.get(identity)
      if (known === undefined) return new Server(this, serverConfig, i)
      before.delete(identity)
      known.rebase(serverConfig, i)
      if (greets) known.leaveConnections()
      return known
    })
    for (const server of before.values()) {
      this.leaving.push(server)
      server.leave()
    }
    this.checkedEpoch = -1
    for (const client of this.clients) client.configured()
  }

  /** The pool is no more: its clients lose their connection once they are answered; then `leaveServers` is called. */
  retire(): void {
    for (const client of this.clients) client.drain()
  }

  /** No client needs the servers any more. Their connections close once what clients left behind is answered. */
  leaveServers(): void {
    if (this.abandoned) return
    this.abandoned = true
    for (const server of this.servers) server.leave()
  }

  /** A server that left has closed its last connection. */
  left(server: Server): void {
    const at = this.leaving.indexOf(server)
    if (at >= 0) this.leaving.splice(at, 1)
  }
}

/** Whether a connection takes no more for now. */
export function isFull(connection: ServerConnection, config: PoolConfig): boolean {
  return connection.socket.queuedBytes >= config.serverQueueBytes && connection.requests >= FEW_REQUESTS
}

/** A server is the same one after a reload when its name and its address are. */
function identityOf(config: ServerConfig): string {
  return `${config.name} ${config.host} ${config.port} ${config.path}`
}
