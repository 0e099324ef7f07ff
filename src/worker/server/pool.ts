/**
 * One pool, as one worker sees it: its servers, its router, its statistics. Data plane. Its clients: `client/pool-clients.ts`.
 *
 *     phase      set by                                                     next       its servers
 *     serving    the constructor; stays while reloads change the pool       retired    serve, or are retired one by one
 *     retired    retireServers: not configured, and its last client left    none       are retired, and close when idle
 */

import { LimitedLog } from '../../log/limited-log.ts'
import { RingRouter } from '../../routing/ring-router.ts'
import type { PoolConfig } from '../../shared/config.ts'
import { ABSENT, type PoolChange } from '../../shared/config-diff.ts'
import type { SharedLayout } from '../../shared/memory-layout.ts'
import { PoolStat, ServerStat } from '../../shared/stat-fields.ts'
import { answerFailure, answerLocally, deliverFailure, rejectFragment } from '../request/delivery.ts'
import { Failure } from '../request/failure.ts'
import { KeySplit } from '../request/key-split.ts'
import type { Message } from '../request/message.ts'
import type { ReplyTarget } from '../request/reply-target.ts'
import type { WorkerScope } from '../request/worker-scope.ts'
import { Server } from './server.ts'
import type { ServerConnection } from './server-connection.ts'
import type { ServerProtocol } from './server-protocol.ts'

/** A queue of fewer requests is never full, however large they are. */
const FEW_REQUESTS = 16

const PoolPhase = { serving: 0, retired: 1 } as const

export class Pool {
  readonly context: WorkerScope
  config: PoolConfig
  index: number
  layout: SharedLayout
  shared: SharedArrayBuffer
  /** Set by `worker/protocols.ts` before the pool is used. */
  protocol!: ServerProtocol<ServerConnection>
  router: RingRouter
  servers: Server[] = []
  /** This worker's statistics row, and the first of the pool's fields in it. */
  row: Float64Array
  statBase: number
  /** Scratch for splitting one request. */
  keySplit: KeySplit
  /** For every line that a client can cause. */
  readonly limitedLog: LimitedLog
  /** Servers that are no longer in the configuration and still have requests to answer. */
  private readonly retired: Server[] = []
  /** One of `PoolPhase`. */
  private phase: number = PoolPhase.serving

  constructor(
    context: WorkerScope,
    config: PoolConfig,
    index: number,
    layout: SharedLayout,
    shared: SharedArrayBuffer,
  ) {
    this.context = context
    this.limitedLog = new LimitedLog(context.log, `pool '${config.name}'`)
    this.config = config
    this.index = index
    this.layout = layout
    this.shared = shared
    this.row = layout.row(shared, context.workerIndex + 1)
    this.statBase = layout.poolStat(index)
    this.router = new RingRouter(config, layout, shared, index)
    this.keySplit = new KeySplit(config.servers.length)
    this.servers = config.servers.map((server, i) => new Server(this, server, i))
  }

  /**
   * The connection that the client's current request goes to.
   * @param serverIndex what the router said; -1 = no server is live.
   * @param silent the client wants no reply, and no error either.
   * @returns null when there is none: the client has got its error reply.
   */
  connectionTo(client: ReplyTarget, serverIndex: number, silent = false): ServerConnection | null {
    if (serverIndex < 0) {
      if (!silent) answerFailure(client, Failure.refused)
      return null
    }
    const server = this.servers[serverIndex]
    if (server.health.isDown) {
      answerFailure(client, Failure.refused)
      return null
    }
    const connection = server.connection(client.connectionKind)
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
    if (server.health.isDown) {
      deliverFailure(fragment, this, Failure.refused)
      return null
    }
    const { client } = fragment.split!.parent
    if (client === null) {
      // Its database is not known any more.
      deliverFailure(fragment, this, Failure.closed)
      return null
    }
    const connection = server.connection(client.connectionKind)
    if (!isFull(connection, this.config)) return connection
    server.row[server.statBase + ServerStat.queueFull]++
    rejectFragment(fragment, this.protocol.queueFull)
    return null
  }

  /** Clients of this pool over all workers. */
  clientsOverall(): number {
    let clients = 0
    for (let worker = 0; worker < this.context.workers; worker++) {
      clients += this.layout.row(this.shared, worker + 1)[this.statBase + PoolStat.clientConnections]
    }
    return clients
  }

  /** The configured servers, and retired ones that still have connections. */
  allServers(): Server[] {
    return [...this.servers, ...this.retired]
  }

  checkDeadlines(nowMs: number): void {
    for (const server of this.servers) server.checkDeadlines(nowMs)
    for (const server of this.retired) server.checkDeadlines(nowMs)
  }

  /** A server has connections or waits: the coarse timer must look at it. */
  get busy(): boolean {
    for (const server of this.servers) if (server.connectionCount > 0 || server.reconnection.active) return true
    return this.retired.length > 0
  }

  preconnect(): void {
    for (const server of this.servers) server.preconnect()
  }

  /**
   * Takes a new configuration and its shared memory. A server that stays keeps its connections and the requests on them,
   * unless the change needs new connections. The other servers are retired.
   * @param change what the reload's plan says of this pool.
   */
  adopt(
    config: PoolConfig,
    index: number,
    layout: SharedLayout,
    shared: SharedArrayBuffer,
    { servers, connectionsChanged }: PoolChange,
  ): void {
    const oldRow = this.row
    const oldBase = this.statBase
    const before = this.servers
    const gone = new Set(before)
    this.config = config
    this.index = index
    this.layout = layout
    this.shared = shared
    this.row = layout.row(shared, this.context.workerIndex + 1)
    this.statBase = layout.poolStat(index)
    this.row[this.statBase + PoolStat.clientConnections] += oldRow[oldBase + PoolStat.clientConnections]
    oldRow[oldBase + PoolStat.clientConnections] = 0
    this.router = new RingRouter(config, layout, shared, index)
    this.keySplit = new KeySplit(config.servers.length)
    this.servers = config.servers.map((serverConfig, i) => {
      const previous = servers.previous[i]
      if (previous === ABSENT) return new Server(this, serverConfig, i)
      const known = before[previous]
      gone.delete(known)
      known.rebase(serverConfig, i)
      if (connectionsChanged) known.retireConnections()
      return known
    })
    for (const server of gone) {
      this.retired.push(server)
      server.retire()
    }
  }

  /** The last client has left: the servers are retired. Their connections close once the requests on them are answered. */
  retireServers(): void {
    if (this.phase === PoolPhase.retired) return
    this.phase = PoolPhase.retired
    for (const server of this.servers) server.retire()
  }

  /** A retired server has closed its last connection. */
  serverClosed(server: Server): void {
    const at = this.retired.indexOf(server)
    if (at >= 0) this.retired.splice(at, 1)
  }
}

/** @returns true when a connection takes no more requests for now. */
export function isFull(connection: ServerConnection, config: PoolConfig): boolean {
  return (
    (connection.socket.queuedBytes >= config.serverQueueBytes && connection.requests >= FEW_REQUESTS) ||
    connection.isWaitingFull
  )
}
