/**
 * Commands that wait at the server: BLPOP and its like, XREAD with BLOCK, WAIT. Each waits on an
 * exclusive connection, so it delays no other client. When the client disconnects, the proxy closes
 * the connection and the server drops the command. Data plane.
 *
 * The pool's `timeout` begins where the command's own timeout ends. The client's later requests
 * wait for the reply, as at Redis.
 */

import { argIs, argText } from '../../protocol/redis/arguments.ts'
import { KeyForm } from '../../protocol/redis/commands.ts'
import type { RespRequestParser } from '../../protocol/redis/request-parser.ts'
import type { Client } from '../client/client.ts'
import { answerFailure, answerStateLoss, closeSplit } from '../request/delivery.ts'
import { Failure } from '../request/failure.ts'
import { MessageKind } from '../request/message.ts'
import { SplitRequest } from '../request/split-request.ts'
import type { ConnectionUser, ServerConnection } from '../server/server-connection.ts'
import { WaitAofJoiner, WaitJoiner } from './join/wait.ts'
import type { RedisPool } from './redis-pool.ts'
import { needsId, withId } from './servers/connection-id.ts'
import { Internal, queueInternal, wireRequest } from './servers/wire-request.ts'
import { type RedisSession, refuseConnection, type SessionWait, sessionOf } from './session/session.ts'
import { multiKeyRequest, NO_SERVER, serverOfKeys } from './split/multikey.ts'

const PING = wireRequest('PING')
const CLIENT_ID = wireRequest('CLIENT', 'ID')

/** Where a command has its timeout: argument index, negative = from the end; and its unit in ms. */
const TIMEOUTS: ReadonlyMap<string, readonly [argument: number, unitMs: number]> = new Map([
  ['BLMOVE', [-1, 1_000]],
  ['BLMPOP', [1, 1_000]],
  ['BLPOP', [-1, 1_000]],
  ['BRPOP', [-1, 1_000]],
  ['BRPOPLPUSH', [-1, 1_000]],
  ['BZMPOP', [1, 1_000]],
  ['BZPOPMAX', [-1, 1_000]],
  ['BZPOPMIN', [-1, 1_000]],
  ['WAIT', [2, 1]],
  ['WAITAOF', [3, 1]],
])

const FOR_EVER = -1

/** Asks the server for its id of the connection, unless it was asked before. */
function identify(connection: ServerConnection): void {
  if (needsId(connection)) queueInternal(connection, Internal.id, CLIENT_ID)
}

/**
 * Unblocks by another connection, because the server does not read the one that waits.
 * @param reason TIMEOUT or ERROR.
 */
function unblockAtServer(waiting: ServerConnection, reason: string): void {
  withId(waiting, id => {
    const connection = waiting.server.connection()
    queueInternal(connection, Internal.quiet, wireRequest('CLIENT', 'UNBLOCK', String(id), reason))
  })
}

/** One blocking command and the connections on which it waits. */
class BlockingWait implements ConnectionUser, SessionWait {
  readonly listens = false
  readonly stateful: boolean
  readonly session: RedisSession
  /** The command's name, lower case. */
  readonly command: string
  readonly connections: ServerConnection[] = []
  /** True after CLIENT UNBLOCK: the connections are not used again. */
  private unblocked = false

  /** @param stateful true: losing one of the connections closes the client. */
  constructor(session: RedisSession, command: string, stateful: boolean) {
    this.session = session
    this.command = command.toLowerCase()
    this.stateful = stateful
  }

  /**
   * Sends CLIENT UNBLOCK: each server answers the command itself, so an element that a server has
   * just popped still reaches the client.
   */
  unblock(withError: boolean): void {
    this.unblocked = true
    for (const connection of this.connections) unblockAtServer(connection, withError ? 'ERROR' : 'TIMEOUT')
  }

  takesPush(): boolean {
    return false
  }

  connectionIdle(connection: ServerConnection): void {
    this.drop(connection)
    if (!this.unblocked) {
      connection.server.exclusive.checkIn(connection)
      return
    }
    // CLIENT UNBLOCK may reach the server only now. It must not unblock the next client's command.
    connection.user = null
    connection.retire()
  }

  connectionLost(connection: ServerConnection): void {
    this.drop(connection)
  }

  private drop(connection: ServerConnection): void {
    const at = this.connections.indexOf(connection)
    if (at >= 0) this.connections.splice(at, 1)
    if (this.connections.length === 0 && this.session.blocking === this) this.session.blocking = null
  }

  /** Closes the connections: the servers then drop the command. */
  end(): void {
    for (const connection of this.connections.splice(0)) connection.close(Failure.closed)
  }
}

