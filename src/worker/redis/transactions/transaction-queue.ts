/**
 * Requests between MULTI and EXEC. The proxy sends each to the transaction's server, keeps it until
 * the first key chooses the server, begins a part at another server (`multi: split`), or refuses
 * it. Data plane.
 */

import { encodeText } from '../../../bytes/ascii.ts'
import { argEnd, argStart, argTexts } from '../../../protocol/redis/arguments.ts'
import { Action, fitsArity } from '../../../protocol/redis/commands.ts'
import { errorLine } from '../../../protocol/redis/replies.ts'
import type { RespRequestParser } from '../../../protocol/redis/request-parser.ts'
import type { Client } from '../../client/client.ts'
import { answerLocally, answerStateLoss } from '../../request/delivery.ts'
import { Failure } from '../../request/failure.ts'
import { MessageKind } from '../../request/message.ts'
import { isFull } from '../../server/pool.ts'
import type { ServerConnection } from '../../server/server-connection.ts'
import { queuedSelect, refusesDatabase } from '../databases/databases.ts'
import type { RedisPool } from '../redis-pool.ts'
import { withVersion } from '../servers/server-version.ts'
import { Internal, queueInternal, wireRequest } from '../servers/wire-request.ts'
import { refuseCrossServer, shownKey } from '../split/cross-server.ts'
import { refusedOnOneServer } from '../split/keyspace.ts'
import { deniedOnOneServer, NO_SERVER, serverOfKeys } from '../split/multikey.ts'
import { mayWrite } from '../watch/pause.ts'
import { QueuedClientCommand, whyNotQueued } from './queued-client-command.ts'
import type { Transaction } from './transaction-state.ts'

/** Most bytes of requests that are kept before the first key. */
const MAX_KEPT_BYTES = 1_048_576

const QUEUED = encodeText('+QUEUED\r\n')
const LONG_BEFORE_KEY = errorLine('the requests before the first key of this transaction are too large')

const STILL_OPEN = 'the proxy has refused a request of this transaction: send EXEC or DISCARD to end it'
const REFUSED = errorLine(STILL_OPEN)
/**
 * Begins with the same word as the first refusal: phpredis throws for it, and would take ERR for a
 * missing value.
 */
const REFUSED_KEYS = encodeText(`-CROSSSLOT ${STILL_OPEN}\r\n`)

const MULTI = wireRequest('MULTI')

/** `serverOf` for a request without keys. */
const ANY_SERVER = -2

/** @param tag of the message, for `Protocol.inspect`. */
export function forwardOn(client: Client, connection: ServerConnection, request: Uint8Array, tag = 0): void {
  const message = client.messages.acquire(client, MessageKind.forward)
  message.tag = tag
  client.push(message)
  connection.enqueue(message, request.length)
  connection.socket.append(request, 0, request.length)
}

/**
 * Handles a request while a transaction is open.
 * @returns false when the caller must handle it: it ends the transaction, or is refused in any
 * state.
 */
export function queueRequest(
  redis: RedisPool,
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
  if (transaction.refusal !== null) {
    redis.answer(client, transaction.refusal)
    return true
  }
  if (command.name === 'CLIENT') {
    queueClientCommand(redis, client, transaction, parser, buf)
    return true
  }
  if (command.name === 'SELECT') {
    queueSelect(redis, client, transaction, parser, buf)
    return true
  }
  if (mayWrite(command)) transaction.mayWrite = true
  const server = serverOf(redis, client, parser, buf)
  if (server === NO_SERVER) refuseTransaction(transaction)
  else queue(redis, client, transaction, server, parser, buf)
  return true
}

/** Makes EXEC discard the transaction. The caller has answered the request with an error. */
function refuseTransaction(transaction: Transaction, refusal: Uint8Array = REFUSED): void {
  transaction.aborted = true
  transaction.refusal = refusal
}

