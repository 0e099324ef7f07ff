/**
 * A client connection: bytes in, requests to the protocol, replies out in the order of the requests. Data plane.
 *
 *     onData ─▶ process ─▶ protocol.request ─▶ (answered here | queued at servers)      [head … last]: the order of replies
 *        └ tail: an incomplete request, or requests that wait because the client has enough under way
 *
 * Back-pressure: a client has at most `window` requests under way. The window follows the size of its replies, so that what its replies
 * can take in memory is bounded before they exist; and while its output is not read, nothing more of its input is.
 */

import { Parsed, type RequestParser } from '../../protocol/parser.ts'
import { PoolStat } from '../../shared/stat-fields.ts'
import { OWNED_CHUNK_BYTES, Socket, type SocketOwner } from '../io/socket.ts'
import { MESSAGE_BYTES } from '../memory/lent-memory.ts'
import type { Tail } from '../memory/tail.ts'
import { answerLocally, leaveClient } from '../request/delivery.ts'
import { FAILURE_TEXTS, type FailureCode } from '../request/failure.ts'
import { type Message, MessageKind, type MessagePool } from '../request/message.ts'
import { CloseReason, type ReplySource, type ReplyTarget } from '../request/reply-target.ts'
import { STREAM_BYTES } from '../request/stream-limits.ts'
import { databaseOf } from '../server/connection-kind.ts'
import type { Pool } from '../server/pool.ts'
import { type ClientLimits, STREAM_ROOM_BYTES } from './client-limits.ts'
import type { ClientSession, ClientState } from './client-protocol.ts'
import { dropBehind } from './lost-server.ts'
import type { PoolClients } from './pool-clients.ts'
import { Upload } from './upload.ts'

/** Requests that a new client may have under way before the size of its replies is known. */
const FIRST_WINDOW = 64
/** A client that takes nothing of what waits for it for so long is closed, ms. */
const WRITE_STALL_MS = 60_000
/** A client that waits for something of uncertain duration is still read, to see it leave; up to so many bytes. */
const BLOCKED_INPUT_BYTES = 262_144
/**
 * So much of a large request must be here before it passes through: a server makes room for what is announced (Redis: all of it, at once), and
 * an announcement alone must not cost it anything.
 */
const UPLOAD_START_BYTES = 65_536
/** Fewer bytes at once of a request that has begun are no sign of life: who sends it byte by byte would else never be idle. */
const TRICKLE_BYTES = 256
/**
 * Who begins a request and then sends nothing that counts for so long is closed, ms. Without this slow senders could fill all places, and no
 * client needs it: the others are those that died in the middle.
 * @testOnly
 */
export const REQUEST_STALL_MS = 60_000
/** A client with input waiting that takes nothing of its replies for this long writes first and reads later, ms. */
const WRITES_FIRST_MS = 200
/** Replies in flight for a client that does not take those that wait: by this much less. */
const BEHIND_DIVISOR = 8
/** No client has fewer requests under way than this, however large its replies. */
const LEAST_WINDOW = 4
/**
 * A closing connection reads and drops input for so long, so that the peer gets its last replies and not a reset.
 * @testOnly
 */
export const LINGER_MS = 1_000

