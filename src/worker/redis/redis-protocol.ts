/**
 * The Redis protocol on the worker's path: each request is answered here, forwarded whole, or split
 * by server. Data plane. What nutcracker does with each command:
 * `test/vectors/redis-commands.json`; where we depart: `docs/compatibility.md`.
 *
 *     request ─▶ forward                                     one key, fast path open
 *        └─▶ otherRequest ─▶ strictRequest                   pools with `strict: true`
 *               └─▶ watchedRequest ─▶ statedRequest          CLIENT PAUSE and MONITOR look at it
 *                      └─▶ unansweredRequest                 CLIENT REPLY OFF and SKIP
 *                      └─▶ answeredRequest ─▶ sessionRequest what the client has open takes it
 *                             └─▶ dispatch                   by the kind of the command
 */

import { CR, MINUS, SPACE } from '../../bytes/ascii.ts'
import type { ReplyParser, RequestParser } from '../../protocol/parser.ts'
import { argEnd, argStart } from '../../protocol/redis/arguments.ts'
import { Action, fitsArity } from '../../protocol/redis/commands.ts'
import * as replies from '../../protocol/redis/replies.ts'
import { RespReplyParser } from '../../protocol/redis/reply-parser.ts'
import { RespRequestParser } from '../../protocol/redis/request-parser.ts'
import type { Client } from '../client/client.ts'
import type { ClientProtocol } from '../client/client-protocol.ts'
import { answerLocally } from '../request/delivery.ts'
import { FAILURE_TEXTS } from '../request/failure.ts'
import { type Message, MessageKind } from '../request/message.ts'
import { CloseReason } from '../request/reply-target.ts'
import type { ServerConnection } from '../server/server-connection.ts'
import { type ServerProtocol, Verdict } from '../server/server-protocol.ts'
import { leaveLostDatabase, noteExecuted, refusesWithoutDatabase } from './databases/databases.ts'
import { dispatch } from './dispatch.ts'
import { inlineRequest, malformedRequest } from './inline-request.ts'
import { localRequest } from './local.ts'
import { subscriberRequest } from './pubsub/pubsub.ts'
import { RedisPool } from './redis-pool.ts'
import { greet, inspectInternal, probe } from './servers/greeting.ts'
import { authenticate } from './session/auth.ts'
import { helloRequest } from './session/hello.ts'
import { unansweredRequest } from './session/reply-mode.ts'
import { isRefusedToMonitor, knownSession } from './session/session.ts'
import { fitsStrict, strictRequest } from './strict.ts'
import { queueRequest } from './transactions/transaction-queue.ts'
import { openTransactionOf, Transaction } from './transactions/transaction-state.ts'
import { type StatedRequest, watchedRequest } from './watch/request-watch.ts'

const NO_KEYS_HERE = replies.errorLine("Replica can't interact with the keyspace")

export class RedisProtocol extends RedisPool implements ClientProtocol, ServerProtocol<ServerConnection> {
  readonly failureReplies: readonly Uint8Array[] = FAILURE_TEXTS.map(replies.errorLine)
  readonly tooLarge: Uint8Array = replies.errorLine('Protocol error: request is larger than max_message_bytes')
  readonly replyTooLarge: Uint8Array = replies.errorLine('reply is larger than max_message_bytes')
  readonly queueFull: Uint8Array = replies.QUEUE_FULL
  readonly tooManyClients: Uint8Array = replies.errorLine('max number of clients reached')

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
      strictRequest(this, client, parser, buf)
      return
    }
    if (parser.command.action === Action.refuse && !this.learned.resolve(client, parser, buf)) return
    if (this.watch !== null && client.poolClients.watched) {
      watchedRequest(this.watch, client, parser, buf, this.statedRequest)
    } else {
      this.statedRequest(client, parser, buf)
    }
  }

  /**
   * Looks at what the client has told the proxy about its connection: CLIENT REPLY, a refused
   * SELECT.
   */
  private readonly statedRequest: StatedRequest = (client, parser, buf) => {
    const session = knownSession(client)
    if (session === null || session.isServed) this.answeredRequest(client, parser, buf)
    else if (session.answers) this.requestInState(client, parser, buf)
    else if (!unansweredRequest(client, parser, buf, this.requestInState)) this.requestInState(client, parser, buf)
  }

  private readonly requestInState: StatedRequest = (client, parser, buf) => {
    if (!refusesWithoutDatabase(this, client, parser.command)) this.answeredRequest(client, parser, buf)
  }

  private answeredRequest(client: Client, parser: RespRequestParser, buf: Uint8Array): void {
    const { command, argCount } = parser
    if (client.session !== null && client.authenticated && this.sessionRequest(client, parser, buf)) return
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
      dispatch(this, client, parser, buf, command.action)
    }
  }

  /**
   * Gives a request to what the client has open: MONITOR, subscriptions, a transaction.
   * @returns false when the request is none of theirs.
   */
  private sessionRequest(client: Client, parser: RespRequestParser, buf: Uint8Array): boolean {
    if (isRefusedToMonitor(client, parser.command)) {
      this.answer(client, NO_KEYS_HERE)
      return true
    }
    if (knownSession(client)!.subscribed && !client.resp3) return subscriberRequest(this, client, parser, buf)
    const transaction = openTransactionOf(client)
    return transaction !== null && queueRequest(this, client, transaction, parser, buf)
  }

  malformed(client: Client, requestParser: RequestParser): number {
    return malformedRequest(this.pool, client, requestParser as RespRequestParser)
  }

  inspect(connection: ServerConnection, message: Message, buf: Uint8Array, start: number, end: number): number {
    if (buf[start] === MINUS && connection.user instanceof Transaction) connection.user.refusedByServer = true
    if (message.kind === MessageKind.internal) return inspectInternal(this, connection, message, buf, start, end)
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

/**
 * Whether the error reply [start, end) begins with this code, which a space or the line's end
 * follows.
 */
function hasCode(buf: Uint8Array, start: number, end: number, word: string): boolean {
  const wordEnd = start + 1 + word.length
  if (wordEnd >= end) return false
  for (let i = 0; i < word.length; i++) if (buf[start + 1 + i] !== word.charCodeAt(i)) return false
  return buf[wordEnd] === SPACE || buf[wordEnd] === CR
}
