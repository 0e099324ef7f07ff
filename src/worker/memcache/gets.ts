/**
 * `get` and `gets` on their way: the requests of a turn that go to one server share a line, and its
 * reply is handed out by key. Data plane.
 *
 *     get a ┐                                                ┌ VALUE a … END
 *     get b ├▶ get a b c ─▶ server ─▶ VALUE a … VALUE c … END ├ END
 *     get c ┘                                                └ VALUE c … END
 *
 * memcached makes one system call for each reply (1.6.18: 3.5 µs of a core), and a whole line has
 * one reply. Only requests that follow each other are joined, so the order of requests on the
 * connection stays. A request never gets a value whose key it did not ask for: the keys are kept
 * until the reply has come, and a reply with another key closes the connection.
 */

import { CR, LF, SPACE } from '../../bytes/ascii.ts'
import { copyBytes, newWordBuffer, type WordBuffer } from '../../bytes/word-buffer.ts'
import { type Command, Form } from '../../protocol/memcache/commands.ts'
import { END } from '../../protocol/memcache/replies.ts'
import { ERROR_KINDS, ReplyKind } from '../../protocol/memcache/reply-kind.ts'
import { MAX_LINE_BYTES } from '../../protocol/memcache/request-parser.ts'
import { isValue, isValueOf, valueEnd, valueEndOf } from '../../protocol/memcache/values.ts'
import { SLAB_BYTES } from '../memory/slab.ts'
import type { Message } from '../request/message.ts'
import type { ServerConnection } from '../server/server-connection.ts'
import { Verdict } from '../server/server-protocol.ts'
import { noteKind } from './tag.ts'

/**
 * Requests for larger values get a line each, bytes: a value can go out while the next one is still
 * read.
 */
const JOINED_VALUE_BYTES = 4096
const FIRST_BYTES = 1024
const FIRST_MESSAGES = 64

/** The `get` requests of one server connection that have no answer yet. */
class GetQueue {
  /** Their keys in order, each behind a byte with its length: [head, tail) of `keys`. */
  private keys: WordBuffer = newWordBuffer(FIRST_BYTES)
  private head = 0
  private tail = 0
  /** First message of the line to which keys may still be added; null = there is none. */
  private leader: Message | null = null
  /** Where that line ends in the socket's slab. */
  private lineEnd = 0
  private lineBytes = 0
  private command: Command | null = null
  /** Running mean of a key's share of a reply, bytes. */
  private valueBytes = 0
  /** Scratch: [start, end) of each message's values, and where the values of the reply begin. */
  private parts: Int32Array = new Int32Array(FIRST_MESSAGES * 2)
  private blocks: Int32Array = new Int32Array(FIRST_MESSAGES)
  private blockCount = 0

  /** No more keys may be added to the line at the end of the output: another request follows it. */
  close(): void {
    this.leader = null
  }

  /**
   * Begins a request, on the open line or on a new one. Its keys follow by `add`, and `finish` ends
   * it.
   * @param keyBytes size of the keys with a space before each.
   */
  begin(connection: ServerConnection, message: Message, command: Command, keys: number, keyBytes: number): void {
    const { socket } = connection
    message.keys = keys
    if (
      this.leader !== null &&
      this.command === command &&
      this.lineBytes + keyBytes <= MAX_LINE_BYTES &&
      this.valueBytes <= JOINED_VALUE_BYTES &&
      socket.slab !== null &&
      socket.outLength === this.lineEnd &&
      socket.outLength + keyBytes + 1 <= SLAB_BYTES
    ) {
      // The keys replace the line end, which `finish` writes again.
      socket.outLength -= 2
      this.leader.joined++
      this.lineBytes += keyBytes
      return
    }
    this.lineBytes = command.bytes.length + keyBytes + 2
    // No keys are added to a line in two slabs, or to one with an expiry time before its keys.
    const { strict } = connection.server.pool.config
    const grows = command.form === Form.keys && this.lineBytes < MAX_LINE_BYTES && !strict
    this.leader = grows ? message : null
    this.command = command
    if (grows) socket.reserve(this.lineBytes + 1)
    socket.append(command.bytes, 0, command.bytes.length)
  }