export class Client implements SocketOwner, ReplyTarget {
  readonly pool: Pool
  readonly poolClients: PoolClients
  /** Records of the worker's requests. */
  readonly messages: MessagePool
  readonly socket: Socket
  /** Of the pool's configuration. */
  private limits: ClientLimits
  /** Messages in the order of the requests. */
  head: Message | null = null
  last: Message | null = null
  /** Messages in the queue. */
  pending = 0
  /** Bytes of replies that wait for their turn. */
  heldBytes = 0
  /** Running mean of the reply sizes, bytes. */
  replyBytes = 0
  /** The largest reply since the client last had taken all. */
  private largestReplyBytes = 0
  /** What waited for the client when it was last looked at, and since when it has taken nothing of it. */
  private unwrittenBytes = 0
  private stalledSinceMs = 0
  /**
   * The client writes on while it reads nothing, so waiting for it would be waiting for ever: large replies are kept for it, up to its
   * limits, until it has taken all. Only where `limits.keepsForWriter`.
   */
  private writesFirst = false
  /** More waits than is to be in flight: the window is smaller, so that other clients of its servers do not wait behind this one. */
  private behind = false
  authenticated = false
  /** Requests with one key are forwarded without a look at the client's state. `updateFastPath` alone writes it. */
  fastPath = false
  /** The client speaks RESP3. */
  resp3 = false
  /** The server connections that serve it, see `server/connection-kind.ts`: it follows `resp3` and the database. */
  connectionKind = 0
  /** What the client has told the protocol about itself; null until it does. */
  protocolState: ClientState | null = null
  /** What the client has open beyond single requests; null until it does. */
  session: ClientSession | null = null
  /** A request [0, ownEnd) of the buffer at hand may keep that buffer: it holds nothing else. -1 = no such request. */
  ownEnd = -1
  /** Turn.nowMs of its beginning. */
  readonly openedMs: number
  /** Turn.nowMs of the last byte from or for the client. */
  activeMs = 0
  /** Silence of the client before it last sent something, ms. */
  pauseMs = 0
  /** Set while the connection only drops input before it closes. */
  lingerUntilMs = 0
  closed = false
  /** Who the client is, as the PROXY header of its connection said; '' = nobody said. */
  announced = ''
  /** The server connection that waits for this client to take a large reply. */
  source: ReplySource | null = null
  private window = LEAST_WINDOW
  /** Input waits because the client has enough under way. */
  private blocked = false
  private resuming = false
  private inputEnded = false
  /** Closes once what it has sent is answered. */
  private draining = false
  /** One of `CloseReason` once no more input is taken: the connection is to close after the replies due, or closed. Else -1. */
  private closing = -1
  /** A large request that is passing through. */
  private upload: Upload | null = null
  /** The next request waits until nothing is under way: before and after an upload. */
  private waitsForAll = false
  /** The request at hand stays in the input. */
  private postponed = false
  /** The reply at the head of the queue has gone out in part. */
  streaming = false
  private waitsSinceMs = 0
  /** The large request at hand is gathered as a whole. */
  private gathers = false
  /** `Context.watchRequest` knows of its incomplete request. */
  private requestWatched = false
  private parser: RequestParser | null = null
  private tail: Tail | null = null

  constructor(poolClients: PoolClients) {
    const { pool } = poolClients
    this.pool = pool
    this.poolClients = poolClients
    this.messages = pool.context.messages
    this.socket = new Socket(pool.context.turn)
    this.authenticated = pool.config.redisAuth === ''
    this.updateFastPath()
    this.openedMs = pool.context.turn.nowMs
    this.activeMs = this.openedMs
    this.limits = poolClients.limits
    this.replyBytes = Math.trunc(this.limits.inFlightBytes / FIRST_WINDOW)
    this.updateWindow()
  }

  /** @param authenticated whether the client may send commands from now on. */
  setAuthenticated(authenticated: boolean): void {
    this.authenticated = authenticated
    this.restrictParser()
    this.updateFastPath()
  }

  /**
   * Opens or closes the fast path. To be called after each change of what it depends on: `authenticated`, `session`, `protocolState`,
   * `resp3` and `PoolClients.watched`.
   */
  updateFastPath(): void {
    const { session, protocolState } = this
    const isPlain =
      (session === null || session.allowsFastPath) && (protocolState === null || protocolState.allowsFastPath)
    this.fastPath = isPlain && this.authenticated && !this.poolClients.watched
  }

  /** Where the client is, for the log: `10.0.0.7:51234`, or the path of the unix socket that it came by. */
  get address(): string {
    return this.announced || this.socket.peerName() || this.pool.config.listen.path
  }

  /** Appends a message to the order queue. */
  push(message: Message): void {
    if (this.last === null) this.head = message
    else this.last.next = message
    this.last = message
    this.pending++
  }

  popHead(): void {
    const message = this.head!
    this.head = message.next
    if (this.head === null) this.last = null
    message.next = null
    this.pending--
  }

  /** Learns the size of a reply. */
  noteReply(bytes: number): void {
    if (bytes > this.largestReplyBytes) this.largestReplyBytes = bytes
    const before = this.replyBytes
    // Grows at once, shrinks slowly: one large value among small ones keeps the window careful.
    const after = bytes > before ? (before + bytes) >>> 1 : before - ((before - bytes) >>> 3)
    this.replyBytes = after
    if (after !== before) this.updateWindow()
  }

