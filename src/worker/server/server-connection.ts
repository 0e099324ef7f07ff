/**
 * One connection to a server, and the queue that pairs its replies with requests. Data plane.
 *
 *     enqueue ─▶ [ message, message, message … ] ─▶ socket          first in, first answered
 *                  └ head: the next reply is its
 *
 * A request that expired stays in the queue, with nobody waiting, so that its late reply is swallowed and the pairing holds. The connection
 * is given up when the server has said nothing since the oldest request was sent and nobody but expired requests waits on it.
 */

import { lookup } from 'node:dns'
import { isIP } from 'node:net'
import { LF, MINUS } from '../../bytes/ascii.ts'
import { latin1 } from '../../bytes/text.ts'
import { Parsed, type ReplyParser } from '../../protocol/parser.ts'
import { ServerStat } from '../../shared/stat-fields.ts'
import { OWNED_CHUNK_BYTES, Socket, type SocketOwner } from '../io/socket.ts'
import { MESSAGE_BYTES } from '../memory/lent-memory.ts'
import type { Tail } from '../memory/tail.ts'
import { deliver, deliverFailure, deliverStateLoss, emitReady, fragmentDone } from '../request/delivery.ts'
import { FAILURE_TEXTS, Failure, type FailureCode, failureOf, isRefusal } from '../request/failure.ts'
import { JoinedStream } from '../request/joined-stream.ts'
import { type Message, MessageKind } from '../request/message.ts'
import { CloseReason, type ReplyTarget } from '../request/reply-target.ts'
import { STREAM_BYTES, UPLOAD_STALL_MS } from '../request/stream-limits.ts'
import { databaseOf, speaksResp3 } from './connection-kind.ts'
import { LargePart } from './large-part.ts'
import { MAX_WAITING_REQUESTS } from './reconnection.ts'
import { ReplyRest, Rest } from './reply-rest.ts'
import type { RequestStream } from './request-stream.ts'
import type { Server } from './server.ts'
import { isLocal } from './server-health.ts'
import { Verdict } from './server-protocol.ts'
import { Tally } from './tally.ts'

/** A connection without any progress is closed after so many timeouts even where younger requests wait on it. */
const STALL_TIMEOUTS = 3

/** A client that takes a large reply slowly: its server is not read while so much waits for it. */
const PAUSE_BYTES = 1_048_576
/**
 * Others who wait behind such a reply wait for its client no longer than this in all, ms.
 * @testOnly
 */
export const SLOW_PATIENCE_MS = 1_000
/**
 * Others wait so long, for one reply in all, before it is read on and lies in memory: most clients take what they asked for at once (GET of
 * 16 MiB, 20 clients, 4 servers: 189 MB resident at the peak and 12.5 ms of CPU each without, 92 and 9.3 with).
 * @testOnly
 */
export const GRACE_MS = 100

/** No deadline, in a steady representation: 12 days. */
const NEVER_MS = 0x3fff_ffff

/** Who has a connection to itself for a while: a client's transaction, its blocking command, its subscriptions. See `exclusive-connections.ts`. */
export interface ConnectionUser {
  /** What comes may be no reply: messages of channels. */
  readonly listens: boolean
  /** The server keeps state of the user's client on it: the client's connection ends with it. */
  readonly stateful: boolean
  /**
   * A reply or push [start, end) of buf, before it is paired with a request.
   * @returns true when it was the user's: nothing in the queue awaits it.
   */
  takesPush(connection: ServerConnection, buf: Uint8Array, start: number, end: number): boolean
  /** Every request on it is answered. */
  connectionIdle(connection: ServerConnection): void
  /** It is closed, and every request on it has failed. */
  connectionLost(connection: ServerConnection): void
}

/** @testOnly */
export const ConnectionPhase = { connecting: 0, up: 1, closed: 2 } as const

