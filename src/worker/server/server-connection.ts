/**
 * One connection to a server: it pairs the server's replies with the requests in its queue. Data plane.
 *
 *     enqueue ─▶ RequestQueue ─▶ Socket ─▶ server ─▶ Socket ─▶ ReplyInput ─▶ answer ─▶ delivery.ts
 *
 *     phase        set by                             next
 *     connecting   the constructor, connectAgain      up, waiting (the server is lost), closed
 *     waiting      open, fail                         connecting (it is back), closed
 *     up           onConnected                        closed
 *     closed       close                              none
 *
 * Until it is closed it hangs in one list of its `Server`; while it waits, also in that of the server's `Reconnection`.
 */

import { MINUS } from '../../bytes/ascii.ts'
import { assert } from '../../bytes/assert.ts'
import { ServerStat } from '../../shared/stat-fields.ts'
import { Socket, type SocketOwner } from '../io/socket.ts'
import { deliver, deliverFailure, deliverStateLoss } from '../request/delivery.ts'
import { FAILURE_TEXTS, Failure, type FailureCode, failureOf, isRefusal } from '../request/failure.ts'
import { MessageKind } from '../request/message.ts'
import { connect } from './connecting.ts'
import { databaseOf, speaksResp3 } from './connection-kind.ts'
import { checkDeadlines } from './deadlines.ts'
import { MAX_WAITING_REQUESTS } from './reconnection.ts'
import { ReplyInput } from './reply-input.ts'
import { RequestQueue } from './request-queue.ts'
import type { RequestStream } from './request-stream.ts'
import type { Server } from './server.ts'
import { isLocal } from './server-health.ts'
import { Verdict } from './server-protocol.ts'

/**
 * What uses an exclusive connection for a while: a client's transaction, its blocking command, its subscriptions, or the
 * proxy's own questions. See `exclusive-connections.ts`.
 */
export interface ConnectionUser {
  /** The server may send what answers no request: messages of channels. */
  readonly listens: boolean
  /** The server keeps state of the client on this connection: the client's connection ends with it. */
  readonly stateful: boolean
  /**
   * Looks at a reply or push [start, end) of buf before it is paired with a request.
   * @returns true when it answers no request of the queue.
   */
  takesPush(connection: ServerConnection, buf: Uint8Array, start: number, end: number): boolean
  /** Every request on it is answered. */
  connectionIdle(connection: ServerConnection): void
  /** It is closed, and every request on it has failed. */
  connectionLost(connection: ServerConnection): void
}

/** @testOnly */
export const ConnectionPhase = { connecting: 0, waiting: 1, up: 2, closed: 3 } as const

/** By phase: those that may follow, one bit each. */
const NEXT_PHASES: readonly number[] = [
  (1 << ConnectionPhase.waiting) | (1 << ConnectionPhase.up) | (1 << ConnectionPhase.closed),
  (1 << ConnectionPhase.connecting) | (1 << ConnectionPhase.closed),
  1 << ConnectionPhase.closed,
  0,
]

export class ServerConnection extends RequestQueue<Server> implements SocketOwner {
  readonly socket: Socket
  readonly input: ReplyInput
  /** One of `ConnectionPhase`. */
  phase: number = ConnectionPhase.connecting
  /** `Turn.nowMs` by which it must be connected; 0 = no limit, or it is. */
  connectDeadlineMs = 0
  /** `Turn.nowMs` from which on it has waited for its server; -1 = it does not. */
  waitingSinceMs = -1
  /** The server's silence is counted as a timeout already. */
  stallCounted = false
  /** It takes no more requests, and closes when the queue is empty. */
  private retired = false
  /** It carries one large request at a time. */
  private readonly bulk: boolean
  /** Database and protocol version that it was opened for, see `connection-kind.ts`. */
  readonly kind: number
  /** It greets with HELLO 3: for clients that speak RESP3. */
  readonly resp3: boolean
  /** The database that it is in once every request in the queue is answered. Changes only while it is exclusive. */
  database: number
  /** Written as soon as it is up, while all else waits for the answer, see `Socket.writeAhead`. null = nothing. */
  greeting: Uint8Array | null = null
  /** null: it is shared, or idle among the exclusive ones. */
  user: ConnectionUser | null
  /** What the protocol keeps of the requests that are queued here; null until it does. */
  protocolState: object | null = null