  /** A reply of this size begins to pass through: never so much of it waits here that it would need more room than others. */
  beginStream(bytes: number): void {
    const largest = this.largestReplyBytes
    this.noteReply(bytes)
    this.largestReplyBytes = largest
    this.streaming = true
    if (this.limits.keepsForWriter && this.socket.queuedBytes >= this.limits.inFlightBytes) this.writesFirst = true
  }

  /** All of it has passed; what of it the client has yet to take keeps its room. */
  endStream(): void {
    this.streaming = false
    this.largestReplyBytes = Math.max(this.largestReplyBytes, STREAM_ROOM_BYTES + STREAM_BYTES)
  }

  get hardLimitBytes(): number {
    const { queueBytes, largeReplyBytes } = this.limits
    return this.writesFirst && queueBytes > largeReplyBytes ? queueBytes : largeReplyBytes
  }

  get keepsLargeReplies(): boolean {
    return this.writesFirst
  }

  /** The database that it has selected. */
  get database(): number {
    return databaseOf(this.connectionKind)
  }

  private updateWindow(): void {
    const { config, context } = this.pool
    if (context.memory.pressed) {
      this.window = 0
      return
    }
    const { clientMaxPending } = config
    const inFlightBytes = this.behind ? this.limits.inFlightBytes / BEHIND_DIVISOR : this.limits.inFlightBytes
    const fit = Math.trunc(inFlightBytes / (this.replyBytes + 64))
    this.window = fit < LEAST_WINDOW ? LEAST_WINDOW : fit > clientMaxPending ? clientMaxPending : fit
  }

  private get full(): boolean {
    if (this.waitsForAll && this.pending > 0) return true
    return this.pending >= this.window || this.socket.queuedBytes + this.heldBytes >= this.limits.queueBytes
  }

  /**
   * The request at hand is not taken yet: it comes again once everything before it is answered, or after `Context.resumeLater`.
   * @param untilAnswered the former.
   */
  postpone(untilAnswered: boolean): void {
    this.postponed = true
    this.waitsForAll = untilAnswered
  }

  /** Whether the request at hand was put off. */
  get isPostponed(): boolean {
    return this.postponed
  }

  /** The next request waits until everything before it is answered. */
  waitForReplies(): void {
    this.waitsForAll = true
  }

  /**
   * Writes what no request asked for, between the replies.
   * @param behind the replies that are due come first.
   */
  writePush(buf: Uint8Array, start: number, end: number, behind: boolean): void {
    if (this.closing >= 0) return
    if (this.streaming || (behind && this.head !== null)) {
      const message = this.messages.acquire(this, MessageKind.local)
      message.keepReply(buf, start, end)
      message.done = true
      this.push(message)
      this.heldBytes += end - start
      if (this.heldBytes > this.limits.pushBytes) this.overrun(this.heldBytes)
      return
    }
    if (end - start > this.largestReplyBytes) this.largestReplyBytes = end - start
    this.socket.append(buf, start, end)
    if (this.socket.queuedBytes > 0) this.watchWrites()
  }

  /** No more input is taken. */
  get ending(): boolean {
    return this.closing >= 0
  }

  onData(buf: Uint8Array, length: number): void {
    const nowMs = this.socket.turn.nowMs
    if (this.tail === null && this.upload === null) this.pauseMs = nowMs - this.activeMs
    if (this.tail === null || length >= TRICKLE_BYTES) this.activeMs = nowMs
    if (this.closing >= 0) return
    this.pool.context.memory.check()
    if (this.blocked) {
      this.keepBlocked(buf, length)
      return
    }
    let at = 0
    if (this.upload !== null) {
      at = this.continueUpload(this.upload, buf, 0, length)
      if (this.closing >= 0 || this.upload !== null) return
    }
    if (this.tail !== null) {
      // Only an incomplete request lies in the tail here: a blocked client is not read.
      while (this.tail !== null && at < length && !this.blocked) {
        at += this.tail.fill(buf, at, length, this.parser === null ? 0 : this.parser.need)
        this.processTail()
        if (this.closing >= 0) return
      }
      if (at < length && this.tail !== null) {
        this.tail.fill(buf, at, length, 0)
        return
      }
    }
    if (at < length) {
      const rest = this.processWithin(buf, at, length)
      if (this.closing >= 0) return
      if (rest < length) this.keep(buf, rest, length)
    }
    this.inputDone()
  }

