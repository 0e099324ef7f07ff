/**
 * One request to all servers of a pool, and the joiners that make one reply of theirs. Data plane, for rare requests. What MGET and its like
 * need is in `split.ts`.
 */

import { encodeText, equalsText, MINUS } from '../../../bytes/ascii.ts'
import { argText } from '../../../protocol/redis/arguments.ts'
import { type ReplyValue, readReply } from '../../../protocol/redis/reply-value.ts'
import { ReplyWriter } from '../../../protocol/redis/reply-writer.ts'
import type { RespRequestParser } from '../../../protocol/redis/request-parser.ts'
import { type AnyServerRequest, askAnyServer } from '../../client/any-server.ts'
import type { Client } from '../../client/client.ts'
import { answerFailure, closeSplit } from '../../request/delivery.ts'
import { Failure } from '../../request/failure.ts'
import { FanOut } from '../../request/fan-out.ts'
import type { Message } from '../../request/message.ts'
import { type Joiner, SplitRequest } from '../../request/split-request.ts'
import type { Pool } from '../../server/pool.ts'

/** Which servers are asked: those whose keys the pool shows at the moment, or all, ejected ones included. */
export const Reach = { live: 0, all: 1 } as const

/** Sends the request at hand, as it is, to every server. */
export function broadcast(
  client: Client,
  parser: RespRequestParser,
  buf: Uint8Array,
  joiner: Joiner,
  reach: number,
): void {
  broadcastBytes(client, buf.subarray(parser.start, parser.end), joiner, reach)
}

/** Sends `request` to every server. */
export function broadcastBytes(client: Client, request: Uint8Array, joiner: Joiner, reach: number): void {
  const servers = reached(client.pool, reach)
  sendFragments(
    client,
    servers,
    servers.map(() => request),
    joiner,
  )
}

function reached(pool: Pool, reach: number): number[] {
  const servers: number[] = []
  for (let i = 0; i < pool.servers.length; i++) {
    if (reach === Reach.all || pool.config.ejectKeepRing || !pool.servers[i].ejected) servers.push(i)
  }
  return servers
}

/**
 * Sends `requests[i]` to server `servers[i]`, each as one fragment of the client's request. Several may go to one server.
 * `SplitRequest.serverOfFragment` is the array `servers`, to which a joiner that adds fragments appends.
 */
export function sendFragments(
  client: Client,
  servers: readonly number[],
  requests: readonly Uint8Array[],
  joiner: Joiner,
): void {
  const { pool } = client
  if (servers.length === 0) {
    answerFailure(client, Failure.refused)
    return
  }
  const split = joiner.partial ? new FanOut(client, joiner, pool.context.turn) : new SplitRequest(client, joiner)
  split.serverOfFragment = servers
  for (const [i, server] of servers.entries()) sendOne(pool, split.addFragment(), server, requests[i])
  closeSplit(split)
}

/** Sends a fragment, or fails it where its server takes none. */
export function sendOne(pool: Pool, fragment: Message, server: number, request: Uint8Array): void {
  const connection = pool.connectionForFragment(fragment, server)
  if (connection === null) return
  connection.enqueue(fragment, request.length)
  connection.socket.append(request, 0, request.length)
}

/** The arguments of a rare request, the command's name first, one char a byte. */
export function argumentTexts(parser: RespRequestParser, buf: Uint8Array): string[] {
  const { argCount } = parser
  return Array.from({ length: argCount }, (_, i) => argText(parser, buf, i))
}

/** A server's reply is none to this request: that fails, as with a server that is broken. @returns what `Joiner.accept` returns then. */
export function refuseReply(split: SplitRequest): true {
  split.fail(Failure.invalid)
  return true
}

/** A reply of a request to all servers: the others need not be waited for much longer. */
export function noteAnswer(split: SplitRequest): void {
  if (split instanceof FanOut) split.answered()
}

/**
 * Reads every server's reply. One instance a request.
 * @param partial true: what cannot answer is left out, and an error is the client's reply only where no server did better. false: any
 * failure is the client's reply.
 */
export abstract class CollectingJoiner implements Joiner {
  readonly partial: boolean
  readonly closesWhenStrict = false
  /** By fragment; those of servers without an answer are missing. */
  private readonly byFragment: (ReplyValue | undefined)[] = []

  constructor(partial = false) {
    this.partial = partial
  }

  accept(split: SplitRequest, fragment: Message, buf: Uint8Array, start: number, _end: number): boolean {
    if (buf[start] === MINUS) return false
    const reply = readReply(buf, start)
    if (!this.fits(reply)) return refuseReply(split)
    this.keep(split, fragment, reply)
    return true
  }

