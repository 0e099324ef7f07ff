/** The clients that one worker has of one pool, and what they share. Data plane. */

import type { RequestParser } from '../../protocol/parser.ts'
import type { PoolConfig } from '../../shared/config.ts'
import type { PoolChange } from '../../shared/config-diff.ts'
import type { SharedLayout } from '../../shared/memory-layout.ts'
import { PoolStat } from '../../shared/stat-fields.ts'
import { CloseReason } from '../request/reply-target.ts'
import type { Pool } from '../server/pool.ts'
import type { Client } from './client.ts'
import { retireClient } from './client-ending.ts'
import { type ClientLimits, clientLimits } from './client-limits.ts'
import { Phase } from './client-phase.ts'
import type { ClientProtocol } from './client-protocol.ts'
import type { ClientWatches } from './client-watches.ts'

/**
 * Most request parsers that are stored for reuse; the garbage collector frees more of them after a
 * burst.
 */
const KEPT_PARSERS = 64

export class PoolClients {
  readonly pool: Pool
  readonly protocol: ClientProtocol
  readonly watches: ClientWatches
  readonly members: Set<Client> = new Set()
  /** How much the proxy buffers for each client. */
  limits: ClientLimits
  /** No client has the fast path, because CLIENT PAUSE or MONITOR looks at every request. */
  watched = false
  /** Free parsers. */
  readonly requestParsers: RequestParser[] = []
  /** Epoch of the routing table that the sessions were last told of; -1 after a reload. */
  private checkedEpoch = 0

  constructor(pool: Pool, protocol: ClientProtocol, watches: ClientWatches) {
    this.pool = pool
    this.protocol = protocol
    this.watches = watches
    this.limits = this.limitsNow()
  }

  private limitsNow(): ClientLimits {
    const { config, context } = this.pool
    return clientLimits(config, context.memory.limitBytes, context.workers)
  }

  acquireRequestParser(): RequestParser {
    return this.requestParsers.pop() ?? this.protocol.newRequestParser()
  }

  releaseRequestParser(parser: RequestParser): void {
    parser.reset()
    if (this.requestParsers.length < KEPT_PARSERS) this.requestParsers.push(parser)
  }

  admit(client: Client): void {
    const { pool } = this
    this.members.add(client)
    pool.row[pool.statBase + PoolStat.clientConnections]++
    pool.context.countConnection(1)
  }

  forget(client: Client): void {
    if (!this.members.delete(client)) return
    const { pool } = this
    pool.row[pool.statBase + PoolStat.clientConnections]--
    pool.context.countConnection(-1)
    pool.context.clientGone()
  }

  /** Logs why a client is rejected. */
  logRefused(client: Client, reason: string): void {
    const { config, limitedLog } = this.pool
    limitedLog.notice('refused client', () => `refused c ${client.address} of pool '${config.name}': ${reason}`)
  }

  /**
   * Tells the sessions when the routing table has changed: keys and channels may belong to other
   * servers.
   */
  checkRing(): void {
    const { epoch } = this.pool.router
    if (epoch === this.checkedEpoch) return
    this.checkedEpoch = epoch
    for (const client of this.members) client.session?.ringChanged()
  }

  /** Closes clients that have been silent for `client_idle_timeout`. */
  closeIdle(nowMs: number): void {
    const { config, row, statBase } = this.pool
    for (const client of this.members) {
      if (client.session?.mayBeSilent || client.phase === Phase.lingering) continue
      if (client.head === null && nowMs - client.activeMs >= config.clientIdleTimeoutMs) {
        row[statBase + PoolStat.clientIdle]++
        client.close(CloseReason.error)
      }
    }
  }

  /** Switches to a new configuration and its shared memory. The clients stay connected. */
  adopt(config: PoolConfig, index: number, layout: SharedLayout, shared: SharedArrayBuffer, change: PoolChange): void {
    this.pool.adopt(config, index, layout, shared, change)
    this.checkedEpoch = -1
    this.limits = this.limitsNow()
    for (const client of this.members) {
      client.limits = this.limits
      client.window.configure(this.limits)
      this.protocol.configured(client)
    }
  }

  /**
   * The pool left the configuration: closes each client once it is answered. The caller then calls
   * `pool.retireServers`.
   */
  retire(): void {
    for (const client of this.members) retireClient(client)
  }
}