  /** Adds the next key, [start, end) of buf. */
  add(connection: ServerConnection, buf: Uint8Array, start: number, end: number): void {
    const { socket } = connection
    const length = end - start
    const slab = socket.reserve(length + 1)
    slab[socket.outLength] = SPACE
    socket.outLength = copyBytes(buf, start, end, slab, socket.outLength + 1)
    if (this.tail + length + 1 > this.keys.length) this.makeRoom(length + 1)
    this.keys[this.tail] = length
    this.tail = copyBytes(buf, start, end, this.keys, this.tail + 1)
  }

  /** @param spaced with a space before the line end, as nutcracker writes a fragment. */
  finish(connection: ServerConnection, spaced: boolean): void {
    const { socket } = connection
    const slab = socket.reserve(3)
    let at = socket.outLength
    if (spaced) slab[at++] = SPACE
    slab[at++] = CR
    slab[at++] = LF
    socket.outLength = at
    this.lineEnd = at
  }

  private makeRoom(bytes: number): void {
    const used = this.tail - this.head
    if (used + bytes > this.keys.length / 2) {
      const bigger = newWordBuffer(this.keys.length * 2)
      this.keys.copy(bigger, 0, this.head, this.tail)
      this.keys = bigger
    } else {
      this.keys.copyWithin(0, this.head, this.tail)
    }
    this.head = 0
    this.tail = used
  }

  /**
   * Delivers a reply to the messages of its line. @param kind of the reply. @returns one of
   * `Verdict`: `pass` = the caller delivers it to the one message; `handled` = each message has had
   * its part; `broken` = the reply does not answer them.
   */
  answer(
    connection: ServerConnection,
    first: Message,
    kind: number,
    buf: Uint8Array,
    start: number,
    end: number,
  ): number {
    if (this.leader === first) this.leader = null
    const count = first.joined + 1
    if (kind > ReplyKind.end) return this.answerOther(connection, first, count, kind, buf, start, end)
    const keysStart = this.head
    if (count * 2 > this.parts.length) this.parts = new Int32Array(count * 4)
    this.blockCount = 0
    let at = start
    let message: Message | null = first
    let keys = 0
    for (let i = 0; i < count; i++) {
      const keyStart = this.head
      const next = this.take(message!, buf, at)
      this.parts[i * 2] = at
      this.parts[i * 2 + 1] = next
      if (next === at && i > 0 && message!.keys === 1) this.findEarlier(i, keyStart, buf)
      at = next
      keys += message!.keys
      message = message!.serverNext
    }
    this.valueBytes += Math.trunc(((end - start) / keys - this.valueBytes) / 8)
    if (isValue(buf, at)) return this.sortOut(connection, first, count, keysStart, buf, start)
    if (count > 1) return this.handOut(connection, count, buf)
    noteKind(first, kind)
    return Verdict.pass
  }

  /** Consumes the message's keys. @returns the index behind its values, which begin at `at`. */
  private take(message: Message, buf: Uint8Array, at: number): number {
    const { keys } = this
    let p = this.head
    let end = at
    for (let i = message.keys; i > 0; i--) {
      const keyEnd = p + 1 + keys[p]
      if (isValue(buf, end) && isValueOf(buf, end, keys, p + 1, keyEnd)) {
        if (this.blockCount === this.blocks.length) this.growBlocks()
        this.blocks[this.blockCount++] = end
        end = valueEndOf(buf, end, keyEnd - p - 1)
      }
      p = keyEnd
    }
    this.head = p
    if (p === this.tail) {
      this.head = 0
      this.tail = 0
    }
    return end
  }

  private growBlocks(): void {
    const bigger = new Int32Array(this.blocks.length * 2)
    bigger.set(this.blocks)
    this.blocks = bigger
  }

  /**
   * Where several requests of a line ask for one key, a server may send its value once: all of them
   * get it.
   */
  private findEarlier(part: number, keyStart: number, buf: Uint8Array): void {
    const { keys, blocks } = this
    for (let i = 0; i < this.blockCount; i++) {
      if (!isValueOf(buf, blocks[i], keys, keyStart + 1, keyStart + 1 + keys[keyStart])) continue
      this.parts[part * 2] = blocks[i]
      this.parts[part * 2 + 1] = valueEnd(buf, blocks[i])
      return
    }
  }