  protected keep(split: SplitRequest, fragment: Message, reply: ReplyValue): void {
    this.byFragment[fragment.fragmentIndex] = reply
    noteAnswer(split)
  }

  /** Replies of the servers that answered, in the order of the fragments. */
  protected get replies(): ReplyValue[] {
    return this.byFragment.filter(reply => reply !== undefined)
  }

  /** Reply to one fragment. */
  protected replyOf(fragmentIndex: number): ReplyValue | undefined {
    return this.byFragment[fragmentIndex]
  }

  write(split: SplitRequest, client: Client): void {
    const writer = new ReplyWriter(client.resp3)
    this.join(writer, split, client)
    const bytes = writer.bytes()
    client.socket.append(bytes, 0, bytes.length)
  }

  /** Whether a reply has the shape that `join` reads. */
  protected abstract fits(reply: ReplyValue): boolean

  /** Writes the one reply. */
  protected abstract join(writer: ReplyWriter, split: SplitRequest, client: Client): void
}

/** A request without a key that any server can answer, with the same answer. */
export function forwardToAny(client: Client, parser: RespRequestParser, buf: Uint8Array, preferred: number): void {
  const request = Uint8Array.prototype.slice.call(buf, parser.start, parser.end)
  askAnyServer(client, preferred, firstJoiner, (connection, fragment) => {
    connection.enqueue(fragment, request.length)
    connection.socket.append(request, 0, request.length)
  })
}

/** The first reply of a server that is ready to serve. */
const firstJoiner: Joiner = {
  partial: false,
  closesWhenStrict: false,
  accept(split, fragment, buf, start, end) {
    const any = split as AnyServerRequest
    if (cannotServe(buf, start) && any.askNext()) return true
    fragment.keepReply(buf, start, end)
    any.answered()
    return true
  },
  write(split, client) {
    const answered = split.fragments.find(fragment => fragment.reply !== null)!
    client.socket.append(answered.reply!, answered.replyStart, answered.replyEnd)
    client.noteReply(split.heldBytes)
  },
}

const CANNOT_SERVE = ['-LOADING ', '-BUSY ', '-MASTERDOWN '].map(encodeText)

/** Whether an error reply says that the server cannot serve now: it has not looked at the request. */
export function cannotServe(buf: Uint8Array, start: number): boolean {
  return CANNOT_SERVE.some(word => equalsText(buf, start, start + word.length, word))
}

/** All servers did the same: the first one's reply. */
export class SameJoiner implements Joiner {
  readonly partial = false
  readonly closesWhenStrict = false
  private reply: Uint8Array | null = null

  accept(_group: SplitRequest, _fragment: Message, buf: Uint8Array, start: number, end: number): boolean {
    if (buf[start] === MINUS) return false
    this.reply ??= Uint8Array.prototype.slice.call(buf, start, end)
    return true
  }

  write(_group: SplitRequest, client: Client): void {
    client.socket.append(this.reply!, 0, this.reply!.length)
  }
}

/** What only some servers had to do (SCRIPT KILL): done if any did it, else the first one's error. */
export class AnyJoiner implements Joiner {
  readonly partial = true
  readonly closesWhenStrict = false
  private done: Uint8Array | null = null

  accept(split: SplitRequest, _fragment: Message, buf: Uint8Array, start: number, end: number): boolean {
    const reply = Uint8Array.prototype.slice.call(buf, start, end)
    if (buf[start] === MINUS) {
      split.errorReply ??= reply
      return false
    }
    this.done ??= reply
    noteAnswer(split)
    return true
  }

  write(_group: SplitRequest, client: Client): void {
    client.socket.append(this.done!, 0, this.done!.length)
  }
}

/** Integers, or arrays of them: the least of each place. LASTSAVE; SCRIPT EXISTS, where a script must be on every server. */
export class LeastJoiner extends CollectingJoiner {
  /** Numbers in a reply; -1 = one that is no array. */
  private shape: number | null = null

  /** All replies have as many numbers. */
  protected override fits(reply: ReplyValue): boolean {
    const numbers = Array.isArray(reply) ? reply : [reply]
    const shape = Array.isArray(reply) ? reply.length : -1
    this.shape ??= shape
    return shape === this.shape && numbers.every(each => typeof each === 'number')
  }

  protected override join(writer: ReplyWriter): void {
    const { replies } = this
    const numbers = replies.map(reply => (Array.isArray(reply) ? reply : [reply]) as number[])
    if (Array.isArray(replies[0])) writer.array(numbers[0].length)
    for (let i = 0; i < numbers[0].length; i++) {
      writer.integer(numbers.reduce((least, each) => Math.min(least, each[i]), Number.POSITIVE_INFINITY))
    }
  }
}
