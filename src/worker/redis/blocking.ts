/**
 * Commands that wait at the server: BLPOP and its like, XREAD with BLOCK, WAIT. Each waits on a connection of its own, so that it delays
 * nobody; when its client leaves, the connection is closed, and the server forgets it. Data plane.
 *
 * While a command waits, the pool's `timeout` begins only where the command's own ends. The client's later requests wait for it, as they
 * would at Redis.
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

/** Makes the server tell its number of the connection, unless it has. */
function identify(connection: ServerConnection): void {
  if (needsId(connection)) queueInternal(connection, Internal.id, CLIENT_ID)
}

/** By another connection: the server does not read the one that waits. @param reason TIMEOUT or ERROR. */
function unblockAtServer(waiting: ServerConnection, reason: string): void {
  withId(waiting, id => {
    const connection = waiting.server.connection()
    queueInternal(connection, Internal.quiet, wireRequest('CLIENT', 'UNBLOCK', String(id), reason))
  })
}

/** The connections of one command under way. */
class BlockingWait implements ConnectionUser, SessionWait {
  readonly listens = false
  readonly stateful: boolean
  readonly session: RedisSession
  /** The command's name, lower case. */
  readonly command: string
  readonly connections: ServerConnection[] = []
  /** CLIENT UNBLOCK was said. */
  private unblocked = false

  /** @param stateful true: the client's connection ends with one of them. */
  constructor(session: RedisSession, command: string, stateful: boolean) {
    this.session = session
    this.command = command.toLowerCase()
    this.stateful = stateful
  }

  /** Ends the wait, as CLIENT UNBLOCK does: each server answers the command itself, so that nothing that it has just given is lost. */
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
    // CLIENT UNBLOCK may reach the server only now: it must not meet the next client's command here.
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

  /** The client is gone. */
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

/** How long the command may wait at the server, ms: FOR_EVER, or 0 when it does not wait. */
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

/** A timeout argument; 0 is Redis's word for ever. What is no number, the server refuses at once: 1. */
function milliseconds(parser: RespRequestParser, buf: Uint8Array, argument: number, unitMs: number): number {
  const text = argText(parser, buf, argument)
  const value = Number(text) * unitMs
  if (text === '' || Number.isNaN(value) || value < 0) return 1
  if (value === 0) return FOR_EVER
  return value < 0x3fff_ffff ? Math.ceil(value) : FOR_EVER
}

/**
 * WAIT and WAITAOF at every server. What the client wrote before was answered, so a PING on the connection that then waits puts the writes
 * behind it: Redis waits for everything up to the connection's last command. The least of the answers holds for all servers.
 */
function waitEverywhere(client: Client, parser: RespRequestParser, buf: Uint8Array): void {
  if (client.pending > 0) {
    client.postpone(true)
    return
  }
  const { pool } = client
  const session = sessionOf(client)
  // WAIT takes nothing from a server: it is answered by those that are there.
  const wait = new BlockingWait(session, parser.command.name, false)
  for (const server of pool.servers) {
    // Servers that are out of the ring have none of the client's writes.
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
