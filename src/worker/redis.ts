/**
 * The Redis protocol on the worker's path: each request is answered here, forwarded whole, or split by server. Data plane.
 * What nutcracker does with each command: `test/vectors/redis-commands.json`; where we depart: `docs/compatibility.md`.
 */

import { encodeText, NINE, ZERO } from '../protocol/bytes.ts'
import { Action, type Command } from '../protocol/resp/commands.ts'
import { splitInline } from '../protocol/resp/inline.ts'
import * as replies from '../protocol/resp/replies.ts'
import { RespReplyParser } from '../protocol/resp/reply-parser.ts'
import { RespRequestParser } from '../protocol/resp/request-parser.ts'
import { Parsed } from '../protocol/result.ts'
import { PoolStat } from '../stats/fields.ts'
import { type Client, CloseReason } from './client.ts'
import { answerLocally } from './delivery.ts'
import { FAILURE_TEXTS } from './errno.ts'
import { type Message, MessageKind, takeMessage } from './message.ts'
import type { Pool } from './pool.ts'
import { type Protocol, type ReplyParser, type RequestParser, Verdict } from './protocol.ts'
import { gatherJoiner, splitKeys, statusJoiner, sumJoiner } from './redis-fragment.ts'
import type { ServerConnection } from './server-connection.ts'

/** nutcracker's longest routing key: an mbuf less its header (48 bytes) and one. */
const MBUF_OVERHEAD_BYTES = 49

/** Key of commands that have none, as nutcracker routes them. */
const PLACEHOLDER = encodeText('placeholder')

function internalCommand(name: string, argument: string): Uint8Array {
  return encodeText(`*2\r\n$${name.length}\r\n${name}\r\n$${argument.length}\r\n${argument}\r\n`)
}

/** Tags of the proxy's own requests. */
const Internal = { auth: 1, select: 2 } as const

export class RedisProtocol implements Protocol {
  readonly failureReplies: readonly Uint8Array[] = FAILURE_TEXTS.map(replies.errorLine)
  readonly tooLarge: Uint8Array = replies.errorLine('Protocol error: request is larger than max_message_bytes')
  readonly queueFull: Uint8Array = replies.QUEUE_FULL
  readonly tooManyClients: Uint8Array = replies.errorLine('max number of clients reached')
  private readonly pool: Pool
  /** Takes the rewritten form of inline requests apart. */
  private readonly inlineParser = new RespRequestParser()

  constructor(pool: Pool) {
    this.pool = pool
  }

  newRequestParser(): RequestParser {
    return new RespRequestParser()
  }

  newReplyParser(): ReplyParser {
    return new RespReplyParser()
  }

  request(client: Client, requestParser: RequestParser, buf: Uint8Array): void {
    const parser = requestParser as RespRequestParser
    if (parser.inline) {
      this.inlineRequest(client, parser, buf)
      return
    }
    // Redis reads over an empty frame.
    if (parser.argCount === 0) return
    const command = parser.command
    if (command.action === Action.forward && client.authenticated) {
      if (parser.argCount > command.key && (!this.pool.config.strict || fits(command, parser.argCount - 1))) {
        this.forward(client, parser, buf, command.key)
        return
      }
    }
    this.otherRequest(client, parser, buf, command)
  }

  streamTarget(client: Client, requestParser: RequestParser, buf: Uint8Array): number {
    const parser = requestParser as RespRequestParser
    const { command, wholeArgs, args, start } = parser
    if (wholeArgs < 2 || command.action !== Action.forward || wholeArgs <= command.key || !client.authenticated)
      return -1
    if (this.pool.config.strict && !fits(command, parser.argCount - 1)) return -1
    const keyStart = start + args[command.key * 2]
    const keyEnd = start + args[command.key * 2 + 1]
    return keyEnd - keyStart > this.longestKey ? -1 : this.pool.router.route(buf, keyStart, keyEnd)
  }

  uploadTag(): number {
    return 0
  }