  private keepBlocked(buf: Uint8Array, length: number): void {
    this.tail ??= this.socket.turn.memory.tails.acquire()
    this.tail.fill(buf, 0, length, 0)
    if (!this.requestWatched) this.watchRequest()
    if (this.tail.length >= BLOCKED_INPUT_BYTES) this.socket.readStop()
  }

  /** Nothing of the input is left over: the parser is free, and a client that is to end has sent its last request. */
  private inputDone(): void {
    if (this.tail !== null || this.upload !== null) return
    if (this.parser !== null) this.giveParser()
    if (this.draining) this.closeAfterReplies(CloseReason.none)
  }

  private keep(buf: Uint8Array, start: number, end: number): void {
    this.tail = this.socket.turn.memory.tails.acquire()
    this.tail.fill(buf, start, end, this.blocked ? 0 : this.parser!.need)
    if (!this.requestWatched) this.watchRequest()
  }

  /** Who has not authenticated may say little, where nutcracker's own manners are not asked for. */
  restrictParser(): void {
    this.parser?.restrict(!this.authenticated && !this.pool.config.strict)
  }

  private giveParser(): void {
    this.poolClients.releaseRequestParser(this.parser!)
    this.parser = null
  }

  /** As `process`, with a look at `max_message_bytes` also for requests that are here as a whole. */
  private processWithin(buf: Uint8Array, start: number, end: number): number {
    const { maxMessageBytes } = this.pool.config
    if (maxMessageBytes === 0 || end - start <= maxMessageBytes) return this.process(buf, start, end)
    for (let at = start; ; ) {
      const stop = Math.min(end, at + maxMessageBytes)
      const rest = this.process(buf, at, stop)
      if (this.closing >= 0 || this.blocked || stop === end) return rest
      // So many bytes, and no end of the request among them.
      if (rest === at) this.checkSize(maxMessageBytes + 1)
      at = this.upload === null ? rest : this.continueUpload(this.upload, buf, stop, end)
      if (this.closing >= 0 || this.upload !== null) return end
    }
  }

  /** Handles the requests in [start, end). @returns where the rest begins: incomplete, or blocked. */
  private process(buf: Uint8Array, start: number, end: number): number {
    let parser = this.parser
    if (parser === null) {
      parser = this.poolClients.acquireRequestParser()
      this.parser = parser
      if (!this.authenticated) this.restrictParser()
    }
    const { protocol } = this.poolClients
    let at = start
    while (at < end) {
      if (this.full) {
        this.block()
        return at
      }
      const code = parser.parse(buf, at, end)
      if (code === Parsed.incomplete) {
        this.checkSize(Math.max(parser.need, end - at))
        if (this.closing >= 0) return end
        const large = parser.need >= STREAM_BYTES && end - at >= UPLOAD_START_BYTES
        return large && this.beginUpload(parser, buf, at, end) ? end : at
      }
      if (code === Parsed.complete) {
        protocol.request(this, parser, buf)
        if (this.postponed) {
          this.postponed = false
          this.block()
          return at
        }
        at = parser.end
      } else {
        const next = protocol.malformed(this, parser, buf, at, end)
        if (next < 0) {
          this.closeAfterReplies(CloseReason.error)
          return end
        }
        at = next
      }
      if (this.closing >= 0) return end
    }
    return at
  }

  /**
   * Lets an incomplete large request pass through.
   * @returns false when it stays with the client: it must be whole first, or (blocked) it waits for its turn.
   */
  private beginUpload(parser: RequestParser, buf: Uint8Array, start: number, end: number): boolean {
    const serverIndex = this.poolClients.protocol.streamTarget(this, parser, buf)
    if (serverIndex < 0 || this.gathers) return false
    if (this.writesFirst && this.socket.pendingBytes > 0) {
      this.gathers = true
      return false
    }
    if (this.head !== null) {
      this.waitsForAll = true
      this.waitsSinceMs = this.socket.turn.nowMs
      this.block()
      this.poolClients.watches.uploads.add(this)
      return false
    }
    const connection = this.pool.servers[serverIndex].bulkConnection(this)
    if (connection === null) {
      this.block()
      return false
    }
    this.ownEnd = -1
    this.waitsForAll = true
    this.upload = new Upload(this, parser, connection, parser.need)
    this.continueUpload(this.upload, buf, start, end)
    return true
  }