/** Queues CLIENT, which the proxy runs when EXEC comes. */
function queueClientCommand(
  redis: RedisPool,
  client: Client,
  transaction: Transaction,
  parser: RespRequestParser,
  buf: Uint8Array,
): void {
  const args = argTexts(parser, buf)
  const notPossible = notInTransaction(`client|${args[1].toLowerCase()}`)
  const refusal = whyNotQueued(args, notPossible)
  if (refusal !== null) {
    transaction.aborted = true
    if (refusal === notPossible) transaction.refusal = REFUSED
    redis.answerRefused(client, refusal)
    return
  }
  const queued = new QueuedClientCommand(redis, client, args)
  const add = (): void => {
    if (!transaction.aborted) transaction.addRequest(queued)
    redis.answer(client, QUEUED)
  }
  if (queued.needsVersion) withVersion(redis, client, add)
  else add()
}

function notInTransaction(name: string): Uint8Array {
  return errorLine(`the proxy does not support '${name.replace(/[\r\n]/g, ' ')}' in a transaction`)
}

/**
 * Queues SELECT, unless several servers have a part of the transaction: then they would have
 * different databases.
 */
function queueSelect(
  redis: RedisPool,
  client: Client,
  transaction: Transaction,
  parser: RespRequestParser,
  buf: Uint8Array,
): void {
  if (transaction.others.length > 0) {
    redis.answerRefused(client, notInTransaction('select'))
    refuseTransaction(transaction)
    return
  }
  queue(redis, client, transaction, ANY_SERVER, parser, buf, queuedSelect(client, transaction, parser, buf))
}

/**
 * @returns the index of the request's server, ANY_SERVER, or NO_SERVER when the client has had an
 * error.
 */
function serverOf(redis: RedisPool, client: Client, parser: RespRequestParser, buf: Uint8Array): number {
  const { command } = parser
  const { action, name } = command
  if (name === 'PUBLISH' || name === 'SPUBLISH') {
    const owner = client.pool.router.route(buf, argStart(parser, 1), argEnd(parser, 1))
    if (owner < 0) answerStateLoss(client, Failure.refused)
    return owner
  }
  if (!isTransactional(client, action, name)) {
    redis.answerRefused(client, notInTransaction(name.toLowerCase()))
    return NO_SERVER
  }
  const refusal = action === Action.keyspace ? refusedOnOneServer(client, parser, buf) : null
  if (refusal !== null) {
    redis.answerRefused(client, refusal)
    return NO_SERVER
  }
  if (refusesDatabase(redis, client, parser, buf)) return NO_SERVER
  const { positions } = redis
  if (!positions.find(parser, buf) || positions.count === 0) {
    if (!deniedOnOneServer(client, parser, buf, NO_SERVER)) return ANY_SERVER
    return NO_SERVER
  }
  const server = serverOfKeys(client, parser, buf, answerStateLoss)
  return server === NO_SERVER || deniedOnOneServer(client, parser, buf, server) ? NO_SERVER : server
}

/** @returns true when one server can answer the request for the pool. */
function isTransactional(client: Client, action: number, name: string): boolean {
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
    case Action.passOn:
    case Action.transaction:
      return true
    case Action.blocking:
      // WAIT is about what one connection wrote.
      return name !== 'WAIT' && name !== 'WAITAOF'
    case Action.forwardKeyless:
      return oneServer || name === 'LOLWUT'
    case Action.local:
      return name === 'ECHO' || name === 'TIME' || (oneServer && (name === 'INFO' || name === 'COMMAND'))
    case Action.pubsub:
      return oneServer && name === 'PUBSUB'
    case Action.database:
      return oneServer || name !== 'SWAPDB'
    case Action.keyspace:
      return oneServer
    default:
      return false
  }
}

function queue(
  redis: RedisPool,
  client: Client,
  transaction: Transaction,
  server: number,
  parser: RespRequestParser,
  buf: Uint8Array,
  request: Uint8Array = buf.subarray(parser.start, parser.end),
): void {
  if (transaction.aborted) {
    // Redis, too, answers QUEUED once the transaction is aborted.
    redis.answer(client, QUEUED)
  } else if (transaction.connection === null && server === ANY_SERVER) {
    keep(redis, client, transaction, request)
  } else if (isForeign(client, transaction, server)) {
    queueElsewhere(redis, client, transaction, server, parser, buf)
  } else if (begin(client, transaction, server)) {
    if (transaction.firstKey === '' && server !== ANY_SERVER) transaction.firstKey = keyOf(redis, parser, buf)
    transaction.addRequest(0)
    send(client, transaction, transaction.connection!, request)
  }
}