  private otherRequest(client: Client, parser: RespRequestParser, buf: Uint8Array, command: Command): void {
    const { strict } = this.pool.config
    const args = parser.argCount - 1
    if (command.action === Action.refuse || !fits(command, args)) {
      this.refuse(client, parser, buf, command)
      return
    }
    if (command.action === Action.quit) {
      if (!strict) answerLocally(client, replies.OK)
      client.closeAfterReplies(CloseReason.eof)
      return
    }
    if (command.action === Action.auth) {
      this.authenticate(client, parser, buf)
      return
    }
    const mayAsk = client.authenticated || (this.pool.config.pingBeforeAuth && command.action === Action.ping)
    if (!mayAsk) {
      answerLocally(client, replies.NOAUTH)
      return
    }
    switch (command.action) {
      case Action.ping:
        this.pool.row[this.pool.statBase + PoolStat.localRequests]++
        answerLocally(client, replies.PONG)
        return
      case Action.select:
        this.select(client, parser, buf)
        return
      case Action.sumKeys:
        if (args === 1 || (strict && command.name === 'EXISTS')) this.forward(client, parser, buf, 1)
        else splitKeys(client, parser, buf, 1, sumJoiner)
        return
      case Action.gatherKeys:
        if (args === 1) this.forward(client, parser, buf, 1)
        else splitKeys(client, parser, buf, 1, gatherJoiner)
        return
      case Action.splitPairs:
        if (args % 2 !== 0) this.refuse(client, parser, buf, command)
        else if (args === 2) this.forward(client, parser, buf, 1)
        else splitKeys(client, parser, buf, 2, statusJoiner)
        return
      case Action.forwardScript:
        if (this.isKeyCount(client, parser, buf)) this.forward(client, parser, buf, command.key)
        return
      case Action.forwardKeyless:
        this.forwardTo(client, parser, buf, this.pool.router.route(PLACEHOLDER, 0, PLACEHOLDER.length))
        return
      default:
        // Action.forward with a wrong number of arguments was refused above, or is strict.
        this.refuse(client, parser, buf, command)
    }
  }

  private forward(client: Client, parser: RespRequestParser, buf: Uint8Array, key: number): void {
    const keyStart = parser.start + parser.args[key * 2]
    const keyEnd = parser.start + parser.args[key * 2 + 1]
    if (keyEnd - keyStart > this.longestKey) {
      this.refuseKey(client, keyEnd - keyStart)
      return
    }
    this.forwardTo(client, parser, buf, this.pool.router.route(buf, keyStart, keyEnd))
  }

  private forwardTo(client: Client, parser: RespRequestParser, buf: Uint8Array, serverIndex: number): void {
    const connection = this.pool.connectionTo(client, serverIndex)
    if (connection === null) return
    const message = takeMessage(client, MessageKind.forward)
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
    this.pool.context.log.alert(
      `parsed bad req of c ${client.address} with key length ${bytes} that greater than or equal to maximum redis key length of ${this.longestKey + 1}`,
    )
    if (this.pool.config.strict) client.close(CloseReason.error)
    else answerLocally(client, replies.keyTooLong(bytes, this.longestKey))
  }

  private refuse(client: Client, parser: RespRequestParser, buf: Uint8Array, command: Command): void {
    const { start, args, argCount } = parser
    if (command.action === Action.refuse) {
      const name = Buffer.from(buf.buffer, buf.byteOffset + start + args[0], Math.min(args[1] - args[0], 128))
      this.pool.context.log.alert(`parsed unsupported command '${name.toString('latin1')}' of c ${client.address}`)
    }
    if (this.pool.config.strict) {
      client.close(CloseReason.error)
      return
    }
    this.pool.row[this.pool.statBase + PoolStat.localRequests]++
    if (!client.authenticated) answerLocally(client, replies.NOAUTH)
    else if (command.action === Action.refuse) answerLocally(client, replies.unknownCommand(buf, start, args, argCount))
    else answerLocally(client, replies.wrongArguments(command.name))
  }

  private authenticate(client: Client, parser: RespRequestParser, buf: Uint8Array): void {
    const password = this.pool.config.redisAuth
    if (password === '') {
      answerLocally(client, replies.NO_PASSWORD_SET)
      return
    }
    client.authenticated = this.sameText(parser, buf, 1, password)
    answerLocally(client, client.authenticated ? replies.OK : replies.INVALID_PASSWORD)
  }

  private sameText(parser: RespRequestParser, buf: Uint8Array, argument: number, text: string): boolean {
    const start = parser.start + parser.args[argument * 2]
    const length = parser.args[argument * 2 + 1] - parser.args[argument * 2]
    let difference = length ^ text.length
    for (let i = 0; i < length; i++) difference |= buf[start + i] ^ text.charCodeAt(i % text.length)
    return difference === 0
  }

