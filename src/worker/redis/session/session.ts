/**
 * What a Redis client has under way beyond single requests, and the server connections that it has to itself for that. Data plane. Most
 * clients never have one.
 *
 *     client ─▶ RedisSession ─┬─ Transaction     one connection, from WATCH or a transaction's first key to EXEC
 *                             ├─ BlockingWait    one connection while the command waits (WAIT: one at each server)
 *                             └─ Subscriptions   one connection at each server with a channel of its
 *
 * Other connections mean other orders: such a request begins when all before it is answered (`Client.postpone`), and those after it wait.
 */

import { errorLine } from '../../../protocol/redis/replies.ts'
import { ServerStat } from '../../../shared/stat-fields.ts'
import type { Client } from '../../client/client.ts'
import type { ClientSession } from '../../client/client-protocol.ts'
import { answerLocally, answerStateLoss } from '../../request/delivery.ts'
import { Failure } from '../../request/failure.ts'
import type { ConnectionWaiter, ExclusiveConnections } from '../../server/exclusive-connections.ts'
import type { Server } from '../../server/server.ts'
import type { ConnectionUser, ServerConnection } from '../../server/server-connection.ts'
import { enterDatabase } from '../servers/greeting.ts'
import type { SessionState } from './state.ts'

const NO_CONNECTION = errorLine('too many exclusive connections to this server are in use')

/** Holds a connection that has only its last reply to come, after which it is, but for its database, as it was when it was new. */
export const RETURNING: ConnectionUser = {
  listens: false,
  stateful: true,
  takesPush: () => false,
  connectionIdle: connection => connection.server.exclusive.checkIn(connection),
  connectionLost: () => {},
}

/** Likewise, but the connection is not used again. */
export const CLOSING: ConnectionUser = {
  ...RETURNING,
  connectionIdle: connection => connection.close(Failure.closed),
}

/** A transaction, as its client's session sees it. */
export interface SessionTransaction {
  /** MULTI was said. */
  readonly open: boolean
  /** Requests queued so far. */
  readonly requests: number
  readonly watchedKeys: number
  /** Bytes of requests that the proxy keeps until the first key. */
  readonly keptBytes: number
  /** True when a queued request may write. */
  readonly mayWrite: boolean
  /** The connection from WATCH or the first key on; null before. */
  readonly connection: ServerConnection | null
  /** Ends it: the client is gone, or has said RESET. */
  leave(): void
}

/** A blocking command, as its client's session sees it. */
export interface SessionWait {
  /** The command's name, lower case. */
  readonly command: string
  /** Ends the wait, as CLIENT UNBLOCK does. */
  unblock(withError: boolean): void
  /** Ends it: the client is gone, or has said RESET. */
  leave(): void
}

/** Subscriptions, as their client's session sees them. */
export interface SessionSubscriptions {
  /** Names of all kinds. */
  readonly count: number
  /** By `Topic`. */
  readonly topics: readonly { readonly size: number }[]
  /** Keys or channels may belong to other servers from now on. */
  ringChanged(): void
  /** Ends them: the client is gone, or has said RESET. */
  leave(): void
}

export class RedisSession implements ClientSession, SessionState, ConnectionWaiter {
  readonly client: Client
  readonly listens = false
  readonly stateful = false
  transaction: SessionTransaction | null = null
  blocking: SessionWait | null = null
  subscriptions: SessionSubscriptions | null = null
  monitoring: { leave(): void } | null = null
  /** Where it waits for a connection; a connection that it waited for; it waited in vain. */
  private waitsAt: ExclusiveConnections | null = null
  private grant: ServerConnection | null = null
  private inVain = false

  constructor(client: Client) {
    this.client = client
  }

  /** Requests mean what they always do. */
  get allowsFastPath(): boolean {
    return !this.transaction?.open && (this.client.resp3 || !this.subscribed)
  }

  get mayNeverReply(): boolean {
    return this.blocking !== null
  }

