/**
 * What the proxy knows of one Redis client beyond its requests: what the client has told it (name,
 * CLIENT REPLY), and what the client has open, with the exclusive connections that serve this. Data
 * plane. Most clients have no session.
 *
 *     client ─▶ RedisSession ─┬─ Transaction     one connection, from WATCH or the transaction's first key to EXEC
 *                             ├─ BlockingWait    one connection while the command waits (WAIT: one at each server)
 *                             └─ Subscriptions   one connection at each server that has a channel of the client
 *
 * Requests on different connections may be executed in another order than they were sent. So a
 * request that needs an exclusive connection is parsed again once every earlier request is answered
 * (`Client.postpone`), and later ones wait.
 */

import { type Command, Flag } from '../../../protocol/redis/commands.ts'
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

const NO_CONNECTION = errorLine('too many exclusive connections to this server are in use')

/** Kinds of subscription. */
export const Topic = { channel: 0, pattern: 1, shard: 2 } as const

/** CLIENT REPLY. `skip`: the next request has no reply. */
export const ReplyMode = { on: 0, off: 1, skip: 2 } as const

/**
 * User of a connection on which only the last reply is awaited. The next client gets it afterwards:
 * only its database may differ.
 */
export const RETURNING: ConnectionUser = {
  listens: false,
  stateful: true,
  takesPush: () => false,
  connectionIdle: connection => connection.server.exclusive.checkIn(connection),
  connectionLost: () => {},
}

/** User of a connection on which only the last reply is awaited. It is closed afterwards. */
export const CLOSING: ConnectionUser = {
  ...RETURNING,
  connectionIdle: connection => connection.close(Failure.closed),
}

/** A transaction, as its client's session sees it. */
export interface SessionTransaction {
  /** True from MULTI to EXEC or DISCARD; false while only WATCH was sent. */
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
  /** Ends the transaction: the client has disconnected, or has sent RESET. */
  end(): void
}

/** A blocking command, as its client's session sees it. */
export interface SessionWait {
  /** The command's name, lower case. */
  readonly command: string
  /**
   * Makes the servers answer the command now.
   * @param withError true: with an error; false: as after its timeout.
   */
  unblock(withError: boolean): void
  /** Ends the wait: the client has disconnected, or has sent RESET. */
  end(): void
}

/** Subscriptions, as their client's session sees them. */
export interface SessionSubscriptions {
  /** Names of all kinds. */
  readonly count: number
  /** By `Topic`: the names of that kind. */
  readonly topics: readonly { readonly size: number }[]
  /** Keys or channels may belong to other servers from now on. */
  ringChanged(): void
  /** Ends the subscriptions: the client has disconnected, or has sent RESET. */
  end(): void
}

export class RedisSession implements ClientSession, ConnectionUser, ConnectionWaiter<ServerConnection> {
  readonly client: Client
  /** CLIENT ID: unique in the process. */
  readonly id: number
  readonly listens = false
  readonly stateful = false

  /**
   * What the client has told: texts of one char a byte. CLIENT SETNAME, SETINFO and HELLO write
   * them.
   */
  name = ''
  library = ''
  libraryVersion = ''
  /** One of `ReplyMode`: what becomes of the next reply. CLIENT REPLY writes it. */
  replyMode: number = ReplyMode.on
  /** True after a refused SELECT, until one succeeds: requests are refused too. */
  withoutDatabase = false

  /** What the client has open; null = nothing of that kind. */
  transaction: SessionTransaction | null = null
  blocking: SessionWait | null = null
  subscriptions: SessionSubscriptions | null = null
  monitoring: { end(): void } | null = null

  /**
   * The queue in which the session waits for an exclusive connection; null while it waits for none.
   */
  private waitsAt: ExclusiveConnections<ServerConnection> | null = null
  /** A connection that the session has waited for, until the request is parsed again. */
  private grant: ServerConnection | null = null
  /** True when waiting has failed: the request is refused when it is parsed again. */
  private waitFailed = false

  constructor(client: Client) {
    this.client = client
    this.id = client.pool.context.newClientId()
  }

  get allowsFastPath(): boolean {
    return this.isServed && !this.transaction?.open && (this.client.resp3 || !this.subscribed)
  }

  /**
   * True while requests are answered and executed: CLIENT REPLY is on and the client has a
   * database.
   */
  get isServed(): boolean {
    return this.answers && !this.withoutDatabase
  }