  /**
   * A client that writes all of a pipeline before it reads may never take the replies that its large request waits for: then the request
   * is gathered as a whole instead. @returns false when there is no more to watch.
   */
  checkUploadWait(nowMs: number): boolean {
    if (this.closed || !this.waitsForAll || !this.blocked || this.upload !== null) return false
    if (this.socket.pendingBytes === 0 || nowMs - this.waitsSinceMs < WRITES_FIRST_MS) return true
    this.gathers = true
    if (this.limits.keepsForWriter) this.keepForWriter()
    this.waitsForAll = false
    this.pool.context.resumeLater(this)
    return false
  }

  /** @returns where the bytes of later requests begin. */
  private continueUpload(upload: Upload, buf: Uint8Array, start: number, end: number): number {
    const code = upload.take(buf, start, end)
    if (code === Parsed.incomplete) return end
    this.upload = null
    if (code === Parsed.complete) {
      upload.finish()
      return end - upload.surplusBytes
    }
    const parser = this.parser!
    upload.abandon()
    this.poolClients.protocol.malformed(this, parser, buf, start, end)
    this.closeAfterReplies(CloseReason.error)
    return end
  }

  private checkSize(bytes: number): void {
    const { maxMessageBytes } = this.pool.config
    if (maxMessageBytes === 0 || bytes <= maxMessageBytes) return
    this.pool.limitedLog.notice(
      'request too large',
      () =>
        `request of ${bytes} bytes from c ${this.address} rejected: above max_message_bytes of pool '${this.pool.config.name}'`,
    )
    answerLocally(this, this.poolClients.protocol.tooLarge)
    this.closeAfterReplies(CloseReason.error)
  }

  private processTail(): void {
    const tail = this.tail!
    this.ownEnd = tail.length >= OWNED_CHUNK_BYTES ? tail.length : -1
    const rest = this.processWithin(tail.buf, 0, tail.length)
    const owned = this.ownEnd >= 0
    this.ownEnd = -1
    if (this.tail === null) return
    if (owned && rest === tail.length) tail.detachBuffer()
    if (rest < tail.length) {
      if (rest > 0) tail.skip(rest)
      return
    }
    this.tail = null
    this.gathers = false
    tail.release()
  }

  private block(): void {
    if (this.blocked) return
    this.blocked = true
    if (this.session?.mayNeverReply) this.socket.readStart()
    else this.socket.readStop()
    if (this.socket.queuedBytes > 0) this.watchWrites()
  }

  /** Replies went out: closes when that was awaited, reads on when there is room again. */
  afterReplies(): void {
    this.activeMs = this.socket.turn.nowMs
    if (this.socket.queuedBytes > 0) this.watchWrites()
    if (this.closing >= 0) {
      if (this.head === null) this.finish()
      return
    }
    if (this.blocked && !this.resuming && this.pending * 2 <= this.window && !this.full) {
      this.resuming = true
      this.pool.context.resumeLater(this)
    }
  }

  /** Memory is short: the client is not read until `resumeReading`. What is passing through, with its own bound, goes on. */
  stopReading(): void {
    this.writesFirst = false
    this.updateWindow()
    if (this.upload === null && this.closing < 0) this.block()
  }

  resumeReading(): void {
    this.updateWindow()
    if (!this.blocked || this.resuming || this.full) return
    this.resuming = true
    this.pool.context.resumeLater(this)
  }

  /** Input that is not handled yet: an incomplete request, or requests that wait; null = none. */
  get waitingInput(): Tail | null {
    return this.tail
  }

  /** What the client's input, output and requests take, bytes. */
  get memoryBytes(): number {
    const tailBytes = this.tail === null ? 0 : this.tail.buf.length
    return tailBytes + this.socket.pendingBytes + this.heldBytes + this.pending * MESSAGE_BYTES
  }

  closeForMemory(): void {
    const { config, limitedLog, row, statBase } = this.pool
    limitedLog.notice(
      'client closed to free memory',
      () => `c ${this.address} of pool '${config.name}' closed to free memory: it held ${this.memoryBytes} bytes`,
    )
    row[statBase + PoolStat.clientMemory]++
    this.socket.reset()
    this.close(CloseReason.error)
  }

  /** Goes on with the input that waited. Called at the end of the turn. */
  resume(): void {
    this.resuming = false
    if (this.closing >= 0 || !this.blocked || this.full) return
    this.blocked = false
    this.waitsForAll = false
    if (this.tail !== null) this.processTail()
    if (this.closing >= 0 || this.blocked) return
    this.inputDone()
    if (this.closing >= 0) return
    if (this.inputEnded) this.endInput()
    else this.socket.readStart()
  }

