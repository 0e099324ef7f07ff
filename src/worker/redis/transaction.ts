/**
 * MULTI, EXEC, DISCARD, WATCH, UNWATCH: a transaction runs on one server, that of its first key, on a connection of its own. Data plane.
 *
 *     MULTI        PING          SET k v                GET k        EXEC
 *     +OK, ours    +QUEUED,      k's server: MULTI,     forwarded    forwarded; once answered, the connection goes back
 *                  kept          PING, SET k v
 *
 * A key of another server is refused with -CROSSSLOT, and so is, with an error, what one server cannot answer for all; as with Redis
 * itself, EXEC then discards the transaction. WATCH takes the connection already, and the watched keys decide the server.
 */

import { encodeText } from '../../bytes/ascii.ts'
import { Action, Flag, fitsArity } from '../../protocol/redis/commands.ts'
import { CROSS_SERVER, errorLine, OK } from '../../protocol/redis/replies.ts'
import type { RespRequestParser } from '../../protocol/redis/request-parser.ts'
import type { Client } from '../client/client.ts'
import { answerLocally, answerStateLoss } from '../request/delivery.ts'
import { Failure } from '../request/failure.ts'
import { MessageKind, takeMessage } from '../request/message.ts'
import { isFull } from '../server/pool.ts'
import type { ConnectionHolder, ServerConnection } from '../server/server-connection.ts'
import { sameText } from './auth.ts'
import { deniedOnOneServer, NO_SERVER, serverOfKeys } from './multikey.ts'
import { mayWrite } from './pause.ts'
import type { RedisProtocol } from './redis-protocol.ts'
import { RETURNING, type RedisSession, sessionOf } from './session.ts'
import { settle } from './state.ts'
import { Internal, queueInternal, wireRequest } from './wire-request.ts'

/** What a transaction may say before its first key, bytes. */
const MAX_KEPT_BYTES = 1_048_576

const QUEUED = encodeText('+QUEUED\r\n')
const EMPTY = encodeText('*0\r\n')
const NESTED = errorLine('MULTI calls can not be nested')
const WATCH_INSIDE = errorLine('WATCH inside MULTI is not allowed')
const NO_EXEC = errorLine('EXEC without MULTI')
const NO_DISCARD = errorLine('DISCARD without MULTI')
const ABORTED = encodeText('-EXECABORT Transaction discarded because of previous errors.\r\n')
const LONG_BEFORE_KEY = errorLine('the transaction says too much before its first key')

const MULTI = wireRequest('MULTI')
const DISCARD = wireRequest('DISCARD')
const UNWATCH = wireRequest('UNWATCH')

/** `serverOf` for a request without keys. */
const ANY_SERVER = -2

export class Transaction implements ConnectionHolder {
  readonly listens = false
  readonly stateful = true
  readonly session: RedisSession
  /** MULTI was said. */
  open = false
  /** A request was refused, or the connection lost: EXEC runs nothing. */
  aborted = false
  /** Its server's, from WATCH or the first key on. */
  connection: ServerConnection | null = null
  /** The server knows of MULTI. */
  begun = false
  /** Requests before the first key, as the server takes them. */
  kept: Uint8Array[] = []
  keptBytes = 0
  /** Requests that the client was told are queued. */
  requests = 0
  watchedKeys = 0
  mayWrite = false

  constructor(session: RedisSession) {
    this.session = session
  }

  takesPush(): boolean {
    return false
  }

  connectionIdle(): void {}

  /** What was watched or queued is lost with it, and no reply of MULTI's could say so. */
  connectionLost(): void {
    this.aborted = true
    if (this.connection === null) return
    this.connection = null
    const { client } = this.session
    // Nothing was under way: no request's failure has told the client.
    if (!client.ending) answerStateLoss(client, Failure.closed)
  }

  /** The client is gone, or has said RESET: the server discards on its own. */
  leave(): void {
    const { connection } = this
    this.connection = null
    connection?.close(Failure.closed)
  }
}

/** MULTI, EXEC, DISCARD, WATCH, UNWATCH, and within a transaction nothing else comes here. */
export function transactionRequest(
  protocol: RedisProtocol,
  client: Client,
  parser: RespRequestParser,
  buf: Uint8Array,
): void {
  const session = sessionOf(client)
  const { transaction } = session
  const open = transaction?.open === true
  switch (parser.command.name) {
    case 'MULTI':
      if (open) {
        protocol.answer(client, NESTED)
        return
      }
      transactionOf(session).open = true
      settle(client, client.authenticated)
      protocol.answer(client, OK)
      return
    case 'EXEC':
      if (open) execute(protocol, client, transaction!, parser, buf)
      else protocol.answer(client, NO_EXEC)
      return
    case 'DISCARD':
      if (open) discard(protocol, client, transaction!, OK)
      else protocol.answer(client, NO_DISCARD)
      return
    case 'WATCH':
      if (open) protocol.answer(client, WATCH_INSIDE)
      else watch(protocol, client, session, parser, buf)
      return
    default:
      unwatch(protocol, client, session)
  }
}

