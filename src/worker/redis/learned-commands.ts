/**
 * Commands that are not in the command table: those of modules and of newer servers. Data plane;
 * none of this runs before such a command comes.
 *
 *     unknown name ─▶ what the servers said known and fresh? ─ yes ─▶ its `Command` takes the place of the unknown one
 *                         └ no: COMMAND to each server, on a connection of its own; the request is parsed again once all have answered
 *
 * What a server said is valid until one of its connections is lost: it may have been restarted as
 * another version. For a name that no server knows the servers are asked again, no sooner than
 * `ASK_AGAIN_MS` after the last time: a module may have been loaded.
 */

import { STAR } from '../../bytes/ascii.ts'
import { argBytes, argText } from '../../protocol/redis/arguments.ts'
import { type CommandInfo, learnedCommand, PASSED_UNKNOWN, readCommands } from '../../protocol/redis/command-info.ts'
import { type Command, Flag, type KeySpec, UNKNOWN_COMMAND } from '../../protocol/redis/commands.ts'
import { unknownCommand, unlearnedCommand } from '../../protocol/redis/replies.ts'
import { readReply } from '../../protocol/redis/reply-value.ts'
import type { RespRequestParser } from '../../protocol/redis/request-parser.ts'
import type { Client } from '../client/client.ts'
import { MessageKind } from '../request/message.ts'
import type { Pool } from '../server/pool.ts'
import type { Server } from '../server/server.ts'
import type { ConnectionUser, ServerConnection } from '../server/server-connection.ts'
import { knownSession } from './session/session.ts'

const COMMAND = Buffer.from('*1\r\n$7\r\nCOMMAND\r\n')

/** Least time between two questions to a server that did not know a name, or did not answer, ms. */
const ASK_AGAIN_MS = 5_000
/** How long clients wait for a server's answer, ms. A later answer is still used. */
const PATIENCE_MS = 1_000
/** No server has a command with a longer name, bytes. */
const MAX_NAME_BYTES = 128
/** Redis takes these for an attack by HTTP and closes the connection, which other clients share. */
const NEVER_PASSED = new Set(['POST', 'HOST:'])

export class LearnedCommands {
  private readonly pool: Pool
  private readonly servers: WeakMap<Server, ServerCommands> = new WeakMap()
  private waiting: Client[] = []
  /**
   * Learned commands that clients have used, by name. Cleared when a server tells something new,
   * and when the number of servers changes.
   */
  private readonly met: Map<string, Command> = new Map()
  private serverCount = 0

  constructor(pool: Pool) {
    this.pool = pool
  }

  /**
   * Sets the parser's command to the one that a server has by the request's name, which is not in
   * the command table.
   * @returns false when the request is postponed until the servers have answered.
   */
  resolve(client: Client, parser: RespRequestParser, buf: Uint8Array): boolean {
    const session = knownSession(client)
    // A request with CLIENT REPLY OFF cannot be postponed. A client that is not authenticated must
    // not make the proxy ask.
    const mayAsk = client.authenticated && (session === null || session.isServed)
    const command = this.find(client, parser, buf, mayAsk)
    if (command !== null) parser.command = command
    return command !== null
  }

  /**
   * The error for a command that is not found: in Redis's words where the servers would say the
   * same.
   */
  unknown(parser: RespRequestParser, buf: Uint8Array): Uint8Array {
    if (this.pool.servers.length === 1 || this.known) return unknownCommand(parser, buf)
    return unlearnedCommand(parser, buf)
  }

  /**
   * @returns `UNKNOWN_COMMAND` when no server has it, or none has told; null when the request is
   * postponed.
   */
  private find(client: Client, parser: RespRequestParser, buf: Uint8Array, mayAsk: boolean): Command | null {
    const { argCount } = parser
    if (argBytes(parser, 0) > MAX_NAME_BYTES) return UNKNOWN_COMMAND
    const name = argText(parser, buf, 0).toUpperCase()
    if (NEVER_PASSED.has(name)) return UNKNOWN_COMMAND
    const info = this.infoOf(name)
    if (mayAsk && this.asks(info !== null)) {
      this.wait(client)
      return null
    }
    if (info === null) return this.passesOn(client) ? PASSED_UNKNOWN : UNKNOWN_COMMAND
    if (!info.container || argCount < 2 || argBytes(parser, 1) > MAX_NAME_BYTES) return this.commandOf(info)
    const subcommand = argText(parser, buf, 1).toUpperCase()
    return this.commandOf(this.infoOf(`${name}|${subcommand}`) ?? info)
  }

  /**
   * Whether the only server gets a command that it did not name. Not in MULTI: the proxy would
   * queue what the server refuses.
   */
  private passesOn(client: Client): boolean {
    if (!client.authenticated || this.pool.servers.length > 1) return false
    return !(this.known && knownSession(client)?.transaction?.open)
  }

