/**
 * The Redis protocol on the worker's path: each request is answered here, forwarded whole, or split by server. Data plane.
 * What nutcracker does with each command: `test/vectors/redis-commands.json`; where we depart: `docs/compatibility.md`.
 */

import { CR, MINUS, SPACE } from '../../bytes/ascii.ts'
import type { ReplyParser, RequestParser } from '../../protocol/parser.ts'
import { argEnd, argStart } from '../../protocol/redis/arguments.ts'
import { Action, fitsArity } from '../../protocol/redis/commands.ts'
import { KeyPositions } from '../../protocol/redis/key-positions.ts'
import * as replies from '../../protocol/redis/replies.ts'
import { RespReplyParser } from '../../protocol/redis/reply-parser.ts'
import { RespRequestParser } from '../../protocol/redis/request-parser.ts'
import { PLACEHOLDER } from '../../routing/placeholder.ts'
import { PoolStat } from '../../shared/stat-fields.ts'
import type { Client } from '../client/client.ts'
import type { ClientProtocol } from '../client/client-protocol.ts'
import { answerLocally } from '../request/delivery.ts'
import { FAILURE_TEXTS } from '../request/failure.ts'
import { type Message, MessageKind } from '../request/message.ts'
import { CloseReason } from '../request/reply-target.ts'
import type { Pool } from '../server/pool.ts'
import type { ServerConnection } from '../server/server-connection.ts'
import { type ServerProtocol, Verdict } from '../server/server-protocol.ts'
import { blockingRequest } from './blocking.ts'
import { DatabaseLimit } from './databases/database-limit.ts'
import { databaseRequest, leaveLostDatabase, noteExecuted, requestInState } from './databases/databases.ts'
import { inlineRequest, malformedRequest } from './inline-request.ts'
import { LearnedCommands } from './learned-commands.ts'
import { argumentAsBulk, localRequest } from './local.ts'
import { PublishOrder } from './pubsub/publish-order.ts'
import { pubsubRequest } from './pubsub/pubsub.ts'
import { ScriptLoading } from './scripts/script-loading.ts'
import { ScriptBook } from './scripts/scripts.ts'
import { greet, inspectInternal, probe } from './servers/greeting.ts'
import { authenticate } from './session/auth.ts'
import { helloRequest } from './session/hello.ts'
import { unansweredRequest } from './session/reply-mode.ts'
import { sessionRequest } from './session/session.ts'
import { knownState } from './session/state.ts'
import { forwardToAny } from './split/broadcast.ts'
import { keyspaceRequest } from './split/keyspace.ts'
import { multiKeyRequest, scriptRequest } from './split/multikey.ts'
import { gatherJoiner, splitKeys, statusJoiner, sumJoiner } from './split/split.ts'
import { fitsStrict, strictRequest } from './strict.ts'
import { transactionRequest } from './transactions/transaction.ts'
import { Transaction } from './transactions/transaction-state.ts'
import { logUnsupported } from './unsupported-log.ts'
import { type RequestWatch, type WatchOwner, watchedRequest } from './watch/request-watch.ts'

/** nutcracker's longest routing key: an mbuf less its header (48 bytes) and one. */
const MBUF_OVERHEAD_BYTES = 49

export class RedisProtocol implements ClientProtocol, ServerProtocol, WatchOwner {
  readonly failureReplies: readonly Uint8Array[] = FAILURE_TEXTS.map(replies.errorLine)
  readonly tooLarge: Uint8Array = replies.errorLine('Protocol error: request is larger than max_message_bytes')
  readonly replyTooLarge: Uint8Array = replies.errorLine('reply is larger than max_message_bytes')
  readonly queueFull: Uint8Array = replies.QUEUE_FULL
  readonly tooManyClients: Uint8Array = replies.errorLine('max number of clients reached')
  /** Scratch for finding one request's keys. */
  readonly positions: KeyPositions = new KeyPositions()
  /** A server has turned down HELLO 3: clients are told so too. */
  refusesResp3 = false
  /** Of one of the servers; '' until one is asked. */
  serverVersion = ''
  /** Made for the first pause or MONITOR. */
  watch: RequestWatch | null = null
  /** What the servers say of the pool's databases. */
  readonly databaseLimit: DatabaseLimit
  readonly pool: Pool
  readonly scripts: ScriptBook
  /** Scripts and functions that its clients loaded. */
  readonly loading: ScriptLoading
  readonly publishOrder: PublishOrder
  readonly learned: LearnedCommands
  /** Takes the rewritten form of inline requests apart. */
  readonly inlineParser: RespRequestParser = new RespRequestParser()