  /** Gives each message its part, and an `END` behind it. */
  private handOut(connection: ServerConnection, count: number, buf: Uint8Array): number {
    const { parts } = this
    for (let i = 0; i < count && !connection.isClosed; i++) {
      const message = connection.head!
      const from = parts[i * 2]
      const to = parts[i * 2 + 1]
      if (to === from) {
        noteKind(message, ReplyKind.end)
        connection.completeHead(Verdict.pass, END, 0, END.length, false)
        continue
      }
      noteKind(message, ReplyKind.values)
      // `END` overwrites the bytes behind the part until it is delivered: so values and `END` are
      // one piece, and need no copy.
      const byte0 = buf[to]
      const byte1 = buf[to + 1]
      const byte2 = buf[to + 2]
      const byte3 = buf[to + 3]
      const byte4 = buf[to + 4]
      copyBytes(END, 0, END.length, buf as WordBuffer, to)
      connection.completeHead(Verdict.pass, buf, from, to + END.length, false)
      buf[to] = byte0
      buf[to + 1] = byte1
      buf[to + 2] = byte2
      buf[to + 3] = byte3
      buf[to + 4] = byte4
    }
    return Verdict.handled
  }

  /**
   * The reply is no list of values. Every message gets an error; any other reply is accepted for a
   * single `get` only, as nutcracker does.
   */
  private answerOther(
    connection: ServerConnection,
    first: Message,
    count: number,
    kind: number,
    buf: Uint8Array,
    start: number,
    end: number,
  ): number {
    const isError = (ERROR_KINDS & (1 << kind)) !== 0
    if (!isError && (count > 1 || first.keys > 1)) return Verdict.broken
    let line = start
    for (let next = valueEnd(buf, line); next !== line; next = valueEnd(buf, line)) line = next
    let message: Message | null = first
    for (let i = 0; i < count; i++) {
      // Values in front of an error are dropped.
      this.take(message!, buf, line)
      noteKind(message!, kind)
      message = message!.serverNext
    }
    if (count === 1) return Verdict.pass
    for (let i = 0; i < count && !connection.isClosed; i++) {
      connection.completeHead(Verdict.pass, buf, line, end, false)
    }
    return Verdict.handled
  }

  /**
   * The values are in another order than the keys, or have other keys. No memcached sends this, so
   * speed does not matter.
   */
  private sortOut(
    connection: ServerConnection,
    first: Message,
    count: number,
    keysStart: number,
    buf: Uint8Array,
    start: number,
  ): number {
    const blocks: number[] = []
    for (let at = start, next = valueEnd(buf, at); next !== at; at = next, next = valueEnd(buf, at)) blocks.push(at)
    const parts: number[][] = []
    let p = keysStart
    let message: Message | null = first
    for (let i = 0; i < count; i++) {
      const part: number[] = []
      for (let key = message!.keys; key > 0; key--) {
        const keyEnd = p + 1 + this.keys[p]
        const found = blocks.findIndex(block => isValueOf(buf, block, this.keys, p + 1, keyEnd))
        if (found >= 0) part.push(...blocks.splice(found, 1))
        p = keyEnd
      }
      parts.push(part)
      message = message!.serverNext
    }
    if (blocks.length > 0) return Verdict.broken
    if (count === 1) {
      noteKind(first, ReplyKind.values)
      return Verdict.pass
    }
    for (let i = 0; i < count && !connection.isClosed; i++) {
      const reply = Buffer.concat([...parts[i].map(block => buf.subarray(block, valueEnd(buf, block))), END])
      noteKind(connection.head!, parts[i].length > 0 ? ReplyKind.values : ReplyKind.end)
      connection.completeHead(Verdict.pass, reply, 0, reply.length, false)
    }
    return Verdict.handled
  }
}

/** The connection's queue of `get` requests. */
export function getsOf(connection: ServerConnection): GetQueue {
  connection.protocolState ??= new GetQueue()
  return connection.protocolState as GetQueue
}
