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
import type { RedisProtocol } from '../redis-protocol.ts'
import { Internal, queueInternal, wireRequest } from '../servers/wire-request.ts'
import { CLOSING, RETURNING, type RedisSession, sessionOf } from '../session/session.ts'
import { refuseCrossServer } from '../split/cross-server.ts'
import { NO_SERVER, serverOfKeys } from '../split/multikey.ts'
import { ownReply, sendExec } from './exec-request.ts'
import { begin, forwardOn, keyOf } from './transaction-queue.ts'
import { NONE, Transaction } from './transaction-state.ts'

const EMPTY = encodeText('*0\r\n')
const NESTED = errorLine('MULTI calls can not be nested')
const WATCH_INSIDE = errorLine('WATCH inside MULTI is not allowed')
const NO_EXEC = errorLine('EXEC without MULTI')
const NO_DISCARD = errorLine('DISCARD without MULTI')
const ABORTED = encodeText('-EXECABORT Transaction discarded because of previous errors.\r\n')

const DISCARD = wireRequest('DISCARD')
const UNWATCH = wireRequest('UNWATCH')

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
      client.updateFastPath()
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
  if (transaction.places !== null && !isPrepared(transaction.places)) {
    client.postpone(false)
    return
  }
  if (transaction.connection === null && transaction.kept.length === 0) {
    protocol.answer(client, transaction.places === null ? EMPTY : ownReply(transaction.places))
    end(client)
    return
  }
  if (!begin(client, transaction, protocol.keylessServer)) {
    if (!client.isPostponed) end(client)
    return
  }
  if (transaction.places === null) {
    const tag = executedTag(transaction.selected)
    forwardOn(client, transaction.connection!, buf.subarray(parser.start, parser.end), tag)
  } else if (!executeParts(protocol, client, transaction, transaction.places)) {
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
  protocol: RedisProtocol,
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
      discard(protocol, client, transaction, ABORTED)
      return false
    }
  }
  sendExec(client, [transaction.connection!, ...transaction.others], places, executedTag(transaction.selected))
  return true
}

/** Runs nothing. */
function discard(protocol: RedisProtocol, client: Client, transaction: Transaction, reply: Uint8Array): void {
  const { connection, others } = transaction
  if (connection !== null) {
    queueInternal(connection, Internal.vital, transaction.begun ? DISCARD : UNWATCH)
    for (const other of others) queueInternal(other, Internal.vital, DISCARD)
    giveBack(transaction)
  }
  protocol.answer(client, reply)
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
  protocol: RedisProtocol,
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
  protocol.positions.find(parser, buf)
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
    refuseCrossServer(client, 'WATCH', transaction.firstKey, keyOf(protocol, parser, buf))
    return
  }
  if (transaction.firstKey === '') transaction.firstKey = keyOf(protocol, parser, buf)
  transaction.watchedKeys += protocol.positions.count
  forwardOn(client, transaction.connection, buf.subarray(start, requestEnd))
  client.waitForReplies()
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
  client.waitForReplies()
}