  constructor(server: Server, bulk: boolean, kind: number, user: ConnectionUser | null) {
    super(server)
    this.bulk = bulk
    this.kind = kind
    this.resp3 = speaksResp3(kind)
    this.database = databaseOf(kind)
    this.user = user
    this.socket = new Socket(server.pool.context.turn, true)
    this.input = new ReplyInput(this)
  }

  get isUp(): boolean {
    return this.phase === ConnectionPhase.up
  }

  get isClosed(): boolean {
    return this.phase === ConnectionPhase.closed
  }

  /** It waits for a lost server, with as many requests as may wait. */
  get isWaitingFull(): boolean {
    return this.waitingSinceMs >= 0 && this.requests >= MAX_WAITING_REQUESTS
  }

  private enter(phase: number): void {
    assert((NEXT_PHASES[this.phase] & (1 << phase)) !== 0, 'a server connection goes through its phases')
    this.phase = phase
  }

  /** Begins to connect, or waits for a server that is lost; greets first. Failures come in a later turn. */
  open(): void {
    const { pool, reconnection } = this.server
    pool.context.timer.arm()
    pool.protocol.greet(this)
    if (reconnection.admits(this)) this.wait()
    else this.connect()
  }

  private wait(): void {
    if (this.phase !== ConnectionPhase.waiting) this.enter(ConnectionPhase.waiting)
    if (this.waitingSinceMs < 0) this.waitingSinceMs = this.server.pool.context.turn.nowMs
  }

  /** The server is back: the requests that wait go to it. */
  connectAgain(): void {
    if (this.phase !== ConnectionPhase.waiting) return
    this.enter(ConnectionPhase.connecting)
    this.connect()
  }

  private connect(): void {
    const { config, context } = this.server.pool
    if (config.serverConnectTimeoutMs > 0) {
      this.connectDeadlineMs = context.turn.nowMs + config.serverConnectTimeoutMs
    }
    connect(this)
  }

