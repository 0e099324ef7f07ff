/**
 * The memcached protocol on the worker's path: each request is answered here, forwarded whole,
 * split by server, or sent to all. Data plane. What nutcracker does with each command:
 * `test/vectors/memcache-transcripts.json`; where we depart: `docs/compatibility.md`.
 *
 * A server answers every request exactly once (see `request-parser.ts`), and the request stays in
 * its client's queue until then, also one whose reply is dropped. So a reply is never paired with
 * another request, and `mn` is answered when all requests before it are, whatever their servers.
 */

import { encodeText, equalsText } from '../../bytes/ascii.ts'
import { latin1 } from '../../bytes/text.ts'
import { decodeBase64 } from '../../protocol/memcache/base64.ts'
import { binaryRefusal } from '../../protocol/memcache/binary-refusal.ts'
import { Action, type Command, Form } from '../../protocol/memcache/commands.ts'
import * as replies from '../../protocol/memcache/replies.ts'
import { ReplyKind } from '../../protocol/memcache/reply-kind.ts'
import { MemcacheReplyParser } from '../../protocol/memcache/reply-parser.ts'
import { MAX_KEY_BYTES, MemcacheRequestParser, Suppress } from '../../protocol/memcache/request-parser.ts'
import { acceptedByNutcracker } from '../../protocol/memcache/strict.ts'
import type { ReplyParser, RequestParser } from '../../protocol/parser.ts'
import { PLACEHOLDER } from '../../routing/placeholder.ts'
import { PoolStat } from '../../shared/stat-fields.ts'
import type { Client } from '../client/client.ts'
import type { ClientProtocol } from '../client/client-protocol.ts'
import { answerLocally } from '../request/delivery.ts'
import { FAILURE_TEXTS } from '../request/failure.ts'
import { type Message, MessageKind } from '../request/message.ts'
import { CloseReason } from '../request/reply-target.ts'
import type { Pool } from '../server/pool.ts'
import type { ServerConnection } from '../server/server-connection.ts'
import { type ServerProtocol, Verdict } from '../server/server-protocol.ts'
import { getsOf } from './gets.ts'
import { broadcast, forwardToAny, splitKeys } from './split.ts'
import { commandOf, noteKind, sendRequest, suppressOf, tagOf } from './tag.ts'

/** How much of a refused key is logged, as nutcracker does, bytes. */
const LOGGED_KEY_BYTES = 16

/**
 * memcached's reply to a line that it does not take for a storage command: it will read the data as
 * commands.
 */
const NOT_STORAGE = encodeText('CLIENT_ERROR bad command line format\r\n')

const VERSION = encodeText('version\r\n')

/** Decoded binary key of the current request. */
const binaryKey = new Uint8Array(MAX_KEY_BYTES)

export class MemcacheProtocol implements ClientProtocol, ServerProtocol<ServerConnection> {
  readonly failureReplies: readonly Uint8Array[] = FAILURE_TEXTS.map(replies.serverError)
  readonly tooLarge: Uint8Array = replies.TOO_LARGE
  readonly replyTooLarge: Uint8Array = replies.serverError('reply is larger than max_message_bytes')
  readonly queueFull: Uint8Array = replies.serverError('server queue is full')
  readonly tooManyClients: Uint8Array = replies.MAX_CLIENTS
  private readonly pool: Pool

  constructor(pool: Pool) {
    this.pool = pool
  }

  newRequestParser(): RequestParser {
    return new MemcacheRequestParser()
  }

  newReplyParser(): ReplyParser {
    return new MemcacheReplyParser()
  }

  /** No state of a client depends on the configuration. */
  configured(): void {}

  request(client: Client, requestParser: RequestParser, buf: Uint8Array): void {
    const parser = requestParser as MemcacheRequestParser
    const { strict } = this.pool.config
    if (strict && !acceptedByNutcracker(parser, buf)) {
      client.close(CloseReason.error)
      return
    }
    switch (parser.command.action) {
      case Action.gatherValues:
        if (parser.keyCount === 0) this.answer(client, replies.END)
        else if (parser.keyCount > 1) splitKeys(client, parser, buf)
        else if (parser.firstKey > 1 || strict) this.forward(client, parser, buf, this.serverOfKey(parser, buf))
        else this.get(client, parser, buf)
        return
      case Action.forward:
        this.forward(client, parser, buf, this.serverOfKey(parser, buf))
        return
      case Action.forwardKeyless:
        this.forwardKeyless(client, parser, buf)
        return
      case Action.barrier:
        this.answer(client, replies.NOOP)
        return
      case Action.quit:
        client.closeAfterReplies(CloseReason.eof)
        return
      default:
        broadcast(client, parser, buf)
    }
  }

  streamTarget(_client: Client, requestParser: RequestParser, buf: Uint8Array): number {
    const parser = requestParser as MemcacheRequestParser
    // Only a request that is sent unchanged: nothing is cut out of it, and nothing refused.
    if (parser.need === 0 || parser.error !== replies.RequestError.none || parser.head > 0) return -1
    if (parser.suppress !== Suppress.nothing) return -1
    if (this.pool.config.strict && !acceptedByNutcracker(parser, buf)) return -1
    return this.serverOfKey(parser, buf)
  }

  uploadTag(parser: RequestParser): number {
    return tagOf(parser as MemcacheRequestParser)
  }