  constructor(pool: Pool) {
    this.pool = pool
    this.scripts = new ScriptBook(pool)
    this.loading = new ScriptLoading(pool)
    this.publishOrder = new PublishOrder(pool)
    this.databaseLimit = new DatabaseLimit(pool)
    this.learned = new LearnedCommands(pool)
  }

  newRequestParser(): RequestParser {
    return new RespRequestParser()
  }

  newReplyParser(resp3: boolean): ReplyParser {
    const parser = new RespReplyParser()
    parser.resp3 = resp3
    return parser
  }

  configured(client: Client): void {
    if (this.pool.config.redisAuth === '') client.setAuthenticated(true)
    leaveLostDatabase(client)
  }

  request(client: Client, requestParser: RequestParser, buf: Uint8Array): void {
    const parser = requestParser as RespRequestParser
    if (parser.inline) {
      inlineRequest(this, client, parser, buf)
      return
    }
    // Redis reads over an empty frame.
    if (parser.argCount === 0) return
    const command = parser.command
    if (command.action === Action.forward && client.fastPath) {
      if (parser.argCount > command.key && (!this.pool.config.strict || fitsStrict(command, parser.argCount - 1))) {
        this.forward(client, parser, buf, command.key)
        return
      }
    }
    this.otherRequest(client, parser, buf)
  }

  streamTarget(client: Client, requestParser: RequestParser, buf: Uint8Array): number {
    const parser = requestParser as RespRequestParser
    const { command, wholeArgs } = parser
    if (wholeArgs < 2 || command.action !== Action.forward || wholeArgs <= command.key || !client.fastPath) return -1
    if (this.pool.config.strict && !fitsStrict(command, parser.argCount - 1)) return -1
    const keyStart = argStart(parser, command.key)
    const keyEnd = argEnd(parser, command.key)
    return keyEnd - keyStart > this.longestKey ? -1 : this.pool.router.route(buf, keyStart, keyEnd)
  }

  uploadTag(): number {
    return 0
  }

  /** Everything but one key of a client with the fast path. */
  private otherRequest(client: Client, parser: RespRequestParser, buf: Uint8Array): void {
    if (this.pool.config.strict) {
      strictRequest(client, parser, buf)
      return
    }
    if (parser.command.action === Action.refuse && !this.learned.resolve(client, parser, buf)) return
    if (client.poolClients.watched) watchedRequest(this, client, parser, buf)
    else this.statedRequest(client, parser, buf)
  }

  /** A client with CLIENT REPLY OFF or SKIP has no reply. */
  statedRequest(client: Client, parser: RespRequestParser, buf: Uint8Array): void {
    const state = knownState(client)
    if (state === null || state.allowsFastPath) this.answeredRequest(client, parser, buf)
    else if (state.answers || !unansweredRequest(this, client, parser, buf)) requestInState(this, client, parser, buf)
  }

  answeredRequest(client: Client, parser: RespRequestParser, buf: Uint8Array): void {
    const { command, argCount } = parser
    if (client.session !== null && client.authenticated && sessionRequest(this, client, parser, buf)) return
    if (command.action === Action.refuse || !fitsArity(command, argCount)) {
      this.refuse(client, parser, buf)
    } else if (command.action === Action.quit) {
      answerLocally(client, replies.OK)
      client.closeAfterReplies(CloseReason.eof)
    } else if (command.action === Action.auth) {
      authenticate(client, parser, buf)
    } else if (command.action === Action.hello) {
      helloRequest(this, client, parser, buf)
    } else if (command.name === 'RESET') {
      localRequest(this, client, parser, buf)
    } else if (!client.authenticated && !(this.pool.config.pingBeforeAuth && command.action === Action.ping)) {
      answerLocally(client, replies.NOAUTH)
    } else {
      this.dispatch(client, parser, buf)
    }
  }