export class ServerConnection implements SocketOwner {
  readonly server: Server
  readonly socket: Socket
  phase: number = ConnectionPhase.connecting
  head: Message | null = null
  private last: Message | null = null
  /** Requests in the queue, and what was sent and answered: what the statistics show. */
  private readonly tally: Tally
  /** Expired requests in the queue. */
  private expiredRequests = 0
  private connectDeadlineMs = 0
  /** `Turn.nowMs` from which on it has waited for its server; -1 = it does not. */
  private waitingSinceMs = -1
  /** When the server last said something, or a request was sent to an idle connection. */
  private progressMs = 0
  private stallCounted = false
  private retired = false
  /** Carries one large request at a time. */
  private readonly bulk: boolean
  /** What it was opened for, see `connection-kind.ts`. */
  readonly kind: number
  /** Greets with HELLO 3: for clients that speak RESP3. */
  readonly resp3: boolean
  /** The database that it is in once all that it has been sent is answered. Changes only while one client has it to itself. */
  database: number
  /** Written as soon as the connection is up, while all else waits for the answer, see `Socket.writeAhead`. null = nothing. */
  greeting: Uint8Array | null = null
  /** null: it is shared, or idle among the held ones. */
  user: ConnectionUser | null
  /** The request that is being sent. */
  upload: RequestStream | null = null
  /** Bytes still to come of a large reply that goes to its client piece by piece; its message heads the queue. */
  private streamLeft = 0
  /** A large reply to a fragment that goes to its client by way of the other fragments' values; the fragment heads the queue. */
  private part: LargePart | null = null
  /** A large list that goes to its client piece by piece; its message heads the queue. */
  private list: ReplyRest | null = null
  private listBytes = 0
  /** Not read, because the client of the large reply at the head takes it slowly, or awaits other replies first. */
  private paused = false
  /** The large reply at the head lies in the tail, as far as it is here, until its client's earlier requests are answered. */
  private awaitsTurn = false
  /**
   * How long the connection was not read for a client's sake, ms in all. Deadlines are on a clock that stands still meanwhile: `Turn.nowMs`
   * less this. While `paused` it is counted up to `unreadCountedMs`, which the coarse timer moves on.
   */
  private unreadMs = 0
  private unreadCountedMs = 0
  /** How much longer others wait for that client, ms; and until when they do, while they do. 0 = nobody waits. */
  private patienceMs = 0
  private patienceEndsMs = 0
  /** What is left of `GRACE_MS` for the reply at hand, and until when it lasts. */
  private graceMs = 0
  private graceEndsMs = 0
  /** Its last reply is at hand while `ServerProtocol.inspect` looks at it. */
  parser: ReplyParser
  /** The rest of a reply that was too large, and is answered. */
  private drop: ReplyRest | null = null
  /** What the protocol keeps of what is queued here; null until it does. */
  protocolState: object | null = null
  private tail: Tail | null = null

  constructor(server: Server, bulk: boolean, kind: number, user: ConnectionUser | null) {
    this.server = server
    this.bulk = bulk
    this.kind = kind
    this.resp3 = speaksResp3(kind)
    this.database = databaseOf(kind)
    this.user = user
    this.tally = new Tally(server)
    this.socket = new Socket(server.pool.context.turn, true)
    this.parser = server.pool.protocol.newReplyParser(this.resp3)
  }

  /** Begins to connect, or waits for a server that is lost; greets first. Failures arrive later, in a turn of their own. */
  open(): void {
    const { pool, reconnection } = this.server
    pool.context.timer.arm()
    pool.protocol.greet(this)
    if (reconnection.admits(this)) this.waitingSinceMs = pool.context.turn.nowMs
    else this.connect()
  }

  /** The server is back: what is queued goes to it. */
  connectAgain(): void {
    if (this.phase === ConnectionPhase.connecting) this.connect()
  }

  private connect(): void {
    const { config, pool } = this.server
    if (pool.config.serverConnectTimeoutMs > 0) {
      this.connectDeadlineMs = pool.context.turn.nowMs + pool.config.serverConnectTimeoutMs
    }
    if (config.path !== '') this.connectTo(config.path, 0)
    else if (isIP(config.host) !== 0) this.connectTo(config.host, config.port)
    else this.resolve()
  }

  /** In place of `open`: never connects. Requests that are queued on it in this turn fail together. */
  openRefused(failure: FailureCode): void {
    const { config, pool } = this.server
    pool.limitedLog.notice(
      'connection refused',
      () => `server '${config.pname}' of pool '${pool.config.name}': ${FAILURE_TEXTS[failure]}`,
    )
    setImmediate(() => {
      pool.context.turn.begin()
      this.close(failure)
    })
  }

  private resolve(): void {
    const { config, pool } = this.server
    lookup(config.host, (error, address) => {
      if (this.phase === ConnectionPhase.closed) return
      pool.context.turn.begin()
      if (error !== null) {
        pool.limitedLog.alert(
          'address resolution failed',
          () => `address resolution of node '${config.host}' service '${config.port}' failed: ${error.message}`,
        )
        this.fail(Failure.hostDown)
      } else {
        this.connectTo(address, config.port)
      }
    })
  }

  private connectTo(address: string, port: number): void {
    const status = this.socket.connect(address, port, this, this.onConnected)
    if (status !== 0) {
      // Told in a turn of its own: the caller is about to queue its request.
      setImmediate(() => {
        if (this.phase === ConnectionPhase.closed) return
        this.server.pool.context.turn.begin()
        this.fail(failureOf(status))
      })
    }
  }

  private readonly onConnected = (status: number): void => {
    if (status !== 0) {
      this.fail(failureOf(status))
      return
    }
    const { pool, row, statBase } = this.server
    this.phase = ConnectionPhase.up
    this.connectDeadlineMs = 0
    this.progressMs = pool.context.turn.nowMs
    if (this.waitingSinceMs >= 0) this.endWait()
    this.server.reconnection.connected(this)
    row[statBase + ServerStat.connections]++
    this.socket.setNoDelay()
    if (pool.config.serverTcpKeepalive) this.socket.setKeepAlive(pool.config.tcpKeepaliveIdleSec)
    this.tally.release()
    this.socket.readStart()
    if (this.greeting === null) return
    this.socket.writeAhead(this.greeting)
    this.greeting = null
  }

  /** Deadlines are for a server that is there: they begin now. */
  private endWait(): void {
    const { nowMs } = this.server.pool.context.turn
    const { timeoutMs } = this.server.pool.config
    const waitedMs = nowMs - this.waitingSinceMs
    this.waitingSinceMs = -1
    for (let message = this.head; message !== null; message = message.serverNext) {
      if (message.deadlineMs === NEVER_MS) continue
      // A command that blocks has its own time beside the pool's, which a connection of its own alone tells.
      if (this.user === null) message.deadlineMs = nowMs - this.unreadMs + timeoutMs
      else message.deadlineMs += waitedMs
    }
  }