  private commandOf(info: CommandInfo): Command {
    const servers = this.pool.servers.length
    if (servers !== this.serverCount) this.met.clear()
    this.serverCount = servers
    let command = this.met.get(info.name)
    if (command === undefined) {
      command = learnedCommand(info, servers === 1)
      this.met.set(info.name, command)
    }
    return command
  }

  /**
   * @returns true when every server has answered; false when the request is postponed until they
   * have.
   */
  ready(client: Client): boolean {
    if (!this.asks(true)) return true
    this.wait(client)
    return false
  }

  /** Some server has answered COMMAND. */
  private get known(): boolean {
    return this.pool.servers.some(server => this.of(server).commands !== null)
  }

  /**
   * Whether a pool of several servers can serve a command.
   * @param name upper case; `CONTAINER|SUBCOMMAND` for one of a container.
   */
  isServed(name: string): boolean {
    const info = this.infoOf(name)
    return info !== null && (info.container || isRoutable(info))
  }

  /**
   * What the servers say of a command; without keys where they differ about them.
   * @returns null when no server has it.
   */
  private infoOf(name: string): CommandInfo | null {
    let found: CommandInfo | null = null
    for (const server of this.pool.servers) {
      const info = this.of(server).commands?.get(name)
      if (info === undefined) continue
      if (found !== null && !sameKeys(found.keys, info.keys)) return { ...found, keys: null }
      found ??= info
    }
    return found
  }

  private of(server: Server): ServerCommands {
    let commands = this.servers.get(server)
    if (commands === undefined) {
      commands = new ServerCommands(server, this)
      this.servers.set(server, commands)
    }
    return commands
  }

  /**
   * Asks servers whose answer is missing or old.
   * @param known a server has told of the name.
   * @returns true when an answer is due.
   */
  private asks(known: boolean): boolean {
    const { nowMs } = this.pool.context.turn
    let asking = false
    for (const server of this.pool.servers) {
      const commands = this.of(server)
      if (!server.health.isEjected && commands.isDue(nowMs, known)) commands.ask(nowMs)
      if (commands.asking) asking = true
    }
    return asking
  }

  private wait(client: Client): void {
    this.waiting.push(client)
    client.postpone(false)
  }

  /**
   * A server has answered, or will not. The requests that wait are parsed again, and may wait
   * again.
   */
  answered(): void {
    this.met.clear()
    const { waiting } = this
    this.waiting = []
    for (const client of waiting) this.pool.context.resumeLater(client)
  }
}

function isRoutable(info: CommandInfo): boolean {
  return (info.flags & Flag.pubsub) === 0 && info.keys !== null && info.keys.first + info.keys.numkeys > 0
}

function sameKeys(a: KeySpec | null, b: KeySpec | null): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

/** The commands of one server, and the question for them. */
class ServerCommands implements ConnectionUser {
  readonly listens = false
  readonly stateful = false
  /** null: it has not answered. */
  commands: Map<string, CommandInfo> | null = null
  /** Clients wait for its answer. */
  asking = false
  /** The connection on which it was asked; null once it has answered. */
  private connection: ServerConnection | null = null
  private readonly server: Server
  private readonly learned: LearnedCommands
  private askedMs = Number.NEGATIVE_INFINITY
  /** `Server.losses` when it was asked. */
  private losses = -1

  constructor(server: Server, learned: LearnedCommands) {
    this.server = server
    this.learned = learned
  }

  /** @param known the name that is looked for is known. */
  isDue(nowMs: number, known: boolean): boolean {
    if (this.connection !== null) return false
    if (this.commands !== null && this.losses !== this.server.losses) return true
    return (this.commands === null || !known) && nowMs - this.askedMs >= ASK_AGAIN_MS
  }

  ask(nowMs: number): void {
    this.askedMs = nowMs
    this.losses = this.server.losses
    const connection = this.server.exclusive.checkOut(this, false)
    if (connection === null) return
    this.connection = connection
    this.asking = true
    setTimeout(this.onPatienceEnd, PATIENCE_MS)
    connection.enqueue(this.server.pool.context.messages.acquire(null, MessageKind.forward), COMMAND.length)
    connection.socket.append(COMMAND, 0, COMMAND.length)
  }

  private readonly onPatienceEnd = (): void => {
    this.server.pool.context.turn.begin()
    this.done()
  }

  /** Reads the reply before it is dropped. Replies to the greeting are no arrays. */
  takesPush(_connection: ServerConnection, buf: Uint8Array, start: number): boolean {
    if (buf[start] === STAR) this.commands = readCommands(readReply(buf, start))
    return false
  }

  connectionIdle(connection: ServerConnection): void {
    this.connection = null
    connection.server.exclusive.checkIn(connection)
    this.done()
  }

  connectionLost(): void {
    // The server may come back as another version.
    this.commands = null
    this.connection = null
    this.done()
  }

  private done(): void {
    this.asking = false
    this.learned.answered()
  }
}