  /** A pool is database 0. */
  private select(client: Client, parser: RespRequestParser, buf: Uint8Array): void {
    if (this.pool.config.strict) {
      client.close(CloseReason.error)
      return
    }
    answerLocally(client, this.sameText(parser, buf, 1, '0') ? replies.OK : replies.DB_OUT_OF_RANGE)
  }

  /** EVAL's second argument must be a positive number, as nutcracker has it. */
  private isKeyCount(client: Client, parser: RespRequestParser, buf: Uint8Array): boolean {
    let count = 0
    const end = parser.start + parser.args[5]
    for (let i = parser.start + parser.args[4]; i < end; i++) {
      const byte = buf[i]
      if (byte < ZERO || byte > NINE) {
        count = -1
        break
      }
      count = Math.min(count * 10 + byte - ZERO, 1_000_000)
    }
    if (count > 0) return true
    if (this.pool.config.strict) client.close(CloseReason.error)
    else answerLocally(client, count < 0 ? replies.KEY_COUNT_NOT_INTEGER : replies.BAD_KEY_COUNT)
    return false
  }

  private inlineRequest(client: Client, parser: RespRequestParser, buf: Uint8Array): void {
    if (this.pool.config.strict) {
      client.close(CloseReason.error)
      return
    }
    const rewritten = splitInline(buf, parser.start, parser.end)
    if (rewritten === null) {
      answerLocally(client, replies.UNBALANCED_QUOTES)
      client.closeAfterReplies(CloseReason.error)
      return
    }
    if (this.inlineParser.parse(rewritten, 0, rewritten.length) === Parsed.complete) {
      this.request(client, this.inlineParser, rewritten)
    }
  }

  malformed(client: Client, requestParser: RequestParser): number {
    const parser = requestParser as RespRequestParser
    if (this.pool.config.strict) {
      client.close(CloseReason.error)
      return -1
    }
    this.pool.context.log.info(`protocol error of c ${client.address} of pool '${this.pool.config.name}'`)
    answerLocally(client, replies.frameError(parser.error, parser.errorByte))
    return -1
  }

  inspect(connection: ServerConnection, message: Message, buf: Uint8Array, start: number, end: number): number {
    if (message.kind === MessageKind.internal) {
      if (buf[start] === 45) this.logRefusedGreeting(connection, message.tag, buf, start, end)
      return Verdict.drop
    }
    if (!isServerDown(buf, start, end)) return Verdict.pass
    return this.pool.config.strict ? Verdict.broken : Verdict.passAndCount
  }

  private logRefusedGreeting(
    connection: ServerConnection,
    tag: number,
    buf: Uint8Array,
    start: number,
    end: number,
  ): void {
    const { config, context } = this.pool
    const text = Buffer.from(buf.subarray(start + 1, end - 2)).toString('latin1')
    const what = tag === Internal.select ? `SELECT ${config.redisDb}` : 'AUTH'
    context.log.warn(`${what} failed on ${config.name} | ${connection.server.config.name}: ${text}`)
  }

  /** AUTH, then SELECT: the other order leaves the database unselected on servers with a password. */
  greet(connection: ServerConnection): void {
    const { redisAuth, redisDb } = this.pool.config
    if (redisAuth !== '') this.queueInternal(connection, Internal.auth, internalCommand('AUTH', redisAuth))
    if (redisDb > 0) this.queueInternal(connection, Internal.select, internalCommand('SELECT', String(redisDb)))
  }

  private queueInternal(connection: ServerConnection, tag: number, bytes: Uint8Array): void {
    const message = takeMessage(null, MessageKind.internal)
    message.tag = tag
    connection.enqueue(message, bytes.length)
    connection.socket.append(bytes, 0, bytes.length)
  }
}

function fits(command: Command, args: number): boolean {
  return args >= command.min && (command.max < 0 || args <= command.max)
}

/** `-OOM`, `-BUSY` or `-LOADING` as the first word: nutcracker's transient failures. */
function isServerDown(buf: Uint8Array, start: number, end: number): boolean {
  return isWord(buf, start, end, 'OOM') || isWord(buf, start, end, 'BUSY') || isWord(buf, start, end, 'LOADING')
}

function isWord(buf: Uint8Array, start: number, end: number, word: string): boolean {
  const wordEnd = start + 1 + word.length
  if (wordEnd >= end) return false
  for (let i = 0; i < word.length; i++) if (buf[start + 1 + i] !== word.charCodeAt(i)) return false
  return buf[wordEnd] === 32 || buf[wordEnd] === 13
}