export function blockingRequest(redis: RedisPool, client: Client, parser: RespRequestParser, buf: Uint8Array): void {
  const { command, start, end } = parser
  if (command.name === 'WAIT' || command.name === 'WAITAOF') {
    waitEverywhere(client, parser, buf)
    return
  }
  const waitMs = waitOf(parser, buf)
  if (waitMs === 0) {
    // XREAD without BLOCK.
    multiKeyRequest(client, parser, buf)
    return
  }
  if (!redis.positions.find(parser, buf)) {
    redis.forwardKeyless(client, parser, buf)
    return
  }
  const server = serverOfKeys(client, parser, buf, answerStateLoss)
  if (server === NO_SERVER) return
  const session = sessionOf(client)
  const wait = new BlockingWait(session, command.name, true)
  const connection = session.checkOut(server, wait)
  if (connection === null) return
  identify(connection)
  wait.connections.push(connection)
  session.blocking = wait
  const message = client.messages.acquire(client, MessageKind.forward)
  client.push(message)
  connection.enqueue(message, end - start)
  connection.extendDeadline(waitMs)
  connection.socket.append(buf, start, end)
  client.waitForReplies()
}

/**
 * @returns how long the command may wait at the server, ms; FOR_EVER, or 0 when it does not wait.
 */
function waitOf(parser: RespRequestParser, buf: Uint8Array): number {
  const { command, argCount } = parser
  const place = TIMEOUTS.get(command.name)
  if (place !== undefined) {
    const [argument, unitMs] = place
    return milliseconds(parser, buf, argument < 0 ? argCount + argument : argument, unitMs)
  }
  // A command learned from the servers: only they know where its timeout is.
  if (command.keys.form !== KeyForm.streams) return FOR_EVER
  let arg = command.name === 'XREADGROUP' ? 4 : 1
  while (arg + 1 < argCount && !argIs(parser, buf, arg, 'STREAMS')) {
    if (argIs(parser, buf, arg, 'BLOCK')) return milliseconds(parser, buf, arg + 1, 1)
    arg += argIs(parser, buf, arg, 'NOACK') ? 1 : 2
  }
  return 0
}

/**
 * @returns a timeout argument in ms, at least 1. Redis waits for ever when it is 0, and refuses at
 * once what is no number.
 */
function milliseconds(parser: RespRequestParser, buf: Uint8Array, argument: number, unitMs: number): number {
  const text = argText(parser, buf, argument)
  const value = Number(text) * unitMs
  if (text === '' || Number.isNaN(value) || value < 0) return 1
  if (value === 0) return FOR_EVER
  return value < 0x3fff_ffff ? Math.ceil(value) : FOR_EVER
}

/**
 * WAIT and WAITAOF at every server; the least answer is the client's. Redis waits until replicas
 * have everything up to the connection's last command, so the proxy sends PING first on the
 * exclusive connection: every write of the client was answered before it.
 */
function waitEverywhere(client: Client, parser: RespRequestParser, buf: Uint8Array): void {
  if (client.pending > 0) {
    client.postpone(true)
    return
  }
  const { pool } = client
  const session = sessionOf(client)
  // WAIT pops nothing, so a lost server only leaves one answer fewer.
  const wait = new BlockingWait(session, parser.command.name, false)
  for (const server of pool.servers) {
    // Ejected servers have none of the client's writes.
    if (server.health.isEjected) continue
    const connection = server.exclusive.checkOut(wait, client.resp3)
    if (connection === null) {
      for (const taken of wait.connections.splice(0)) taken.server.exclusive.checkIn(taken)
      refuseConnection(client, server)
      return
    }
    wait.connections.push(connection)
  }
  if (wait.connections.length === 0) {
    answerFailure(client, Failure.refused)
    return
  }
  session.blocking = wait
  const split = new SplitRequest(client, parser.command.name === 'WAIT' ? new WaitJoiner() : new WaitAofJoiner())
  const waitMs = waitOf(parser, buf)
  for (const connection of [...wait.connections]) sendWait(connection, split, parser, buf, waitMs)
  closeSplit(split)
  client.waitForReplies()
}

function sendWait(
  connection: ServerConnection,
  split: SplitRequest,
  parser: RespRequestParser,
  buf: Uint8Array,
  waitMs: number,
): void {
  identify(connection)
  queueInternal(connection, Internal.vital, PING)
  connection.enqueue(split.addFragment(), parser.end - parser.start)
  connection.extendDeadline(waitMs)
  connection.socket.append(buf, parser.start, parser.end)
}