  private serverOfKey(parser: MemcacheRequestParser, buf: Uint8Array): number {
    const keyStart = parser.start + parser.tokens[parser.firstKey * 2]
    const keyEnd = parser.start + parser.tokens[parser.firstKey * 2 + 1]
    if (!parser.binaryKey) return this.pool.router.route(buf, keyStart, keyEnd)
    return this.pool.router.route(binaryKey, 0, decodeBase64(buf, keyStart, keyEnd, binaryKey))
  }

  private forward(client: Client, parser: MemcacheRequestParser, buf: Uint8Array, serverIndex: number): void {
    const silent = parser.suppress === Suppress.all
    const connection = this.pool.connectionTo(client, serverIndex, silent)
    if (connection === null) return
    const message = client.messages.acquire(client, MessageKind.forward)
    message.tag = tagOf(parser)
    message.silent = silent
    client.push(message)
    sendRequest(client, parser, buf, connection, message)
  }

  /** Answers a request that needs no server. */
  private answer(client: Client, reply: Uint8Array): void {
    this.pool.row[this.pool.statBase + PoolStat.localRequests]++
    answerLocally(client, reply)
  }

  private forwardKeyless(client: Client, parser: MemcacheRequestParser, buf: Uint8Array): void {
    const { servers, router, config } = this.pool
    const server = router.route(PLACEHOLDER, 0, PLACEHOLDER.length)
    if (servers.length === 1 || config.strict) this.forward(client, parser, buf, server)
    else forwardToAny(client, parser, buf, server)
  }

  /** `get` or `gets` of one key. */
  private get(client: Client, parser: MemcacheRequestParser, buf: Uint8Array): void {
    const { start, tokens, command } = parser
    const connection = this.pool.connectionTo(client, this.serverOfKey(parser, buf))
    if (connection === null) return
    const message = client.messages.acquire(client, MessageKind.forward)
    message.tag = tagOf(parser)
    client.push(message)
    const gets = getsOf(connection)
    const keyBytes = tokens[3] - tokens[2] + 1
    connection.enqueue(message, command.bytes.length + keyBytes + 2)
    gets.begin(connection, message, command, 1, keyBytes)
    gets.add(connection, buf, start + tokens[2], start + tokens[3])
    gets.finish(connection, false)
  }

  malformed(client: Client, requestParser: RequestParser, buf: Uint8Array, start: number, end: number): number {
    const parser = requestParser as MemcacheRequestParser
    const { config, limitedLog, row, statBase } = this.pool
    const { reply, closes, reason } = replies.REFUSALS[parser.error]
    if (closes) limitedLog.notice('bad request', () => `c ${client.address} of pool '${config.name}' closed: ${reason}`)
    if (parser.error === replies.RequestError.keyTooLong) this.logLongKey(client, parser, buf)
    if (config.strict) {
      client.close(CloseReason.error)
      return -1
    }
    row[statBase + PoolStat.localRequests]++
    // An error of the client, as where nutcracker closes the connection; closing counts it too.
    if (!closes) row[statBase + PoolStat.clientErr]++
    if (parser.error === replies.RequestError.binaryProtocol) answerLocally(client, binaryRefusal(buf, start, end))
    else if (parser.error === replies.RequestError.notServed) answerLocally(client, parser.command.refusal!)
    else if (parser.suppress !== Suppress.all) answerLocally(client, reply)
    return closes ? -1 : parser.end
  }

  private logLongKey(client: Client, parser: MemcacheRequestParser, buf: Uint8Array): void {
    const { start, tokens, firstKey, keyCount } = parser
    for (let i = firstKey * 2; i < (firstKey + keyCount) * 2; i += 2) {
      const bytes = tokens[i + 1] - tokens[i]
      if (bytes <= MAX_KEY_BYTES) continue
      const prefix = latin1(buf, start + tokens[i], start + tokens[i] + LOGGED_KEY_BYTES)
      this.pool.limitedLog.alert(
        'key too long',
        () =>
          `parsed bad req of c ${client.address} with key prefix '${prefix}...' and length ${bytes} that exceeds maximum key length`,
      )
      return
    }
  }

  inspect(connection: ServerConnection, message: Message, buf: Uint8Array, start: number, end: number): number {
    const kind = (connection.input.parser as MemcacheReplyParser).kind
    const { tag } = message
    const command = commandOf(tag)
    if ((command.replies & (1 << kind)) === 0) return Verdict.broken
    if (message.keys > 0) return getsOf(connection).answer(connection, message, kind, buf, start, end)
    if (isOutOfStep(command, kind, buf, start, end)) return Verdict.broken
    noteKind(message, kind)
    const suppress = suppressOf(tag)
    if (suppress === Suppress.nothing) return Verdict.pass
    return suppress === Suppress.all || (command.quiet & (1 << kind)) !== 0 ? Verdict.drop : Verdict.pass
  }

  /** memcached's ASCII protocol has no greeting. */
  greet(): void {}

  probe(connection: ServerConnection): void {
    const message = connection.server.pool.context.messages.acquire(null, MessageKind.internal)
    connection.enqueue(message, VERSION.length)
    connection.socket.append(VERSION, 0, VERSION.length)
  }
}

/**
 * The server did not understand the request as we do, so what it says next may answer the request's
 * own data, or the next request. `ms` reads its data after any of its own errors, and only a server
 * without meta commands says `ERROR`.
 */
function isOutOfStep(command: Command, kind: number, buf: Uint8Array, start: number, end: number): boolean {
  if (command.form === Form.store || command.form === Form.storeCas) {
    return kind === ReplyKind.error || (kind === ReplyKind.clientError && equalsText(buf, start, end, NOT_STORAGE))
  }
  return command.form === Form.metaStore && kind === ReplyKind.error
}