  /** The client sends no more; what it asked is still answered. */
  onEnd(): void {
    this.inputEnded = true
    if (this.lingerUntilMs > 0) {
      this.close(CloseReason.none)
      return
    }
    // As with Redis itself, whoever ends its input no longer waits.
    if (this.session?.mayNeverReply) this.close(CloseReason.eof)
    else if (!this.blocked) this.endInput()
  }

  private endInput(): void {
    if ((this.tail !== null || this.upload !== null) && this.closing < 0) {
      this.pool.limitedLog.alert(
        'incomplete request',
        () => `eof c ${this.address} discarding incomplete req len ${this.tail === null ? 0 : this.tail.length}`,
      )
    }
    if (this.closing < 0) this.closeAfterReplies(CloseReason.eof)
  }

  onError(_errno: number): void {
    this.close(CloseReason.error)
  }

  onDrain(): void {
    if (this.closed) return
    this.largestReplyBytes = 0
    this.writesFirst = false
    this.noteBehind(false)
    if (this.source !== null) this.resumeSource()
    this.afterReplies()
  }

  /**
   * Looks whether the client takes its replies. One that has more than its share waiting, beside the largest single reply, or that takes
   * nothing for a long time, is closed.
   * @returns false when there is no more to watch.
   */
  checkWrites(nowMs: number): boolean {
    if (this.closed || this.socket.queuedBytes === 0) {
      this.stalledSinceMs = 0
      return false
    }
    const unwritten = this.socket.unwrittenBytes
    if (unwritten !== this.unwrittenBytes || this.stalledSinceMs === 0) {
      this.unwrittenBytes = unwritten
      this.stalledSinceMs = nowMs
    }
    const { closeBytes, largeReplyBytes, keepsForWriter } = this.limits
    if (keepsForWriter) this.noteBehind(unwritten >= this.limits.inFlightBytes)
    const limit = this.streaming ? Math.max(closeBytes, largeReplyBytes) + STREAM_BYTES : closeBytes
    const stalledMs = nowMs - this.stalledSinceMs
    if (unwritten <= limit + this.largestReplyBytes && stalledMs < WRITE_STALL_MS) {
      if (keepsForWriter && this.blocked && stalledMs >= WRITES_FIRST_MS) this.keepForWriter()
      return true
    }
    this.overrun(unwritten)
    return false
  }

  loseServer(last: Message | null, failure: FailureCode): void {
    if (this.closing < 0) {
      const { config, limitedLog, row, statBase } = this.pool
      row[statBase + PoolStat.clientServerLost]++
      limitedLog.notice(
        'client disconnected, its server failed',
        () => `c ${this.address} of pool '${config.name}' disconnected, its server failed: ${FAILURE_TEXTS[failure]}`,
      )
    }
    dropBehind(this, last)
    this.closeAfterReplies(CloseReason.error)
  }

  private noteBehind(behind: boolean): void {
    if (behind === this.behind) return
    this.behind = behind
    this.updateWindow()
  }

  /** The client waits to be read before it reads. */
  private keepForWriter(): void {
    if (this.pool.context.memory.pressed) return
    this.writesFirst = true
    if (this.source !== null && this.socket.pendingBytes < this.hardLimitBytes) this.resumeSource()
  }

  /** Others cannot wait any longer for the client to take a large reply, or for its turn. @param bytes of it that would have to be kept. */
  closeSlow(bytes: number): void {
    this.overrun(bytes)
  }

  private overrun(bytes: number): void {
    const { config, context, limitedLog, row, statBase } = this.pool
    limitedLog.notice('client does not read', () => {
      const who = `c ${this.address} of pool '${config.name}'`
      const stalledMs = this.stalledSinceMs > 0 ? context.turn.nowMs - this.stalledSinceMs : 0
      const { queueBytes, closeBytes } = this.limits
      return (
        `${who} closed: it does not read its replies: ${bytes} bytes are buffered, it read nothing for ${stalledMs} ms and has ${this.pending} ` +
        `requests in flight; its input pauses at ${queueBytes} bytes, the limits are ${closeBytes} bytes and ${WRITE_STALL_MS} ms`
      )
    })
    row[statBase + PoolStat.clientOverrun]++
    this.socket.reset()
    this.close(CloseReason.error)
  }