  /** Waits for a server that is lost, with as many requests as may wait. */
  get isWaitingFull(): boolean {
    return this.waitingSinceMs >= 0 && this.requests >= MAX_WAITING_REQUESTS
  }

  /** Requests in the queue, expired ones not counted. */
  get requests(): number {
    return this.tally.requests
  }

  /** Adds or takes the connection and its queue to or from the server's gauges. */
  countGauges(sign: number): void {
    const { row, statBase } = this.server
    if (this.phase === ConnectionPhase.up) row[statBase + ServerStat.connections] += sign
    this.tally.count(sign)
  }

  get isUp(): boolean {
    return this.phase === ConnectionPhase.up
  }

  get isClosed(): boolean {
    return this.phase === ConnectionPhase.closed
  }

  /** How long the server has said nothing, ms. */
  silentMs(nowMs: number): number {
    return nowMs - this.progressMs
  }

  /** Takes no more requests; closes when the last one is answered. */
  retire(): void {
    this.retired = true
    if (this.head === null) this.close(Failure.closed)
  }

  /**
   * Queues a message whose bytes the caller appends to `socket` right afterwards.
   * @param bytes size of the request on the wire.
   */
  enqueue(message: Message, bytes: number): void {
    const { pool } = this.server
    message.requestBytes = bytes
    message.queued = true
    const timeoutMs = pool.config.timeoutMs
    if (timeoutMs > 0) {
      message.deadlineMs = pool.context.turn.nowMs - this.unreadMs + timeoutMs
      pool.context.timer.arm()
    } else {
      // A reload may bring a timeout: it is for requests that come after it.
      message.deadlineMs = NEVER_MS
    }
    if (this.last === null) {
      this.head = message
      this.progressMs = pool.context.turn.nowMs
    } else {
      this.last.serverNext = message
    }
    this.last = message
    if (message.kind === MessageKind.internal) this.tally.addOwnRequest(bytes)
    else this.tally.addRequest(bytes)
  }

  /** The request that was just queued may take longer by so much, or for ever. @param ms -1 = for ever. */
  extendDeadline(ms: number): void {
    const message = this.last!
    // The clock itself passes NEVER_MS some day.
    if (ms < 0 || ms > NEVER_MS || message.deadlineMs === NEVER_MS) message.deadlineMs = NEVER_MS
    else message.deadlineMs += ms
  }

  /** Queues a request whose bytes are still arriving. */
  enqueueUpload(message: Message, bytes: number, upload: RequestStream): void {
    this.upload = upload
    this.enqueue(message, bytes)
    message.deadlineMs = NEVER_MS
  }

  /** The upload is sent whole. @param bytes its size. */
  uploaded(bytes: number): void {
    const { pool } = this.server
    this.upload = null
    // What it was greeted with may still be ahead of it.
    const message = this.last!
    this.tally.growRequest(bytes - message.requestBytes)
    message.requestBytes = bytes
    this.progressMs = pool.context.turn.nowMs
    if (pool.config.timeoutMs > 0) message.deadlineMs = this.progressMs - this.unreadMs + pool.config.timeoutMs
  }

  /** The upload's client is gone or out of step. */
  abandonUpload(): void {
    this.upload = null
    this.close(Failure.closed)
  }

  onData(buf: Uint8Array, length: number): void {
    const { maxMessageBytes } = this.server.pool.config
    if (maxMessageBytes === 0 || length <= maxMessageBytes) {
      this.take(buf, length)
      return
    }
    // In pieces, so that what is too large is met before it is whole.
    for (let at = 0; at < length && this.phase !== ConnectionPhase.closed; at += maxMessageBytes) {
      const end = Math.min(length, at + maxMessageBytes)
      this.take(buf.subarray(at, end), end - at)
    }
  }

  private take(buf: Uint8Array, length: number): void {
    this.progressMs = this.server.pool.context.turn.nowMs
    this.stallCounted = false
    let at = 0
    if (this.drop !== null) {
      at = this.drop.take(buf, 0, length)
      if (at === Rest.malformed) this.fail(Failure.invalid)
      if (at < 0) return
      this.drop = null
      if (at === length && this.head === null) this.idle()
    }
    if (this.streamLeft > 0) {
      at = this.continueReply(buf, 0, length)
      if (this.phase === ConnectionPhase.closed) return
    }
    if (this.part !== null) {
      at = this.continuePart(this.part, buf, at, length)
      if (at < 0) return
    }
    if (this.list !== null) {
      at = this.continueList(this.list, buf, at, length)
      if (at < 0) return
    }
    while (this.tail !== null && at < length) {
      at += this.tail.fill(buf, at, length, this.parser.need)
      this.parseTail()
      if (this.phase === ConnectionPhase.closed) return
    }
    if (at < length) this.parse(buf, at, length)
  }

