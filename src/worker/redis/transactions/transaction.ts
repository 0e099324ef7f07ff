/**
 * MULTI, EXEC, DISCARD, WATCH, UNWATCH: a transaction runs on the server of its first key, on an
 * exclusive connection. Data plane. With `multi: split`, and without WATCH, a key of another server
 * begins a MULTI there as well.
 *
 *     MULTI        PING          SET k v                GET k        EXEC
 *     +OK, ours    +QUEUED,      k's server: MULTI,     forwarded    forwarded; once answered, the connection goes back
 *                  kept          PING, SET k v
 *
 * The proxy refuses a key of another server with -CROSSSLOT, and refuses commands that need all
 * servers. As at Redis, EXEC then discards the transaction. WATCH already checks out the
 * connection: the watched keys choose the server.
 */

import { encodeText } from '../../../bytes/ascii.ts'
import { errorLine, OK } from '../../../protocol/redis/replies.ts'
import type { RespRequestParser } from '../../../protocol/redis/request-parser.ts'
import type { Client } from '../../client/client.ts'
import { answerStateLoss } from '../../request/delivery.ts'
import { executedTag } from '../databases/databases.ts'
import type { ExecPlace } from '../join/exec.ts'
import type { RedisPool } from '../redis-pool.ts'
import { Internal, queueInternal, wireRequest } from '../servers/wire-request.ts'
import { CLOSING, RETURNING, type RedisSession, sessionOf } from '../session/session.ts'
import { refuseCrossServer } from '../split/cross-server.ts'
import { NO_SERVER, serverOfKeys } from '../split/multikey.ts'
import { ownReply, sendExec } from './exec-request.ts'
import { begin, forwardOn, keyOf } from './transaction-queue.ts'
import { NONE, Transaction, transactionOf } from './transaction-state.ts'

const EMPTY = encodeText('*0\r\n')
const NESTED = errorLine('MULTI calls can not be nested')
const WATCH_INSIDE = errorLine('WATCH inside MULTI is not allowed')
const NO_EXEC = errorLine('EXEC without MULTI')
const NO_DISCARD = errorLine('DISCARD without MULTI')
const ABORTED = encodeText('-EXECABORT Transaction discarded because of previous errors.\r\n')

const DISCARD = wireRequest('DISCARD')
const UNWATCH = wireRequest('UNWATCH')

/**
 * Handles MULTI, EXEC, DISCARD, WATCH and UNWATCH. Other requests of a transaction:
 * `transaction-queue.ts`.
 */
export function transactionRequest(redis: RedisPool, client: Client, parser: RespRequestParser, buf: Uint8Array): void {
  const session = sessionOf(client)
  const transaction = transactionOf(session)
  const open = transaction?.open === true
  switch (parser.command.name) {
    case 'MULTI':
      if (open) {
        redis.answer(client, NESTED)
        return
      }
      ;(transaction ?? newTransaction(session)).open = true
      client.updateFastPath()
      redis.answer(client, OK)
      return
    case 'EXEC':
      if (open) execute(redis, client, transaction!, parser, buf)
      else redis.answer(client, NO_EXEC)
      return
    case 'DISCARD':
      if (open) discard(redis, client, transaction!, OK)
      else redis.answer(client, NO_DISCARD)
      return
    case 'WATCH':
      if (open) redis.answer(client, WATCH_INSIDE)
      else watch(redis, client, session, parser, buf)
      return
    default:
      unwatch(redis, client, session)
  }
}

function newTransaction(session: RedisSession): Transaction {
  const transaction = new Transaction(session)
  session.transaction = transaction
  return transaction
}

function execute(
  redis: RedisPool,
  client: Client,
  transaction: Transaction,
  parser: RespRequestParser,
  buf: Uint8Array,
): void {
  if (transaction.aborted) {
    discard(redis, client, transaction, ABORTED)
    return
  }
  if (transaction.places !== null && !isPrepared(transaction.places)) {
    client.postpone(false)
    return
  }
  if (transaction.connection === null && transaction.kept.length === 0) {
    redis.answer(client, transaction.places === null ? EMPTY : ownReply(transaction.places))
    end(client)
    return
  }
  if (!begin(client, transaction, redis.keylessServer)) {
    if (!client.isPostponed) end(client)
    return
  }
  if (transaction.places === null) {
    const tag = executedTag(transaction.selected)
    forwardOn(client, transaction.connection!, buf.subarray(parser.start, parser.end), tag)
  } else if (!executeParts(redis, client, transaction, transaction.places)) {
    return
  }
  giveBack(transaction)
  client.waitForReplies()
  end(client)
}