function transactionOf(session: RedisSession): Transaction {
  session.transaction ??= new Transaction(session)
  return session.transaction
}

/**
 * A request while a transaction is open.
 * @returns false when it is not the transaction's: it ends it, or is refused as always.
 */
export function queueRequest(
  protocol: RedisProtocol,
  client: Client,
  transaction: Transaction,
  parser: RespRequestParser,
  buf: Uint8Array,
): boolean {
  const { command, argCount } = parser
  if (!fitsArity(command, argCount) || command.action === Action.refuse || command.action === Action.deny) {
    transaction.aborted = true
    return false
  }
  if (command.action === Action.quit || command.name === 'RESET') return false
  if (command.action === Action.transaction && command.name !== 'UNWATCH') return false
  if (command.action === Action.select) {
    queue(protocol, client, transaction, ANY_SERVER, selected(client, parser, buf))
    return true
  }
  if (mayWrite(command)) transaction.mayWrite = true
  const server = serverOf(protocol, client, parser, buf)
  if (server === NO_SERVER) transaction.aborted = true
  else queue(protocol, client, transaction, server, buf.subarray(parser.start, parser.end))
  return true
}

/** The pool's database 0 may be another one on the servers, and has no neighbours. */
function selected(client: Client, parser: RespRequestParser, buf: Uint8Array): Buffer {
  return wireRequest('SELECT', sameText(parser, buf, 1, '0') ? String(client.pool.config.redisDb) : '-1')
}

/** @returns the index of the request's server, ANY_SERVER, or NO_SERVER when the client has had an error. */
function serverOf(protocol: RedisProtocol, client: Client, parser: RespRequestParser, buf: Uint8Array): number {
  const { command, start, args, argCount } = parser
  const { action, name } = command
  if (name === 'PUBLISH' || name === 'SPUBLISH') {
    const owner = client.pool.router.route(buf, start + args[2], start + args[3])
    if (owner < 0) answerStateLoss(client, Failure.refused)
    return owner
  }
  if (!isTransactional(client, action, name, command.flags)) {
    protocol.answer(client, errorLine(`'${name.toLowerCase()}' is not possible in a transaction through a proxy`))
    return NO_SERVER
  }
  const { positions } = protocol
  if (!positions.find(command, buf, start, args, argCount) || positions.count === 0) {
    if (!deniedOnOneServer(client, parser, buf, NO_SERVER)) return ANY_SERVER
    return NO_SERVER
  }
  const server = serverOfKeys(client, parser, buf, answerStateLoss)
  return server === NO_SERVER || deniedOnOneServer(client, parser, buf, server) ? NO_SERVER : server
}

/** Whether one server's answer is the pool's. */
function isTransactional(client: Client, action: number, name: string, flags: number): boolean {
  const oneServer = client.pool.servers.length === 1
  switch (action) {
    case Action.forward:
    case Action.multiKey:
    case Action.gatherSets:
    case Action.sumKeys:
    case Action.gatherKeys:
    case Action.splitPairs:
    case Action.forwardScript:
    case Action.ping:
    case Action.transaction:
      return true
    case Action.blocking:
      // WAIT is about what one connection wrote.
      return name !== 'WAIT' && name !== 'WAITAOF'
    case Action.forwardKeyless:
      return name === 'LOLWUT'
    case Action.local:
      return name === 'ECHO' || name === 'TIME'
    case Action.keyspace:
      return oneServer && (flags & (Flag.read | Flag.write)) !== 0
    default:
      return false
  }
}

function queue(
  protocol: RedisProtocol,
  client: Client,
  transaction: Transaction,
  server: number,
  request: Uint8Array,
): void {
  if (transaction.aborted) {
    // Redis says so too, once the transaction is lost.
    protocol.answer(client, QUEUED)
    return
  }
  if (transaction.connection === null && server === ANY_SERVER) {
    keep(protocol, client, transaction, request)
    return
  }
  if (transaction.connection !== null && server !== ANY_SERVER) {
    if (client.pool.servers[server] !== transaction.connection.server) {
      transaction.aborted = true
      protocol.answer(client, CROSS_SERVER)
      return
    }
  }
  if (!begin(client, transaction, server)) return
  transaction.requests++
  send(client, transaction, request)
}