  /** Replies in [start, end), the rest of an incomplete one goes to a tail. */
  private parse(buf: Uint8Array, start: number, end: number): void {
    const parser = this.parser
    let at = start
    while (at < end) {
      const code = parser.parse(buf, at, end)
      if (code !== Parsed.complete) {
        if (code === Parsed.error) {
          this.fail(Failure.invalid)
          return
        }
        if (this.refuses(parser.need, end - at)) {
          this.refuseRest(buf, at, end)
          return
        }
        if (parser.need >= STREAM_BYTES && parser.exact && this.beginReply(parser.need)) {
          this.continueReply(buf, at, end)
          return
        }
        if (parser.need >= STREAM_BYTES && !parser.exact) {
          const first = this.beginPart(buf, at, end)
          if (first >= 0) {
            this.continuePart(this.part!, buf, first, end)
            return
          }
          if (this.beginList(buf, at, end)) return
        }
        if (this.head === null && this.user === null) {
          // The beginning of a reply that nobody asked for: what comes next must not be taken for its end.
          this.fail(Failure.invalid)
          return
        }
        this.tail = this.socket.turn.memory.tails.acquire()
        this.tail.fill(buf, at, end, parser.need)
        return
      }
      if (!this.answer(buf, at, parser.end, false)) return
      at = parser.end
    }
    if (this.head === null) this.idle()
  }

  /** The queue is empty. */
  private idle(): void {
    if (this.retired) this.close(Failure.closed)
    else if (this.user !== null) this.user.connectionIdle(this)
    else if (this.bulk && this.phase === ConnectionPhase.up) this.server.bulkDone(this)
  }

  /**
   * A large reply of known size may go to its client piece by piece, and need not be kept where nobody waits for it any more.
   * @returns false when it must be gathered: its client awaits something else first, or it needs a look as a whole.
   */
  private beginReply(bytes: number): boolean {
    const message = this.head
    if (message === null || message.kind !== MessageKind.forward || message.tag !== 0) return false
    // A server that answers before it has the whole request is dealt with when its reply is whole.
    if (this.upload !== null) return false
    const client = receiverOf(message)
    this.patienceMs = SLOW_PATIENCE_MS
    this.graceMs = GRACE_MS
    if (client !== null && client.head !== message) {
      if (client.heldBytes + bytes > client.hardLimitBytes) {
        this.awaitsTurn = true
        this.pause(client, this.isAlone(client) && this.server.park(this))
      }
      return false
    }
    if (client !== null) {
      client.beginStream(bytes)
      this.tally.addReply(bytes)
    }
    this.parser.reset()
    this.streamLeft = bytes
    return true
  }

  /** Passes on what is there of a large reply. @returns the place after it. */
  private continueReply(buf: Uint8Array, start: number, end: number): number {
    const message = this.head!
    const client = receiverOf(message)
    const stop = end - start < this.streamLeft ? end : start + this.streamLeft
    this.streamLeft -= stop - start
    if (client !== null) client.socket.writeThrough(buf, start, stop)
    if (this.streamLeft > 0) {
      if (client !== null && client.socket.pendingBytes >= PAUSE_BYTES) this.holdBack(client)
      return stop
    }
    if (buf[stop - 1] !== LF) {
      // The reply was not what its head said; the client has it already, and cannot be told.
      client?.close(CloseReason.error)
      this.fail(Failure.invalid)
      return stop
    }
    this.finishStream(message, client)
    if (this.head === null && this.phase === ConnectionPhase.up) this.idle()
    return stop
  }

  /** All of the large reply at the head has passed. @param client null = it was dropped. */
  private finishStream(message: Message, client: ReplyTarget | null): void {
    this.unlinkHead(message)
    this.server.unpark(this)
    if (!message.expired) this.server.health.countSuccess()
    if (client !== null) {
      client.endStream()
      client.popHead()
      message.release()
      emitReady(client)
    } else if (message.client === null) {
      message.release()
    }
  }

  /**
   * A large reply to a fragment need not be gathered where its values can go out one by one.
   * @returns the place of its first value in buf, or -1 when it must be gathered.
   */
  private beginPart(buf: Uint8Array, start: number, end: number): number {
    const fragment = this.head
    const split = fragment === null ? null : fragment.split
    // A reply above `max_message_bytes` must be seen as a whole before a part of it is out.
    if (fragment === null || split === null || fragment.expired || this.server.pool.config.maxMessageBytes > 0)
      return -1
    const { streaming } = split.joiner
    if (streaming === undefined || this.user !== null || this.upload !== null || split.failed) return -1
    const first = streaming.firstValue(split, fragment, buf, start, end)
    if (first < 0) return -1
    const stream = (split.stream as JoinedStream | null) ?? new JoinedStream(split, streaming)
    split.stream = stream
    this.part = new LargePart(fragment, stream, streaming.newScanner(fragment.keys))
    this.patienceMs = SLOW_PATIENCE_MS
    this.graceMs = GRACE_MS
    this.parser.reset()
    stream.open(fragment, this)
    return first
  }

  /** The tail begins, at `start` of it, with a large reply whose size is not known yet. @returns false when it must be gathered. */
  private passTail(start: number): boolean {
    const tail = this.tail!
    const first = this.beginPart(tail.buf, start, tail.length)
    if (first < 0 && !this.beginList(tail.buf, start, tail.length)) return false
    this.tail = null
    if (first >= 0) this.continuePart(this.part!, tail.buf, first, tail.length)
    tail.release()
    return true
  }