  private dispatch(client: Client, parser: RespRequestParser, buf: Uint8Array): void {
    const { command } = parser
    const args = parser.argCount - 1
    switch (command.action) {
      case Action.forward:
        // `OBJECT HELP`: there is no key, and any server knows the answer.
        if (args >= command.key) this.forward(client, parser, buf, command.key)
        else this.forwardKeyless(client, parser, buf)
        return
      case Action.multiKey:
      case Action.gatherSets:
        multiKeyRequest(client, parser, buf)
        return
      case Action.sumKeys:
        if (args === 1) this.forward(client, parser, buf, 1)
        else splitKeys(client, parser, buf, 1, sumJoiner)
        return
      case Action.gatherKeys:
        if (args === 1) this.forward(client, parser, buf, 1)
        else splitKeys(client, parser, buf, 1, gatherJoiner)
        return
      case Action.splitPairs:
        if (args % 2 !== 0) this.refuse(client, parser, buf)
        else if (args === 2) this.forward(client, parser, buf, 1)
        else splitKeys(client, parser, buf, 2, statusJoiner)
        return
      case Action.forwardScript:
        scriptRequest(client, parser, buf)
        return
      case Action.forwardKeyless:
        this.forwardKeyless(client, parser, buf)
        return
      case Action.local:
        localRequest(this, client, parser, buf)
        return
      case Action.keyspace:
        keyspaceRequest(this, client, parser, buf)
        return
      case Action.transaction:
        transactionRequest(this, client, parser, buf)
        return
      case Action.blocking:
        blockingRequest(this, client, parser, buf)
        return
      case Action.pubsub:
        pubsubRequest(this, client, parser, buf)
        return
      case Action.ping:
        if (args === 0) this.answer(client, replies.PONG)
        else if (args === 1) this.answer(client, argumentAsBulk(parser, buf, 1))
        else this.refuse(client, parser, buf)
        return
      case Action.database:
        databaseRequest(this, client, parser, buf)
        return
      case Action.passOn:
        this.forwardKeyless(client, parser, buf)
        return
      default:
        this.answerRefused(client, replies.deniedCommand(command))
    }
  }

  /** A refused request is an error of its client, as where nutcracker closes the connection: alarms watch `client_err`. */
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

  /** Sends what any server can answer to the server of the key `placeholder`, and to another one if that one cannot answer. */
  forwardKeyless(client: Client, parser: RespRequestParser, buf: Uint8Array): void {
    const { keylessServer } = this
    if (this.pool.servers.length === 1 || this.pool.config.strict) this.forwardTo(client, parser, buf, keylessServer)
    else forwardToAny(client, parser, buf, keylessServer)
  }

  /** Index of the server for what has no key: the one of `placeholder`, or the next one that is not lost; -1 = none is live. */
  get keylessServer(): number {
    const { servers, router, config } = this.pool
    const server = router.route(PLACEHOLDER, 0, PLACEHOLDER.length)
    if (server < 0 || config.strict || !servers[server].lost) return server
    const other = servers.findIndex(each => !each.lost)
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

  /** An unknown command, or a wrong number of arguments, in Redis's words and in its order: before it asks who the client is. */
  refuse(client: Client, parser: RespRequestParser, buf: Uint8Array): void {
    const { command } = parser
    logUnsupported(client, parser, buf)
    if (command.action === Action.refuse) this.answerRefused(client, this.learned.unknown(parser, buf))
    else this.answerRefused(client, replies.wrongArguments(command.name))
  }

  malformed(client: Client, requestParser: RequestParser): number {
    return malformedRequest(this.pool, client, requestParser as RespRequestParser)
  }

  inspect(connection: ServerConnection, message: Message, buf: Uint8Array, start: number, end: number): number {
    if (buf[start] === MINUS && connection.user instanceof Transaction) connection.user.refusedByServer = true
    if (message.kind === MessageKind.internal) return inspectInternal(connection, message, buf, start, end)
    if (message.tag !== 0) noteExecuted(message, buf, start)
    if (!isServerDown(buf, start, end)) return Verdict.pass
    return this.pool.config.strict ? Verdict.broken : Verdict.passAndCount
  }

  greet(connection: ServerConnection): void {
    greet(connection)
    this.loading.sendOwed(connection)
  }

  probe(connection: ServerConnection): void {
    probe(connection)
  }
}

/** `-OOM`, `-BUSY` or `-LOADING` as the first word: nutcracker's transient failures. */
function isServerDown(buf: Uint8Array, start: number, end: number): boolean {
  return hasCode(buf, start, end, 'OOM') || hasCode(buf, start, end, 'BUSY') || hasCode(buf, start, end, 'LOADING')
}

/** Whether the error reply [start, end) begins with this code, which a space or the line's end follows. */
function hasCode(buf: Uint8Array, start: number, end: number, word: string): boolean {
  const wordEnd = start + 1 + word.length
  if (wordEnd >= end) return false
  for (let i = 0; i < word.length; i++) if (buf[start + 1 + i] !== word.charCodeAt(i)) return false
  return buf[wordEnd] === SPACE || buf[wordEnd] === CR
}