function keep(protocol: RedisProtocol, client: Client, transaction: Transaction, request: Uint8Array): void {
  transaction.keptBytes += request.length
  if (transaction.keptBytes > MAX_KEPT_BYTES) {
    transaction.aborted = true
    protocol.answer(client, LONG_BEFORE_KEY)
    return
  }
  transaction.kept.push(Uint8Array.prototype.slice.call(request))
  transaction.requests++
  protocol.answer(client, QUEUED)
}

/** Tells the server of the transaction. @returns false when there is no connection: the request is postponed, or has its error. */
function begin(client: Client, transaction: Transaction, server: number): boolean {
  if (transaction.begun) return true
  if (client.pending > 0) {
    // Also with a connection from WATCH: what the client wrote since then is not there yet.
    client.postpone(true)
    return false
  }
  transaction.connection ??= transaction.session.take(server, transaction)
  const { connection } = transaction
  if (connection === null) {
    if (!client.isPostponed) transaction.aborted = true
    return false
  }
  transaction.begun = true
  queueInternal(connection, Internal.vital, MULTI)
  for (const request of transaction.kept) queueInternal(connection, Internal.quiet, request)
  transaction.kept = []
  return true
}

/** Sends a request whose reply is the client's. */
function send(client: Client, transaction: Transaction, request: Uint8Array): void {
  const connection = transaction.connection!
  if (isFull(connection, client.pool.config)) {
    transaction.aborted = true
    answerLocally(client, client.pool.protocol.queueFull)
    return
  }
  forwardOn(client, connection, request)
}

function forwardOn(client: Client, connection: ServerConnection, request: Uint8Array): void {
  const message = takeMessage(client, MessageKind.forward)
  client.push(message)
  connection.enqueue(message, request.length)
  connection.socket.append(request, 0, request.length)
}

function execute(
  protocol: RedisProtocol,
  client: Client,
  transaction: Transaction,
  parser: RespRequestParser,
  buf: Uint8Array,
): void {
  if (transaction.aborted) {
    discard(protocol, client, transaction, ABORTED)
    return
  }
  if (transaction.connection === null && transaction.kept.length === 0) {
    protocol.answer(client, EMPTY)
    end(client)
    return
  }
  if (!begin(client, transaction, protocol.keylessServer)) {
    if (!client.isPostponed) end(client)
    return
  }
  const connection = transaction.connection!
  forwardOn(client, connection, buf.subarray(parser.start, parser.end))
  giveBack(transaction)
  client.holdNext()
  end(client)
}

/** Runs nothing. */
function discard(protocol: RedisProtocol, client: Client, transaction: Transaction, reply: Uint8Array): void {
  const { connection } = transaction
  if (connection !== null) {
    queueInternal(connection, Internal.vital, transaction.begun ? DISCARD : UNWATCH)
    giveBack(transaction)
  }
  protocol.answer(client, reply)
  end(client)
}

/** The connection goes back once what was sent is answered. */
function giveBack(transaction: Transaction): void {
  transaction.connection!.holder = RETURNING
  transaction.connection = null
}

function end(client: Client): void {
  sessionOf(client).transaction = null
  settle(client, client.authenticated)
}

function watch(
  protocol: RedisProtocol,
  client: Client,
  session: RedisSession,
  parser: RespRequestParser,
  buf: Uint8Array,
): void {
  const { start, end: requestEnd, args, argCount, command } = parser
  if (client.pending > 0) {
    // What the client wrote before must not count as a change.
    client.postpone(true)
    return
  }
  protocol.positions.find(command, buf, start, args, argCount)
  const server = serverOfKeys(client, parser, buf, answerStateLoss)
  if (server === NO_SERVER) return
  const transaction = transactionOf(session)
  if (transaction.connection === null) {
    transaction.connection = session.take(server, transaction)
    if (transaction.connection === null) {
      if (!transaction.aborted) session.transaction = null
      return
    }
  } else if (transaction.connection.server !== client.pool.servers[server]) {
    protocol.answer(client, CROSS_SERVER)
    return
  }
  transaction.watchedKeys += protocol.positions.count
  forwardOn(client, transaction.connection, buf.subarray(start, requestEnd))
  client.holdNext()
}

function unwatch(protocol: RedisProtocol, client: Client, session: RedisSession): void {
  const { transaction } = session
  if (transaction === null) {
    protocol.answer(client, OK)
    return
  }
  const { connection } = transaction
  session.transaction = null
  if (connection === null) {
    protocol.answer(client, OK)
    return
  }
  forwardOn(client, connection, UNWATCH)
  giveBack(transaction)
  client.holdNext()
}