  /**
   * A large list goes to its client piece by piece if nothing is due before it.
   * @param start where the reply begins; as much as is here of it goes out.
   * @returns false when it must be gathered.
   */
  private beginList(buf: Uint8Array, start: number, end: number): boolean {
    const message = this.head
    if (message === null || message.kind !== MessageKind.forward || message.tag !== 0) return false
    if (this.user !== null || this.upload !== null || this.server.pool.config.maxMessageBytes > 0) return false
    const client = receiverOf(message)
    if (client !== null && client.head !== message) return false
    this.patienceMs = SLOW_PATIENCE_MS
    this.graceMs = GRACE_MS
    client?.beginStream(this.parser.need)
    this.list = new ReplyRest(this.socket.turn.memory.tails, this.parser, buf, start, end)
    this.parser = this.server.pool.protocol.newReplyParser(this.resp3)
    this.listBytes = 0
    this.passList(client, buf, start, end)
    if (client !== null && client.socket.pendingBytes >= PAUSE_BYTES) this.holdBack(client)
    return true
  }

  private passList(client: ReplyTarget | null, buf: Uint8Array, start: number, end: number): void {
    this.listBytes += end - start
    if (client !== null) client.socket.writeThrough(buf, start, end)
  }

  /** Passes on what is here of a large list. @returns the place after it, or -1 when the connection is closed. */
  private continueList(list: ReplyRest, buf: Uint8Array, start: number, end: number): number {
    const message = this.head!
    const client = receiverOf(message)
    const place = list.take(buf, start, end)
    if (place === Rest.malformed || (place > 0 && buf[place - 1] !== LF)) {
      this.fail(Failure.invalid)
      return -1
    }
    const stop = place < 0 ? end : place
    this.passList(client, buf, start, stop)
    if (place < 0) {
      if (client !== null && client.socket.pendingBytes >= PAUSE_BYTES) this.holdBack(client)
      return stop
    }
    this.list = null
    if (client !== null) this.tally.addReply(this.listBytes)
    this.finishStream(message, client)
    if (this.phase === ConnectionPhase.closed) return -1
    if (this.head === null && stop === end) this.idle()
    return stop
  }

  /** Passes on what is here of a large part. @returns the place after it, or -1 when the connection is closed. */
  private continuePart(part: LargePart, buf: Uint8Array, start: number, end: number): number {
    const { fragment, stream } = part
    const stop = part.take(buf, start, end)
    if (stop < 0) this.fail(Failure.invalid)
    // A failed fragment may have closed its client, and the client other connections.
    if (this.phase === ConnectionPhase.closed) return -1
    if (!part.done) {
      const client = stream.receiver
      if (client !== null) this.pauseForTurn(part, client)
      return stop
    }
    this.part = null
    this.unlinkHead(fragment)
    this.server.unpark(this)
    this.server.health.countSuccess()
    this.tally.addReply(part.bytes)
    fragmentDone(fragment.split!)
    if (this.phase === ConnectionPhase.closed) return -1
    if (this.head === null && stop === end) this.idle()
    return stop
  }

  /** The client is slow, or other fragments' values come first: where no other client waits on this connection, the server waits. */
  private pauseForTurn({ fragment, stream }: LargePart, client: ReplyTarget): void {
    if (stream.isTurnOf(fragment)) {
      if (client.socket.pendingBytes >= PAUSE_BYTES) this.holdBack(client)
    } else if (stream.keptBytesOf(fragment) >= PAUSE_BYTES) {
      const alone = this.isAlone(client) && this.server.park(this)
      if (alone) {
        this.stopReading()
        if (fragment.serverNext !== null) client.waitForReplies()
      } else if (this.graceMs > 0) {
        this.stopReading()
        this.graceEndsMs = this.server.pool.context.turn.nowMs + this.graceMs
      }
    }
  }

  /**
   * The client does not take its large reply as fast as it comes. Where nobody else waits on this connection, it waits for the client. Else
   * it waits for a moment, and is then read on for the others, until the client has its hard limit waiting.
   */
  private holdBack(client: ReplyTarget): void {
    if (client.keepsLargeReplies && client.socket.pendingBytes < client.hardLimitBytes) return
    const alone = this.isAlone(client) && this.server.park(this)
    if (alone || client.socket.pendingBytes >= client.hardLimitBytes) {
      this.pause(client, alone)
    } else if (this.graceMs > 0) {
      this.stopReading()
      client.source = this
      this.graceEndsMs = this.server.pool.context.turn.nowMs + this.graceMs
    }
  }

  /**
   * Does not read on until the client is ready.
   * @param alone requests of others go elsewhere meanwhile, and the client may take its time; else they wait behind it, and it is closed
   * after `SLOW_PATIENCE_MS`.
   */
  private pause(client: ReplyTarget, alone: boolean): void {
    const { context } = this.server.pool
    this.stopReading()
    if (!this.awaitsTurn) client.source = this
    // What the client asks from now on would go elsewhere too, and overtake what waits here.
    if (alone && this.head!.serverNext !== null) client.waitForReplies()
    if (!alone) this.patienceEndsMs = context.turn.nowMs + this.patienceMs
    client.watchWrites()
  }

