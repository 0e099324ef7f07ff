/**
 * A client connection: the record of its state, its order queue, and how it ends. Data plane.
 *
 *     readInput (client-input.ts) ─▶ protocol.request ─▶ (answered here | queued at servers)      [head … last]: the order of replies
 *
 * Backpressure: a client has at most `window.requests` requests in flight. The window follows the
 * size of its replies, so their memory is bounded before they exist. While the client does not read
 * its output, the proxy does not read its input. `client-phase.ts` has the table of its phases.
 */

import { assert } from '../../bytes/assert.ts'
import { Socket, type SocketOwner } from '../io/socket.ts'
import { MESSAGE_BYTES } from '../memory/lent-memory.ts'
import type { FailureCode } from '../request/failure.ts'
import type { Message, MessagePool } from '../request/message.ts'
import { CloseReason, type ReplySource } from '../request/reply-target.ts'
import { databaseOf } from '../server/connection-kind.ts'
import type { Pool } from '../server/pool.ts'
import { closeNow, disconnectForMemory, disconnectForServer, finish } from './client-ending.ts'
import { checkRequest, continueInput, dropInput, endInput, readInput, restrictParser } from './client-input.ts'
import type { ClientLimits } from './client-limits.ts'
import { ClientOutput } from './client-output.ts'
import { mayFollow, Phase } from './client-phase.ts'
import type { ClientSession } from './client-protocol.ts'
import { checkUploadWait, type UploadClient } from './client-upload.ts'
import { InputState } from './input-state.ts'
import type { PoolClients } from './pool-clients.ts'
import { ReplyWindow } from './reply-window.ts'

export class Client implements SocketOwner, UploadClient {
  readonly pool: Pool
  readonly poolClients: PoolClients
  /** Records of the worker's requests. */
  readonly messages: MessagePool
  readonly socket: Socket
  /** The limits of the pool's current configuration. */
  limits: ClientLimits
  readonly window: ReplyWindow
  readonly output: ClientOutput
  /** One of `Phase`. `enter` writes it. */
  phase: number = Phase.reading
  /** One of `CloseReason`; valid from the phase `ending` on. */
  endReason: number = CloseReason.none

  /** Oldest and newest message of the order queue: one for each request in flight. */
  head: Message | null = null
  last: Message | null = null
  /** Messages in the order queue. */
  pending = 0
  /** Bytes of replies in the arena, which came before their turn. */
  heldBytes = 0
  /** A part of the reply to the oldest request has been written. */
  streaming = false
  /** The server connection that is paused until this client reads a large reply. */
  source: ReplySource | null = null
  authenticated = false
  /** A request with one key is forwarded without a further check. `updateFastPath` writes it. */
  fastPath = false
  /** The client speaks RESP3. */
  resp3 = false
  /** Kind of its server connections (`server/connection-kind.ts`): protocol version, database. */
  connectionKind = 0
  /** What the client has told the protocol, and what it has open; null until there is any. */
  session: ClientSession | null = null
  /** Address of the client according to the PROXY header of its connection; '' without one. */
  announced = ''
  /** `Turn.nowMs` when the connection was accepted. */
  readonly openedMs: number
  /** `Turn.nowMs` when bytes last came from the client or went to it. */
  activeMs = 0
  /** How long the client was silent before it last sent something, ms. */
  pauseMs = 0
  /** `Turn.nowMs` at which a lingering client is closed; valid in the phase `lingering`. */
  lingerUntilMs = 0
  readonly input: InputState = new InputState()
  /**
   * End of the request that fills the tail's buffer exactly, or -1. Forwarding such a request takes
   * the buffer over instead of copying it.
   */
  ownEnd = -1
  /** The current request is put back: its bytes are parsed again later. See `postpone`. */
  isPostponed = false
  /** The next request waits until every earlier one is answered. */
  waitsForReplies = false
  /** `resume` will be called at the end of the turn. */
  private willResume = false

  constructor(poolClients: PoolClients) {
    const { limits, pool } = poolClients
    const { config, context } = pool
    this.pool = pool
    this.poolClients = poolClients
    this.messages = context.messages
    this.socket = new Socket(context.turn)
    this.limits = limits
    this.window = new ReplyWindow(pool, limits)
    this.output = new ClientOutput(this)
    if (config.proxyProtocol) this.phase = Phase.greeting
    this.authenticated = config.redisAuth === ''
    this.openedMs = context.turn.nowMs
    this.activeMs = this.openedMs
    this.updateFastPath()
  }

  /** Called where `client-phase.ts` says so. @param next one of `Phase`. */
  enter(next: number): void {
    assert(mayFollow(this.phase, next), 'the phases of a client follow their table')
    this.phase = next
  }

  get closed(): boolean {
    return this.phase === Phase.closed
  }

  /** The client's bytes are dropped: it is ending, lingering or closed. */
  get ending(): boolean {
    return this.phase >= Phase.ending
  }

  /** The client's address in the log: `10.0.0.7:51234`, or the path of the unix socket. */
  get address(): string {
    return this.announced || this.socket.peerName() || this.pool.config.listen.path
  }

  /** The database that the client has selected. */
  get database(): number {
    return databaseOf(this.connectionKind)
  }