/**
 * @returns true when the proxy has its own part of EXEC's reply. Asks other workers for what is
 * missing.
 */
function isPrepared(places: readonly ExecPlace[]): boolean {
  let prepared = true
  for (const place of places) if (typeof place !== 'number' && !place.prepare()) prepared = false
  return prepared
}

/** @returns false when EXEC is postponed, or the transaction is discarded. */
function executeParts(
  redis: RedisPool,
  client: Client,
  transaction: Transaction,
  places: readonly ExecPlace[],
): boolean {
  if (transaction.others.length > 0) {
    if (client.pending > 0) {
      // A server that refused a request discards its part, and then no other server may run its
      // own.
      client.postpone(true)
      return false
    }
    if (transaction.refusedByServer) {
      discard(redis, client, transaction, ABORTED)
      return false
    }
  }
  sendExec(client, [transaction.connection!, ...transaction.others], places, executedTag(transaction.selected))
  return true
}

/** Discards the transaction at the servers, and answers. */
function discard(redis: RedisPool, client: Client, transaction: Transaction, reply: Uint8Array): void {
  const { connection, others } = transaction
  if (connection !== null) {
    queueInternal(connection, Internal.vital, transaction.begun ? DISCARD : UNWATCH)
    for (const other of others) queueInternal(other, Internal.vital, DISCARD)
    giveBack(transaction)
  }
  redis.answer(client, reply)
  end(client)
}

/**
 * Gives the connections to `RETURNING` or `CLOSING`, which check them in or close them after the
 * last reply.
 */
function giveBack(transaction: Transaction): void {
  // SELECT may fail within EXEC, so the proxy does not know the connection's database: no other
  // client may get it.
  transaction.connection!.user = transaction.selected < 0 ? RETURNING : CLOSING
  transaction.connection = null
  for (const other of transaction.others) other.user = RETURNING
  transaction.others = NONE
}

function end(client: Client): void {
  sessionOf(client).transaction = null
  client.updateFastPath()
}

function watch(
  redis: RedisPool,
  client: Client,
  session: RedisSession,
  parser: RespRequestParser,
  buf: Uint8Array,
): void {
  const { start, end: requestEnd } = parser
  if (client.pending > 0) {
    // Earlier writes of the client itself must not count as changes of the watched keys.
    client.postpone(true)
    return
  }
  redis.positions.find(parser, buf)
  const server = serverOfKeys(client, parser, buf, answerStateLoss)
  if (server === NO_SERVER) return
  const transaction = transactionOf(session) ?? newTransaction(session)
  if (transaction.connection === null) {
    transaction.connection = session.checkOut(server, transaction)
    if (transaction.connection === null) {
      if (!transaction.aborted) session.transaction = null
      return
    }
  } else if (transaction.connection.server !== client.pool.servers[server]) {
    refuseCrossServer(client, 'WATCH', transaction.firstKey, keyOf(redis, parser, buf))
    return
  }
  if (transaction.firstKey === '') transaction.firstKey = keyOf(redis, parser, buf)
  transaction.watchedKeys += redis.positions.count
  forwardOn(client, transaction.connection, buf.subarray(start, requestEnd))
  client.waitForReplies()
}

function unwatch(redis: RedisPool, client: Client, session: RedisSession): void {
  const transaction = transactionOf(session)
  if (transaction === null) {
    redis.answer(client, OK)
    return
  }
  const { connection } = transaction
  session.transaction = null
  if (connection === null) {
    redis.answer(client, OK)
    return
  }
  forwardOn(client, connection, UNWATCH)
  giveBack(transaction)
  client.waitForReplies()
}
