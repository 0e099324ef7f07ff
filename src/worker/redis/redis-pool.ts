/**
 * What the handlers of Redis commands ask of their pool: answer, forward, refuse, and what the
 * pool's clients share in this worker. Data plane. Handlers import this file and never the
 * dispatcher (`redis-protocol.ts`), which is the same object.
 */

import { argEnd, argStart } from '../../protocol/redis/arguments.ts'
import { Action } from '../../protocol/redis/commands.ts'
import { KeyPositions } from '../../protocol/redis/key-positions.ts'
import * as replies from '../../protocol/redis/replies.ts'
import { RespRequestParser } from '../../protocol/redis/request-parser.ts'
import { PLACEHOLDER } from '../../routing/placeholder.ts'
import { PoolStat } from '../../shared/stat-fields.ts'
import type { Client } from '../client/client.ts'
import type { PoolClients } from '../client/pool-clients.ts'
import { answerLocally } from '../request/delivery.ts'
import { MessageKind } from '../request/message.ts'
import { CloseReason } from '../request/reply-target.ts'
import type { Pool } from '../server/pool.ts'
import { DatabaseLimit } from './databases/database-limit.ts'
import { LearnedCommands } from './learned-commands.ts'
import { PublishOrder } from './pubsub/publish-order.ts'
import { ScriptLoading } from './scripts/script-loading.ts'
import { ScriptBook } from './scripts/scripts.ts'
import { forwardToAny } from './split/broadcast.ts'
import { logUnsupported } from './unsupported-log.ts'
import { RequestWatch } from './watch/request-watch.ts'

/**
 * nutcracker routes no key that fills an mbuf: its header (48 bytes) and one byte are not the
 * key's.
 */
const MBUF_OVERHEAD_BYTES = 49

/** Handles the request that `parser` has read from `buf`. */
export type Handler = (redis: RedisPool, client: Client, parser: RespRequestParser, buf: Uint8Array) => void

export class RedisPool {
  readonly pool: Pool
  /**
   * The keys of the current request, for the handler that has called `find`. The next request
   * overwrites them.
   */
  readonly positions: KeyPositions = new KeyPositions()
  /**
   * True once a server has refused HELLO 3: HELLO 3 of clients is refused too.
   * `servers/greeting.ts` sets it.
   */
  refusesResp3 = false
  /**
   * Version of one of the servers; '' until one has told it. `servers/server-version.ts` sets it.
   */
  serverVersion = ''
  /** Null until the first pause or MONITOR; `watchOf` makes it. */
  watch: RequestWatch | null = null
  /** The databases that servers have refused. */
  readonly databaseLimit: DatabaseLimit
  /** What is known of scripts that clients ran. */
  readonly scripts: ScriptBook
  /** Scripts and function libraries that clients loaded. */
  readonly loading: ScriptLoading
  readonly publishOrder: PublishOrder
  /** Commands that only the servers know. */
  readonly learned: LearnedCommands
  /** Parses inline requests in their rewritten form. */
  readonly inlineParser: RespRequestParser = new RespRequestParser()

  constructor(pool: Pool) {
    this.pool = pool
    this.scripts = new ScriptBook(pool)
    this.loading = new ScriptLoading(pool)
    this.publishOrder = new PublishOrder(pool)
    this.databaseLimit = new DatabaseLimit(pool)
    this.learned = new LearnedCommands(pool)
  }

  /**
   * A refused request is an error of its client, as where nutcracker closes the connection: alarms
   * watch `client_err`.
   */
  answerRefused(client: Client, reply: Uint8Array): void {
    this.pool.row[this.pool.statBase + PoolStat.clientErr]++
    this.answer(client, reply)
  }

  /** Answers a request that needs no server. */
  answer(client: Client, reply: Uint8Array): void {
    this.pool.row[this.pool.statBase + PoolStat.localRequests]++
    answerLocally(client, reply)
  }

  /** Sends the request whole to the server of one key, argument `key`. */
  forward(client: Client, parser: RespRequestParser, buf: Uint8Array, key: number): void {
    const keyStart = argStart(parser, key)
    const keyEnd = argEnd(parser, key)
    if (keyEnd - keyStart > this.longestKey) {
      this.refuseKey(client, keyEnd - keyStart)
      return
    }
    this.forwardTo(client, parser, buf, this.pool.router.route(buf, keyStart, keyEnd))
  }

  /**
   * Sends what any server can answer to the server of the key `placeholder`, and to another one if
   * that one cannot answer.
   */
  forwardKeyless(client: Client, parser: RespRequestParser, buf: Uint8Array): void {
    const { keylessServer } = this
    if (this.pool.servers.length === 1 || this.pool.config.strict) this.forwardTo(client, parser, buf, keylessServer)
    else forwardToAny(client, parser, buf, keylessServer)
  }

  /**
   * Index of the server for what has no key: the one of `placeholder`, or the next one that is not
   * lost; -1 = none is live.
   */
  get keylessServer(): number {
    const { servers, router, config } = this.pool
    const server = router.route(PLACEHOLDER, 0, PLACEHOLDER.length)
    if (server < 0 || config.strict || !servers[server].health.isLost) return server
    const other = servers.findIndex(each => !each.health.isLost)
    return other < 0 ? server : other
  }

  /** Sends it to a server; -1 = none is live. */
  forwardTo(client: Client, parser: RespRequestParser, buf: Uint8Array, serverIndex: number): void {
    const connection = this.pool.connectionTo(client, serverIndex)
    if (connection === null) return
    const message = client.messages.acquire(client, MessageKind.forward)
    client.push(message)
    const { start, end } = parser
    connection.enqueue(message, end - start)
    if (start === 0 && end === client.ownEnd) connection.socket.appendOwned(buf, 0, end)
    else connection.socket.append(buf, start, end)
  }

  get longestKey(): number {
    return this.pool.context.mbufBytes - MBUF_OVERHEAD_BYTES
  }

  /** @returns false when the key was refused. */
  refuseKey(client: Client, bytes: number): void {
    this.pool.limitedLog.alert(
      'key too long',
      () =>
        `parsed bad req of c ${client.address} with key length ${bytes} that greater than or equal to maximum redis key length of ${this.longestKey + 1}`,
    )
    if (this.pool.config.strict) client.close(CloseReason.error)
    else this.answerRefused(client, replies.keyTooLong(bytes, this.longestKey))
  }

  /**
   * Refuses an unknown command or a wrong number of arguments: in Redis's words, and even before
   * AUTH. Strict pools close the client.
   */
  refuse(client: Client, parser: RespRequestParser, buf: Uint8Array): void {
    logUnsupported(client, parser, buf)
    const { command } = parser
    if (this.pool.config.strict) client.close(CloseReason.error)
    else if (command.action === Action.refuse) this.answerRefused(client, this.learned.unknown(parser, buf))
    else this.answerRefused(client, replies.wrongArguments(command.name))
  }
}

/** The Redis side of a pool with `redis: true`. */
export function redisOf(pool: Pool): RedisPool {
  return pool.protocol as unknown as RedisPool
}

/** What looks at the requests of the pool's clients; made when it is first needed. */
export function watchOf(clients: PoolClients): RequestWatch {
  const redis = redisOf(clients.pool)
  redis.watch ??= new RequestWatch(clients)
  return redis.watch
}