  /** True when the next request has a reply. */
  get answers(): boolean {
    return this.replyMode === ReplyMode.on
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

  /**
   * @param topic one of `Topic`.
   * @returns how many names of this kind the client is subscribed to.
   */
  subscriptionsOf(topic: number): number {
    return this.subscriptions === null ? 0 : this.subscriptions.topics[topic].size
  }

  get resp3(): boolean {
    return this.client.resp3
  }

  get database(): number {
    return this.client.database
  }

  /**
   * True while something is open that belongs to the protocol version and the connections with
   * which it began.
   */
  get hasOpenState(): boolean {
    return this.transaction !== null || this.subscriptions !== null || this.blocking !== null
  }

  /**
   * Gives the current request an exclusive connection to a server, in the client's database.
   * @param serverIndex what the router said; -1 = no server is live.
   * @param overtakes true: earlier requests of the client may still be unanswered.
   * @returns null when there is none: the request is postponed (`client.isPostponed`), or answered
   * with an error.
   */
  checkOut(serverIndex: number, user: ConnectionUser, overtakes = false): ServerConnection | null {
    const { client } = this
    if (client.pending > 0 && !overtakes) {
      client.postpone(true)
      return null
    }
    const { pool } = client
    const server = serverIndex < 0 ? null : pool.servers[serverIndex]
    if (server === null || server.health.isDown) {
      answerStateLoss(client, Failure.refused)
      return null
    }
    const connection = this.grantedFor(server, user) ?? this.idleAt(server, user)
    if (connection !== null) enterDatabase(connection, client.database)
    else this.waitFor(server)
    return connection
  }

  /** The connection that the session has waited for, if it still fits the request. */
  private grantedFor(server: Server, user: ConnectionUser): ServerConnection | null {
    const { grant } = this
    this.grant = null
    if (grant === null || grant.isClosed) return null
    if (grant.server === server && grant.resp3 === this.client.resp3) {
      grant.user = user
      return grant
    }
    // The ring or the configuration has changed meanwhile.
    grant.server.exclusive.checkIn(grant)
    return null
  }

  private idleAt(server: Server, user: ConnectionUser): ServerConnection | null {
    const { resp3, database } = this.client
    return this.waitFailed ? null : server.exclusive.checkOut(user, resp3, database)
  }

  /**
   * Postpones the current request until a connection is free, or refuses it where too many clients
   * wait.
   */
  private waitFor(server: Server): void {
    if (!this.waitFailed && server.exclusive.wait(this)) {
      this.waitsAt = server.exclusive
      this.client.postpone(false)
    } else {
      this.waitFailed = false
      refuseConnection(this.client, server)
    }
  }

  granted(connection: ServerConnection): void {
    this.waitsAt = null
    this.grant = connection
    this.client.pool.context.resumeLater(this.client)
  }

  refused(): void {
    this.waitsAt = null
    this.waitFailed = true
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

  /** Ends what is open. What the client has told stays. */
  end(): void {
    this.waitsAt?.stopWaiting(this)
    this.waitsAt = null
    const { grant, transaction, blocking, subscriptions, monitoring } = this
    this.grant = null
    this.transaction = null
    this.blocking = null
    this.subscriptions = null
    this.monitoring = null
    monitoring?.end()
    if (grant !== null) grant.server.exclusive.checkIn(grant)
    transaction?.end()
    blocking?.end()
    subscriptions?.end()
  }

  /**
   * RESET: ends what is open and forgets what the client has told; as at Redis, the library stays.
   */
  reset(): void {
    this.end()
    this.name = ''
    this.replyMode = ReplyMode.on
    this.withoutDatabase = false
  }
}

/** Answers the current request: all exclusive connections to a server are in use. */
export function refuseConnection(client: Client, server: Server): void {
  server.row[server.statBase + ServerStat.queueFull]++
  answerLocally(client, NO_CONNECTION)
}

/** @returns the client's session, or null while it has none. */
export function knownSession(client: Client): RedisSession | null {
  return client.session as RedisSession | null
}

/** @returns the client's session, which is made when it first needs one. */
export function sessionOf(client: Client): RedisSession {
  client.session ??= new RedisSession(client)
  return knownSession(client)!
}

/**
 * Redis treats a monitoring client as a kind of replica.
 * @returns true when the command is refused for that.
 */
export function isRefusedToMonitor(client: Client, command: Command): boolean {
  return (command.flags & (Flag.read | Flag.write)) !== 0 && knownSession(client)?.monitoring != null
}