  /** @param authenticated whether the client may send commands from now on. */
  setAuthenticated(authenticated: boolean): void {
    this.authenticated = authenticated
    restrictParser(this)
    this.updateFastPath()
  }

  /**
   * Opens or closes the fast path. To be called after each change of what it depends on:
   * `authenticated`, `session`, `resp3` and `PoolClients.watched`.
   */
  updateFastPath(): void {
    const isPlain = this.session === null || this.session.allowsFastPath
    this.fastPath = isPlain && this.authenticated && !this.poolClients.watched
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

  noteReply(bytes: number): void {
    this.window.noteReply(bytes)
  }

  beginStream(bytes: number): void {
    this.window.noteStream(bytes)
    this.streaming = true
    this.output.beginStream()
  }

  endStream(): void {
    this.streaming = false
    this.window.endStream()
  }

  get hardLimitBytes(): number {
    return this.output.hardLimitBytes
  }

  get keepsLargeReplies(): boolean {
    return this.output.writesFirst
  }

  /** The client has as much in flight, or as much output, as it may: the next request waits. */
  get full(): boolean {
    if (this.waitsForReplies && this.pending > 0) return true
    return this.pending >= this.window.requests || this.socket.queuedBytes + this.heldBytes >= this.limits.queueBytes
  }

  /**
   * Puts the current request back: its bytes are parsed again later.
   * @param untilAnswered true: after the earlier replies; false: after `context.resumeLater`.
   */
  postpone(untilAnswered: boolean): void {
    this.isPostponed = true
    this.waitsForReplies = untilAnswered
  }

  waitForReplies(): void {
    this.waitsForReplies = true
  }

  /** Stops handling requests until `resume`. */
  block(): void {
    if (this.phase !== Phase.reading) return
    this.enter(Phase.blocked)
    // A client whose reply may never come is still read, so that the proxy sees it disconnect.
    if (this.session?.mayNeverReply) this.socket.readStart()
    else this.socket.readStop()
    if (this.socket.queuedBytes > 0) this.watchWrites()
  }

  afterReplies(): void {
    this.activeMs = this.socket.turn.nowMs
    if (this.socket.queuedBytes > 0) this.watchWrites()
    if (this.phase === Phase.blocked) {
      if (this.pending * 2 <= this.window.requests) this.resumeSoon()
    } else if (this.phase >= Phase.ending && this.head === null) {
      finish(this)
    }
  }

  private resumeSoon(): void {
    if (this.phase !== Phase.blocked || this.willResume || this.full) return
    this.willResume = true
    this.pool.context.resumeLater(this)
  }

  /** Continues with the input that waited. Called at the end of the turn. */
  resume(): void {
    this.willResume = false
    if (this.phase !== Phase.blocked || this.full) return
    this.enter(Phase.reading)
    this.waitsForReplies = false
    continueInput(this)
  }

  /** Memory is short: blocks the client. A large request that passes through goes on. */
  stopReading(): void {
    this.output.writesFirst = false
    this.window.update()
    if (this.input.upload === null) this.block()
  }

  resumeReading(): void {
    this.window.update()
    this.resumeSoon()
  }

  watchWrites(): void {
    this.poolClients.watches.writes.add(this.output)
  }

  checkRequest(nowMs: number): boolean {
    return checkRequest(this, nowMs)
  }

  checkUploadWait(nowMs: number): boolean {
    return checkUploadWait(this, nowMs)
  }

  onData(buf: Uint8Array, length: number): void {
    readInput(this, buf, length)
  }

  /** The client has sent FIN. Its requests are still answered. */
  onEnd(): void {
    this.input.ended = true
    if (this.phase === Phase.lingering) this.close(CloseReason.none)
    // As with Redis itself, a client that ends its input no longer waits for a blocking command.
    else if (this.session?.mayNeverReply) this.close(CloseReason.eof)
    else if (this.phase !== Phase.blocked) endInput(this)
  }

  onError(_errno: number): void {
    this.close(CloseReason.error)
  }

  onDrain(): void {
    if (this.closed) return
    this.output.drained()
    this.resumeSource()
    this.afterReplies()
  }

  resumeSource(): void {
    const { source } = this
    this.source = null
    source?.resume()
  }

  /** Bytes that the client's input, output and requests take. */
  get memoryBytes(): number {
    const { tail } = this.input
    const tailBytes = tail === null ? 0 : tail.buf.length
    return tailBytes + this.socket.pendingBytes + this.heldBytes + this.pending * MESSAGE_BYTES
  }

  closeForMemory(): void {
    disconnectForMemory(this)
  }

  closeSlow(bytes: number): void {
    this.output.disconnect(bytes)
  }

  loseServer(last: Message | null, failure: FailureCode): void {
    disconnectForServer(this, last, failure)
  }

  closeAfterReplies(reason: number): void {
    if (this.ending) return
    this.endReason = reason
    this.enter(Phase.ending)
    // A PROXY header that is incomplete has nothing more to say.
    this.socket.owner = this
    dropInput(this)
    if (this.head === null) finish(this)
  }

  close(reason: number): void {
    closeNow(this, reason)
  }
}