  watchWrites(): void {
    this.poolClients.watches.writes.add(this)
  }

  private watchRequest(): void {
    this.requestWatched = true
    this.poolClients.watches.requests.add(this)
  }

  /** Looks whether an incomplete request goes on. @returns false when there is no more to watch. */
  checkRequest(nowMs: number): boolean {
    if (this.closed || this.tail === null) {
      this.requestWatched = false
      return false
    }
    // What waits for its turn, or for replies, is not the sender's delay.
    if (this.blocked || this.head !== null || nowMs - this.activeMs < REQUEST_STALL_MS) return true
    const { config, limitedLog, row, statBase } = this.pool
    const received = this.tail.length
    limitedLog.notice(
      'stalled request',
      () =>
        `c ${this.address} of pool '${config.name}' closed: it sent ${received} bytes of a request and then nothing for ${REQUEST_STALL_MS} ms`,
    )
    row[statBase + PoolStat.clientStalled]++
    this.close(CloseReason.error)
    return false
  }

  private resumeSource(): void {
    const { source } = this
    this.source = null
    source!.resume()
  }

  /** No more input; closes when every reply due has been written. */
  closeAfterReplies(reason: number): void {
    if (this.closing >= 0 || this.closed) return
    this.closing = reason
    // A greeting that was never completed has nothing more to say.
    this.socket.owner = this
    this.dropInput()
    if (this.head === null) this.finish()
  }

  /** Nothing is under way: no request (but one that may never be answered), no part of one, no reply that it has yet to take. */
  get idle(): boolean {
    if (this.session?.mayNeverReply) return true
    return this.head === null && this.tail === null && this.upload === null && this.socket.pendingBytes === 0
  }

  /** The process is ending: closes once what was sent to servers is answered. */
  endInTurn(): void {
    if (this.session?.mayNeverReply) this.close(CloseReason.none)
    else this.closeAfterReplies(CloseReason.none)
  }

  /**
   * The process or the pool is ending: idle clients close at once, others when what they have sent is answered. One in the middle of a request
   * may finish it.
   */
  drain(): void {
    if (this.closing >= 0) return
    this.draining = true
    if (this.idle) this.close(CloseReason.none)
    else this.inputDone()
  }

  /** The pool has a new configuration. */
  configured(): void {
    this.limits = this.poolClients.limits
    this.updateWindow()
    this.poolClients.protocol.configured(this)
  }

  private dropInput(): void {
    if (this.upload !== null) {
      const { upload } = this
      this.upload = null
      upload.abandon()
    }
    if (this.tail !== null) {
      this.tail.release()
      this.tail = null
    }
    if (this.parser !== null) this.giveParser()
  }

  /** All replies are in the output. Waits for the kernel to take them, then sends FIN and drops input until the peer closes too. */
  private finish(): void {
    if (this.closed || this.lingerUntilMs > 0) return
    this.socket.flush()
    if (this.socket.pendingBytes > 0) {
      this.watchWrites()
      return
    }
    // The flush may have come back here by way of `onDrain`.
    if (this.closed || this.lingerUntilMs > 0) return
    if (this.inputEnded) {
      this.close(this.closing)
      return
    }
    const context = this.pool.context
    this.count(this.closing)
    this.lingerUntilMs = context.turn.nowMs + LINGER_MS
    this.socket.shutdown()
    this.socket.readStart()
    this.poolClients.watches.lingering.add(this)
  }

  private count(reason: number): void {
    const { row, statBase } = this.pool
    if (reason === CloseReason.eof) row[statBase + PoolStat.clientEof]++
    else if (reason === CloseReason.error) row[statBase + PoolStat.clientErr]++
  }

  /** Closes at once. Requests already queued still go to their servers; their replies are swallowed. */
  close(reason: number): void {
    if (this.closed) return
    this.closed = true
    if (this.closing < 0) this.closing = CloseReason.none
    if (this.lingerUntilMs === 0) this.count(reason)
    this.dropInput()
    this.socket.close()
    let message = this.head
    this.head = null
    this.last = null
    this.pending = 0
    while (message !== null) {
      const next: Message | null = message.next
      message.next = null
      leaveClient(message)
      message = next
    }
    this.poolClients.forget(this)
    this.session?.leave()
    if (this.source !== null) this.resumeSource()
  }
}