  /** @param status 0, or a negative libuv code. */
  onConnected(status: number): void {
    if (status !== 0) {
      this.fail(failureOf(status))
      return
    }
    const { pool, row, statBase } = this.server
    this.enter(ConnectionPhase.up)
    this.connectDeadlineMs = 0
    this.progressMs = pool.context.turn.nowMs
    if (this.waitingSinceMs >= 0) {
      const waitedMs = pool.context.turn.nowMs - this.waitingSinceMs
      this.waitingSinceMs = -1
      this.restartDeadlines(waitedMs, this.user !== null)
    }
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

  /** Adds (1) or takes (-1) the connection and its queue to or from the server's gauges. */
  countGauges(sign: number): void {
    const { row, statBase } = this.server
    if (this.isUp) row[statBase + ServerStat.connections] += sign
    this.tally.count(sign)
  }

  /** Takes no more requests, and closes when the last one is answered. */
  retire(): void {
    this.retired = true
    if (this.head === null) this.close(Failure.closed)
  }

  /** The upload cannot be completed: its client is closed, or sent malformed bytes. */
  abandonUpload(): void {
    this.upload = null
    this.close(Failure.closed)
  }

  onData(buf: Uint8Array, length: number): void {
    const { config, context } = this.server.pool
    this.progressMs = context.turn.nowMs
    this.stallCounted = false
    const { maxMessageBytes } = config
    if (maxMessageBytes === 0 || length <= maxMessageBytes) {
      this.input.consume(buf, length)
      return
    }
    // In pieces, so that a reply which is too large is found before it is whole.
    for (let at = 0; at < length && !this.isClosed; at += maxMessageBytes) {
      const end = Math.min(length, at + maxMessageBytes)
      this.input.consume(buf.subarray(at, end), end - at)
    }
  }

  /** Called when the queue is empty. */
  idle(): void {
    if (this.retired) this.close(Failure.closed)
    else if (this.user !== null) this.user.connectionIdle(this)
    else if (this.bulk && this.isUp) this.server.bulkDone(this)
  }

  /** Pairs the reply [start, end) with the oldest request. @returns false when the connection is closed. */
  answer(buf: Uint8Array, start: number, end: number, owned: boolean): boolean {
    if (this.user?.takesPush(this, buf, start, end)) return !this.isClosed
    const message = this.head
    if (message === null) {
      // No request awaits this reply: the pairing is lost.
      this.fail(Failure.invalid)
      return false
    }
    let verdict: number = Verdict.pass
    if (buf[start] === MINUS || message.tag !== 0) {
      verdict = this.server.pool.protocol.inspect(this, message, buf, start, end)
      if (verdict === Verdict.broken) {
        logBrokenReply(this.server, buf, start, end)
        this.fail(Failure.invalid)
        return false
      }
      if (verdict === Verdict.handled) return !this.isClosed
    }
    this.completeHead(verdict, buf, start, end, owned)
    // The reply may have ended its client, and the client the connections that it used.
    return !this.isClosed
  }

  /** The oldest request is answered by the reply [start, end). @param verdict `pass`, `drop` or `passAndCount`. */
  completeHead(verdict: number, buf: Uint8Array, start: number, end: number, owned: boolean): void {
    const message = this.head!
    this.unlinkHead(message)
    const { health } = this.server
    if (this.upload !== null && message.kind !== MessageKind.internal) this.endUpload(this.upload)
    if (verdict === Verdict.passAndCount) health.countFailure('the server said so')
    // A late reply does not undo the failure that its request was.
    else if (message.kind !== MessageKind.internal && !message.expired) health.countSuccess()
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

  /** The request was answered before it was sent whole: the server must not get the rest of it. */
  private endUpload(upload: RequestStream): void {
    this.upload = null
    this.retired = true
    upload.resume()
  }

  /** Called by the worker's coarse timer. */
  checkDeadlines(nowMs: number): void {
    checkDeadlines(this, nowMs)
  }

  onEnd(): void {
    const { server } = this
    server.losses++
    server.row[server.statBase + ServerStat.eof]++
    const pending = this.head !== null || this.input.isIncomplete
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
    return this.input.tailBytes + this.socket.pendingBytes + this.recordBytes
  }

  closeForMemory(): void {
    logClosedForMemory(this.server, this.memoryBytes)
    this.close(Failure.noMemory)
  }

  /** Closes the connection for a reason that counts: as an error, and for ejection. */
  fail(failure: FailureCode): void {
    if (this.isClosed || this.waitsInstead(failure)) return
    const { server } = this
    server.losses++
    const timedOut = failure === Failure.timedOut
    server.row[server.statBase + (timedOut ? ServerStat.timedout : ServerStat.err)]++
    server.health.logFailure(failure)
    if (!isLocal(failure)) server.health.countLoss(FAILURE_TEXTS[failure])
    this.close(failure)
  }

  /** @returns true when `fail` has no more to do: the probe has failed, or nothing was sent yet and the server may come back in time. */
  private waitsInstead(failure: FailureCode): boolean {
    const { health, pool, reconnection } = this.server
    if (this.user === reconnection) {
      reconnection.probeFailed(failure)
      this.close(failure)
      return true
    }
    if (isLocal(failure)) return false
    if (failure !== Failure.invalid) reconnection.lost(failure)
    if (this.isUp || this.retired || !reconnection.admits(this)) return false
    health.logFailure(failure)
    if (!pool.config.autoEjectHosts) health.countLoss(FAILURE_TEXTS[failure])
    this.connectDeadlineMs = 0
    this.wait()
    this.socket.abandonConnect()
    return true
  }

  /** Closes the connection at once; every request in its queue fails. */
  close(failure: FailureCode): void {
    if (this.isClosed) return
    const { server, upload } = this
    if (this.isUp) server.row[server.statBase + ServerStat.connections]--
    this.enter(ConnectionPhase.closed)
    this.upload = null
    this.input.abandonLarge()
    this.tally.close()
    this.socket.close()
    if (this.waitingSinceMs >= 0) server.reconnection.forget(this)
    server.removeConnection(this)
    this.input.close()
    const { user } = this
    this.user = null
    const losesState = user?.stateful === true && !isRefusal(failure)
    this.failAll(losesState ? deliverStateLoss : deliverFailure, failure)
    upload?.resume()
    user?.connectionLost(this)
  }
}

function logBrokenReply(server: Server, buf: Uint8Array, start: number, end: number): void {
  server.pool.limitedLog.notice('server out of step', () => {
    const text = Buffer.from(buf.subarray(start, end - 2)).toString('latin1')
    return `server ${server.config.pname} answered '${text}'`
  })
}

function logClosedForMemory({ config, pool }: Server, bytes: number): void {
  pool.limitedLog.notice('server connection closed to free memory', () => {
    const name = `server '${config.pname}' of pool '${pool.config.name}'`
    return `a connection to ${name} closed to free memory: it held ${bytes} bytes`
  })
}