  get mayBeSilent(): boolean {
    return this.subscribed || this.blocking !== null || this.monitoring !== null
  }

  get subscribed(): boolean {
    return this.subscriptions !== null && this.subscriptions.count > 0
  }

  subscriptionsOf(topic: number): number {
    return this.subscriptions === null ? 0 : this.subscriptions.topics[topic].size
  }

  get resp3(): boolean {
    return this.client.resp3
  }

  get database(): number {
    return this.client.database
  }

  /** Has something under way that belongs to the protocol version in which it began. */
  get busy(): boolean {
    return this.transaction !== null || this.subscriptions !== null || this.blocking !== null
  }

  /**
   * A connection of its own to a server, for the request at hand.
   * @param serverIndex what the router said; -1 = no server is live.
   * @param overtakes replies of the client's earlier requests may still be to come.
   * @returns null when there is none: the request is postponed (`client.isPostponed`), or the client has had its error.
   */
  take(serverIndex: number, holder: ConnectionUser, overtakes = false): ServerConnection | null {
    const { client } = this
    if (client.pending > 0 && !overtakes) {
      client.postpone(true)
      return null
    }
    const { pool } = client
    const server = serverIndex < 0 ? null : pool.servers[serverIndex]
    if (server === null || pool.isDown(server)) {
      answerStateLoss(client, Failure.refused)
      return null
    }
    const { grant } = this
    this.grant = null
    if (grant !== null && !grant.isClosed) {
      if (grant.server === server && grant.resp3 === client.resp3) {
        grant.user = holder
        enterDatabase(grant, client.database)
        return grant
      }
      // The ring or the configuration has changed meanwhile.
      grant.server.exclusive.checkIn(grant)
    }
    const connection = this.inVain ? null : server.exclusive.checkOut(holder, client.resp3, client.database)
    if (connection !== null) {
      enterDatabase(connection, client.database)
      return connection
    }
    if (!this.inVain && server.exclusive.wait(this)) {
      this.waitsAt = server.exclusive
      client.postpone(false)
    } else {
      this.inVain = false
      refuseConnection(client, server)
    }
    return null
  }

  granted(connection: ServerConnection): void {
    this.waitsAt = null
    this.grant = connection
    this.client.pool.context.resumeLater(this.client)
  }

  refused(): void {
    this.waitsAt = null
    this.inVain = true
    this.client.pool.context.resumeLater(this.client)
  }

  takesPush(): boolean {
    return false
  }

  connectionIdle(): void {}

  connectionLost(): void {
    this.grant = null
  }

  ringChanged(): void {
    this.subscriptions?.ringChanged()
  }

  /** Ends what is under way: RESET, or the client is gone. */
  leave(): void {
    this.waitsAt?.stopWaiting(this)
    this.waitsAt = null
    const { grant, transaction, blocking, subscriptions, monitoring } = this
    this.grant = null
    this.transaction = null
    this.blocking = null
    this.subscriptions = null
    this.monitoring = null
    monitoring?.leave()
    if (grant !== null) grant.server.exclusive.checkIn(grant)
    transaction?.leave()
    blocking?.leave()
    subscriptions?.leave()
  }
}

/** Tells the client that all connections to a server are in use. */
export function refuseConnection(client: Client, server: Server): void {
  server.row[server.statBase + ServerStat.queueFull]++
  answerLocally(client, NO_CONNECTION)
}

/** The client's session, or null while it has none. */
export function knownSession(client: Client): RedisSession | null {
  return client.session as RedisSession | null
}

/** The client's session, made when it first has one. */
export function sessionOf(client: Client): RedisSession {
  client.session ??= new RedisSession(client)
  return knownSession(client)!
}

/** Ends transaction and subscriptions, as RESET does. */
export function resetSession(client: Client): void {
  client.session?.leave()
  client.updateFastPath()
}

/** Whether the client can change its protocol version now: nothing of the older one is under way or to come. */
export function isBusy(client: Client): boolean {
  return knownSession(client)?.busy === true
}