  private stopReading(): void {
    this.paused = true
    this.unreadCountedMs = this.server.pool.context.turn.nowMs
    this.socket.readStop()
  }

  private countUnread(nowMs: number): void {
    this.unreadMs += nowMs - this.unreadCountedMs
    this.unreadCountedMs = nowMs
  }

  /** Nobody but this client awaits anything on this connection. */
  private isAlone(client: ReplyTarget): boolean {
    for (let message = this.head; message !== null; message = message.serverNext) {
      const other = receiverOf(message)
      if (other !== null && other !== client) return false
    }
    return true
  }

  /** The client took what waited, or is gone, or it is this reply's turn. */
  resume(): void {
    if (!this.paused || this.phase === ConnectionPhase.closed) return
    const { nowMs } = this.server.pool.context.turn
    if (this.patienceEndsMs > 0) this.patienceMs = Math.max(0, this.patienceEndsMs - nowMs)
    this.patienceEndsMs = 0
    if (this.graceEndsMs > 0) this.graceMs = Math.max(0, this.graceEndsMs - nowMs)
    this.graceEndsMs = 0
    this.countUnread(nowMs)
    this.paused = false
    this.progressMs = nowMs
    this.socket.readStart()
    if (!this.awaitsTurn) return
    this.awaitsTurn = false
    if (this.beginReply(this.parser.need)) this.continueTail(0)
  }

  /** Passes on what the tail has of a large reply, which begins at `start` of it. */
  private continueTail(start: number): void {
    const tail = this.tail!
    this.tail = null
    this.continueReply(tail.buf, start, tail.length)
    tail.release()
  }

  /** The coarse timer's look at a client that is waited for. */
  private checkPause(nowMs: number): void {
    const client = receiverOf(this.head!)
    if (this.graceEndsMs > 0) {
      if (nowMs < this.graceEndsMs) return
      this.graceMs = 0
      this.graceEndsMs = 0
      if (client?.source === this) client.source = null
      this.resume()
      return
    }
    let ready = false
    if (this.awaitsTurn) ready = client === null || client.head === this.head
    else if (client === null) ready = true
    else if (this.patienceEndsMs > 0) ready = client.socket.unwrittenBytes * 2 <= client.hardLimitBytes
    if (ready) {
      if (client?.source === this) client.source = null
      this.resume()
    } else if (this.patienceEndsMs > 0 && nowMs >= this.patienceEndsMs) {
      client?.closeSlow(this.awaitsTurn ? this.parser.need : client.socket.unwrittenBytes)
      this.resume()
    }
  }

  /** Whether the reply at hand is larger than the pool allows. @param need bytes of it as far as they are known; @param here as they are here. */
  private refuses(need: number, here: number): boolean {
    const { maxMessageBytes } = this.server.pool.config
    if (maxMessageBytes === 0 || this.head === null || this.user?.listens) return false
    // `get` requests that share a line share its reply.
    return Math.max(need, here) > maxMessageBytes * (this.head.joined + 1)
  }

  /** The request at the head gets an error in place of the reply that begins at `start`; what is still to come of that is dropped. */
  private refuseRest(buf: Uint8Array, start: number, end: number): void {
    const { parser, server } = this
    this.drop = new ReplyRest(this.socket.turn.memory.tails, parser, buf, start, end)
    this.parser = server.pool.protocol.newReplyParser(this.resp3)
    this.refuse(Math.max(parser.need, end - start))
  }

  /** Likewise, of a reply of this size that is here. @returns false when the connection is gone. */
  private refuse(bytes: number): boolean {
    const { protocol } = this.server.pool
    const line = protocol.replyTooLarge
    this.server.countTooLarge(bytes)
    this.parser.parse(line, 0, line.length)
    return this.answer(line, 0, line.length, false)
  }

  /** Parses what the tail has; drops the tail when nothing incomplete remains. */
  private parseTail(): void {
    const tail = this.tail!
    const parser = this.parser
    let at = 0
    while (at < tail.length) {
      const code = parser.parse(tail.buf, at, tail.length)
      if (code === Parsed.error) {
        this.fail(Failure.invalid)
        return
      }
      if (code === Parsed.incomplete) {
        if (this.head === null && this.user === null) this.fail(Failure.invalid)
        else if (this.refuses(parser.need, tail.length - at)) this.refuseTail(at)
        else if (!this.paused && parser.need >= STREAM_BYTES && parser.exact && this.beginReply(parser.need))
          this.continueTail(at)
        else if (parser.need >= STREAM_BYTES && !parser.exact && this.passTail(at)) return
        else if (at > 0) tail.skip(at)
        return
      }
      // A large reply that has the buffer to itself takes it along.
      const owned = at === 0 && parser.end === tail.length && tail.length > OWNED_CHUNK_BYTES
      const { end } = parser
      const refused = this.refuses(0, end - at)
      if (!(refused ? this.refuse(end - at) : this.answer(tail.buf, at, end, owned))) return
      at = end
      if (owned) tail.detachBuffer()
    }
    this.tail = null
    tail.release()
    if (this.head === null) this.idle()
  }