/** @returns true when a request belongs to another server than the transaction's first. */
function isForeign(client: Client, { connection }: Transaction, server: number): boolean {
  return connection !== null && server !== ANY_SERVER && client.pool.servers[server] !== connection.server
}

/**
 * Queues a request for another server, which begins a part of the transaction there; or refuses it.
 */
function queueElsewhere(
  redis: RedisPool,
  client: Client,
  transaction: Transaction,
  server: number,
  parser: RespRequestParser,
  buf: Uint8Array,
): void {
  const isSplit = client.pool.config.multi === 'split' && transaction.watchedKeys === 0 && transaction.selected < 0
  if (!isSplit) {
    refuseCrossServer(client, 'a transaction', transaction.firstKey, keyOf(redis, parser, buf))
    refuseTransaction(transaction, REFUSED_KEYS)
    return
  }
  const part = partAt(client, transaction, server)
  if (part === 0) return
  transaction.addRequest(part)
  send(client, transaction, transaction.others[part - 1], buf.subarray(parser.start, parser.end))
}

/**
 * @returns the part of the transaction at a server; 0 = there is no connection: the request is
 * postponed, or has its error.
 */
function partAt(client: Client, transaction: Transaction, server: number): number {
  const known = transaction.others.findIndex(connection => connection.server === client.pool.servers[server])
  if (known >= 0) return known + 1
  const connection = transaction.session.checkOut(server, transaction, true)
  if (connection === null) {
    if (!client.isPostponed) refuseTransaction(transaction)
    return 0
  }
  queueInternal(connection, Internal.vital, MULTI)
  transaction.others = [...transaction.others, connection]
  return transaction.others.length
}

/** The first key in `redis.positions`, or the channel of PUBLISH, as a refusal shows it. */
export function keyOf(redis: RedisPool, parser: RespRequestParser, buf: Uint8Array): string {
  const { command } = parser
  const argument = command.action === Action.pubsub ? 1 : redis.positions.args[0]
  return shownKey(buf, argStart(parser, argument), argEnd(parser, argument))
}

function keep(redis: RedisPool, client: Client, transaction: Transaction, request: Uint8Array): void {
  transaction.keptBytes += request.length
  if (transaction.keptBytes > MAX_KEPT_BYTES) {
    redis.answer(client, LONG_BEFORE_KEY)
    refuseTransaction(transaction)
    return
  }
  transaction.kept.push(Uint8Array.prototype.slice.call(request))
  transaction.addRequest(0)
  redis.answer(client, QUEUED)
}

/**
 * Sends MULTI to the server, and the requests that were kept.
 * @returns false when there is no connection: the request is postponed or answered with an error.
 */
export function begin(client: Client, transaction: Transaction, server: number): boolean {
  if (transaction.begun) return true
  if (client.pending > 0) {
    // Also after WATCH: earlier writes of the client may not have reached the server yet.
    client.postpone(true)
    return false
  }
  transaction.connection ??= transaction.session.checkOut(server, transaction)
  const { connection } = transaction
  if (connection === null) {
    if (!client.isPostponed) refuseTransaction(transaction)
    return false
  }
  transaction.begun = true
  queueInternal(connection, Internal.vital, MULTI)
  for (const request of transaction.kept) queueInternal(connection, Internal.quiet, request)
  transaction.kept = []
  return true
}

/** Sends a request whose reply goes to the client. */
function send(client: Client, transaction: Transaction, connection: ServerConnection, request: Uint8Array): void {
  if (isFull(connection, client.pool.config)) {
    answerLocally(client, client.pool.protocol.queueFull)
    refuseTransaction(transaction)
    return
  }
  forwardOn(client, connection, request)
}
