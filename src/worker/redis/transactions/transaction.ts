/**
 * MULTI, EXEC, DISCARD, WATCH, UNWATCH: a transaction runs on one server, that of its first key, on a connection of its own. Data plane.
 * With `multi: split`, and without WATCH, keys of further servers begin a MULTI there as well.
 *
 *     MULTI        PING          SET k v                GET k        EXEC
 *     +OK, ours    +QUEUED,      k's server: MULTI,     forwarded    forwarded; once answered, the connection goes back
 *                  kept          PING, SET k v
 *
 * A key of another server is refused with -CROSSSLOT, and so is, with an error, what one server cannot answer for all; as with Redis
 * itself, EXEC then discards the transaction. WATCH takes the connection already, and the watched keys decide the server.
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

/** MULTI, EXEC, DISCARD, WATCH, UNWATCH, and within a transaction nothing else comes here. */
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

/** Whether everything is known that the proxy itself answers. */
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
      // A server that has refused a request runs nothing: then no other may run its part.
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

/** Runs nothing. */
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

/** The connections go back once what was sent is answered. */
function giveBack(transaction: Transaction): void {
  // SELECT may have failed in EXEC: no other client must get the connection in a database that the proxy does not know.
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
    // What the client wrote before must not count as a change.
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