  /** What the tail has from `start` on begins a reply that is too large. */
  private refuseTail(start: number): void {
    const tail = this.tail!
    this.tail = null
    this.refuseRest(tail.buf, start, tail.length)
    tail.release()
  }

  /** Pairs the reply [start, end) with the oldest request. @returns false when the connection is gone. */
  private answer(buf: Uint8Array, start: number, end: number, owned: boolean): boolean {
    if (this.user?.takesPush(this, buf, start, end)) return this.phase !== ConnectionPhase.closed
    const message = this.head
    if (message === null) {
      // A reply that nobody asked for: the pairing is lost.
      this.fail(Failure.invalid)
      return false
    }
    let verdict: number = Verdict.pass
    if (buf[start] === MINUS || message.tag !== 0) {
      verdict = this.server.pool.protocol.inspect(this, message, buf, start, end)
      if (verdict === Verdict.broken) {
        const { config, pool } = this.server
        pool.limitedLog.notice(
          'server out of step',
          () => `server ${config.pname} answered '${latin1(buf, start, end - 2)}'`,
        )
        this.fail(Failure.invalid)
        return false
      }
      if (verdict === Verdict.handled) return this.phase !== ConnectionPhase.closed
    }
    this.completeHead(verdict, buf, start, end, owned)
    // The reply may have ended its client, and the client what it held.
    return this.phase !== ConnectionPhase.closed
  }

  /** The oldest request is answered by the reply [start, end). @param verdict `pass`, `drop` or `passAndCount`. */
  completeHead(verdict: number, buf: Uint8Array, start: number, end: number, owned: boolean): void {
    const message = this.head!
    this.unlinkHead(message)
    const { server } = this
    if (this.upload !== null && message.kind !== MessageKind.internal) {
      // Answered before it was sent whole: the rest of the request must not follow.
      const { upload } = this
      this.upload = null
      this.retired = true
      upload.resume()
    }
    if (verdict === Verdict.passAndCount) server.health.countFailure('the server said so')
    // A late reply does not undo the failure that its request was.
    else if (message.kind !== MessageKind.internal && !message.expired) server.health.countSuccess()
    if (message.client === null && message.split === null) {
      message.release()
      return
    }
    if (message.expired) return
    if (verdict === Verdict.drop) {
      deliver(message, buf, start, start, false)
      return
    }
    this.tally.addReply(end - start)
    deliver(message, buf, start, end, owned)
  }

  private unlinkHead(message: Message): void {
    const next = message.serverNext
    this.head = next
    if (next === null) this.last = null
    message.serverNext = null
    message.queued = false
    if (message.expired) {
      this.expiredRequests--
      return
    }
    this.tally.removeRequest(message.requestBytes)
  }

  /** Called by the worker's coarse timer. */
  checkDeadlines(nowMs: number): void {
    if (this.waitingSinceMs >= 0 && this.socket.handle === null) return
    if (this.connectDeadlineMs > 0 && nowMs >= this.connectDeadlineMs) {
      this.fail(Failure.timedOut)
      return
    }
    const { server } = this
    const timeoutMs = server.pool.config.timeoutMs
    if (this.upload !== null) {
      this.checkUpload(this.upload, nowMs)
      return
    }
    if (this.paused) {
      this.countUnread(nowMs)
      this.checkPause(nowMs)
    }
    if (timeoutMs === 0) return
    const passing = this.passes || this.paused || this.gathersLarge
    if (passing && !this.paused && nowMs - this.progressMs >= timeoutMs) {
      this.fail(Failure.timedOut)
      return
    }
    // A reply that is passing has been in time; those behind it have deadlines of their own.
    let message = passing && this.head !== null ? this.head.serverNext : this.head
    const clockMs = nowMs - this.unreadMs
    while (message !== null && (message.expired || clockMs >= message.deadlineMs || message.deadlineMs === NEVER_MS)) {
      const next: Message | null = message.serverNext
      if (!message.expired && message.deadlineMs !== NEVER_MS) {
        this.expire(message)
        // Answering may have led to anything, the end of this connection included.
        if (this.head === null) return
      }
      message = next
    }
    if (passing) return
    const stalledMs = nowMs - this.progressMs
    if (this.expiredRequests > 0 && this.user !== null) {
      // Its user would be out of step with the server.
      this.close(Failure.timedOut)
      return
    }
    if (this.expiredRequests === 0 || stalledMs < timeoutMs) return
    if (!this.stallCounted) {
      this.stallCounted = true
      server.row[server.statBase + ServerStat.timedout]++
      server.health.countLoss(`no answer for ${timeoutMs} ms`)
    }
    if (this.requests === 0 || stalledMs >= timeoutMs * STALL_TIMEOUTS) this.close(Failure.timedOut)
  }

  /** A large reply is passing through. */
  private get passes(): boolean {
    return this.streamLeft > 0 || this.part !== null || this.list !== null
  }

  /** A large reply is arriving that cannot pass through: it goes to memory. */
  private get gathersLarge(): boolean {
    return this.tail !== null && this.parser.need >= STREAM_BYTES && this.drop === null
  }

  /** A server that does not take a body has the pool's timeout; a client that does not send one has its own. */
  private checkUpload(upload: RequestStream, nowMs: number): void {
    const { timeoutMs } = this.server.pool.config
    const idleMs = nowMs - upload.activeMs
    if (upload.paused) {
      if (timeoutMs > 0 && idleMs >= timeoutMs) this.fail(Failure.timedOut)
    } else if (idleMs >= UPLOAD_STALL_MS) {
      upload.client.close(CloseReason.error)
    }
  }

  private expire(message: Message): void {
    const { server } = this
    if (this.user?.stateful) {
      server.row[server.statBase + ServerStat.requestTimeouts]++
      this.close(Failure.timedOut)
      return
    }
    this.tally.removeRequest(message.requestBytes)
    message.expired = true
    this.expiredRequests++
    if (message.kind === MessageKind.internal) return
    server.row[server.statBase + ServerStat.requestTimeouts]++
    deliverFailure(message, server.pool, Failure.timedOut)
  }

  onEnd(): void {
    const { server } = this
    server.losses++
    server.row[server.statBase + ServerStat.eof]++
    const pending = this.head !== null || this.tail !== null
    server.pool.limitedLog.info(
      'server connection done',
      () => `s ${server.config.pname} active ${pending ? 1 : 0} is done`,
    )
    // An idle connection that the server closes is housekeeping (`timeout` in redis.conf), not a failure.
    if (pending) server.health.countLoss('the server closed the connection')
    server.reconnection.lost(Failure.closed)
    this.close(Failure.closed)
  }

  onError(errno: number): void {
    this.fail(failureOf(errno))
  }

  onDrain(): void {
    this.tally.release()
    this.upload?.resume()
  }

  /** What the connection's unsent requests, its queue and an incomplete reply take, bytes. */
  get memoryBytes(): number {
    const tailBytes = this.tail === null ? 0 : this.tail.buf.length
    return tailBytes + this.socket.pendingBytes + (this.requests + this.expiredRequests) * MESSAGE_BYTES
  }

  closeForMemory(): void {
    const { config, pool } = this.server
    pool.limitedLog.notice(
      'server connection closed to free memory',
      () =>
        `a connection to server '${config.pname}' of pool '${pool.config.name}' closed to free memory: it held ${this.memoryBytes} bytes`,
    )
    this.close(Failure.noMemory)
  }

  /** Ends the connection for a reason that counts: as an error, and for ejection. */
  fail(failure: FailureCode): void {
    if (this.phase === ConnectionPhase.closed || this.waits(failure)) return
    const { server } = this
    server.losses++
    const timedOut = failure === Failure.timedOut
    server.row[server.statBase + (timedOut ? ServerStat.timedout : ServerStat.err)]++
    server.health.logFailure(failure)
    if (!isLocal(failure)) server.health.countLoss(FAILURE_TEXTS[failure])
    this.close(failure)
  }

  /** @returns true when the failure is no end: nothing was sent yet, and the server may come back in time. */
  private waits(failure: FailureCode): boolean {
    const { reconnection } = this.server
    if (this.user === reconnection) {
      reconnection.probeFailed(failure)
      this.close(failure)
      return true
    }
    if (isLocal(failure)) return false
    if (failure !== Failure.invalid) reconnection.lost(failure)
    if (this.phase !== ConnectionPhase.connecting || this.retired || !reconnection.admits(this)) return false
    this.server.health.logFailure(failure)
    if (!this.server.pool.config.autoEjectHosts) this.server.health.countLoss(FAILURE_TEXTS[failure])
    this.connectDeadlineMs = 0
    if (this.waitingSinceMs < 0) this.waitingSinceMs = this.server.pool.context.turn.nowMs
    this.socket.abandonConnect()
    return true
  }

  /** Ends the connection; every request in its queue fails. */
  close(failure: FailureCode): void {
    if (this.phase === ConnectionPhase.closed) return
    const { server } = this
    if (this.phase === ConnectionPhase.up) server.row[server.statBase + ServerStat.connections]--
    this.phase = ConnectionPhase.closed
    const { upload } = this
    this.upload = null
    // A part of a large reply is out: its client can only be closed.
    if (this.streamLeft > 0 || this.list !== null) receiverOf(this.head!)?.close(CloseReason.error)
    this.part = null
    this.list?.close()
    this.list = null
    this.tally.close()
    this.socket.close()
    if (this.waitingSinceMs >= 0) server.reconnection.forget(this)
    server.removeConnection(this)
    if (this.tail !== null) {
      this.tail.release()
      this.tail = null
    }
    this.drop?.close()
    this.drop = null
    const { user } = this
    this.user = null
    const losesState = user?.stateful === true && !isRefusal(failure)
    this.failQueue(losesState ? deliverStateLoss : deliverFailure, failure)
    upload?.resume()
    user?.connectionLost(this)
  }

  private failQueue(tell: typeof deliverFailure, failure: FailureCode): void {
    const { pool } = this.server
    let message = this.head
    this.head = null
    this.last = null
    while (message !== null) {
      const next: Message | null = message.serverNext
      message.serverNext = null
      message.queued = false
      if (message.client === null && message.split === null) message.release()
      else if (!message.expired) tell(message, pool, failure)
      message = next
    }
  }
}

/** Who gets the reply to a forwarded request; null = nobody any more. */
function receiverOf(message: Message): ReplyTarget | null {
  if (message.expired) return null
  return message.split === null ? message.client : message.split.parent.client
}
