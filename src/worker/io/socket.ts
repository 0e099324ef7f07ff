/**
 * A connection's transport: reads into the one buffer of its worker, and writes its output once a turn. Data plane.
 *
 *     append ─▶ slab ─┐ flush (turn.ts)
 *                     ├──────────────▶ one write ──▶ kernel took all: the slab goes back to the pool
 *     appendOwned ─▶ queue                        └─▶ it took a part: the rest is Node's; later output waits in `queue`
 *
 * It drives the TCP and Pipe handles of Node itself (`process.binding`, undocumented), because a `net.Socket` costs 30 µs to make and 2 µs
 * a write on top of the system call, and a handle costs 4 and 0.4. Where the binding is missing, `stream-handle.ts` gives the same
 * interface over `net.Socket`'s public API.
 */

import { writeSync } from 'node:fs'
import { assert } from '../../bytes/assert.ts'
import { headOf, newWordBuffer } from '../../bytes/word-buffer.ts'
import { type ConnectRequest, type RawHandle, UV_EOF, type WriteRequest } from '../../net/handle-types.ts'
import { peerName } from '../../net/peer-name.ts'
import { bindings } from '../../net/raw-handle.ts'
import type { Slab } from '../memory/slab.ts'
import type { WorkerMemory } from '../memory/worker-memory.ts'
import { NO_SLABS, Output } from './output.ts'
import type { Turn } from './turn.ts'

/**
 * Bytes one read may take: one buffer a worker, lent to the owner for the duration of `onData`. Measured with values of 1 MiB: 64 KiB 407 µs of
 * CPU a SET, 256 KiB 337, 1 MiB 350.
 */
const READ_BUFFER_BYTES = 262_144

/** What a connection does with its socket's events. All are called from the event loop, never from within `append`. */
export interface SocketOwner {
  /** Bytes [0, length) of buf; valid until the call returns. */
  onData(buf: Uint8Array, length: number): void
  /** The peer finished sending. */
  onEnd(): void
  /** The connection broke. @param errno negative libuv code. The owner must call `close`. */
  onError(errno: number): void
  /** Queued output fell to nothing after it could not be written at once. */
  onDrain(): void
}

interface OwnedHandle extends RawHandle {
  /** The socket that owns the handle, found again in callbacks. */
  pistachio: Socket | null
}

interface OwnedWrite extends WriteRequest {
  memory: WorkerMemory
  socket: Socket | null
  /** What is being written, kept from the garbage collector; and the slabs among it, which go back to the pool afterwards. */
  buffer: Uint8Array | readonly Uint8Array[] | null
  slabs: Slab[]
  /** Bytes of it that came by `appendOwned`. */
  ownedBytes: number
}

/** One read buffer for all sockets of this thread; a handle keeps its address, so it is never replaced. */
const readBuffer = newWordBuffer(READ_BUFFER_BYTES)
const { streamState, readBytesOrError, lastWriteWasAsync } = bindings

function onRead(this: OwnedHandle): void {
  const count = streamState[readBytesOrError]
  const socket = this.pistachio
  if (socket === null || count === 0) return
  if (count > 0) {
    socket.turn.begin()
    socket.bytesRead += count
    socket.owner!.onData(readBuffer, count)
  } else if (count === UV_EOF) {
    socket.turn.begin()
    socket.readStop()
    socket.owner!.onEnd()
  } else {
    socket.turn.begin()
    socket.owner!.onError(count)
  }
}

function onWritten(this: OwnedWrite, status: number): void {
  const socket = this.socket
  this.buffer = null
  this.memory.slabs.releaseAll(this.slabs)
  this.slabs = NO_SLABS
  this.memory.lent.count(-this.ownedBytes)
  this.ownedBytes = 0
  if (socket === null) return
  socket.turn.begin()
  socket.written(status)
}

function onShutdown(): void {}

export class Socket extends Output {
  handle: OwnedHandle | null = null
  owner: SocketOwner | null = null
  /** Bytes of the write in flight; 0 = none is. */
  writingBytes = 0
  /** A write is in flight: the kernel did not take it whole. */
  writing = false
  /** The worker reads the connection. */
  reading = false
  /** false while it connects, and after `writeAhead`: output gathers. */
  writable = false
  /** The kernel took the last write whole: the next one may be tried without a copy. A refused try costs an exception. */
  private flowing = true
  bytesRead = 0
  /** For the next write; null = the last one is in flight, or there was none. */
  request: OwnedWrite | null = null

  /** @param gathersLarge see `Output`. */
  constructor(turn: Turn, gathersLarge = false) {
    super(turn, gathersLarge)
  }

  /** Takes an accepted, connected handle. The owner hears of it from the first read on. */
  adopt(handle: RawHandle, owner: SocketOwner): void {
    assert(this.handle === null, 'a socket takes one handle')
    this.attach(handle, owner)
    this.writable = true
  }

  /**
   * Begins to connect. `done(status)` is called later with 0 or a negative libuv code; until then output gathers.
   * @returns 0, or a negative libuv code when it failed at once (then `done` is not called).
   */
  connect(address: string, port: number, owner: SocketOwner, done: (status: number) => void): number {
    const handle = port === 0 ? bindings.newPipe() : bindings.newTcp()
    this.attach(handle, owner)
    const request = bindings.newConnect(port === 0)
    request.oncomplete = (status: number): void => {
      if (this.closed || this.handle !== handle) return
      this.turn.begin()
      if (status === 0) {
        this.writable = true
        this.markDirty()
      }
      done(status)
    }
    return connectHandle(handle, request, address, port)
  }

  /** Gives up a connect that failed or hangs. What was gathered stays, for the next `connect`. */
  abandonConnect(): void {
    assert(!this.writable, 'the socket is connecting')
    const { handle } = this
    if (handle === null) return
    handle.pistachio = null
    handle.close()
    this.handle = null
  }

  private attach(handle: RawHandle, owner: SocketOwner): void {
    const owned = handle as OwnedHandle
    owned.pistachio = this
    owned.onread = onRead
    owned.useUserBuffer(readBuffer)
    this.handle = owned
    this.owner = owner
  }

  readStart(): void {
    if (this.reading || this.closed) return
    this.reading = true
    this.handle!.readStart()
  }

  readStop(): void {
    if (!this.reading || this.closed) return
    this.reading = false
    this.handle!.readStop()
  }

  /** Address of the other end, for the log; '' where it has none. */
  peerName(): string {
    return this.handle === null ? '' : peerName(this.handle)
  }

  setNoDelay(): void {
    this.handle?.setNoDelay?.(true)
  }

  /** @param idleSec seconds before the first probe; 0 = the system's. */
  setKeepAlive(idleSec: number): void {
    this.handle?.setKeepAlive?.(true, idleSec)
  }

  /**
   * Writes bytes [start, end) of buf at once, from where they lie, as far as the kernel takes them, and copies the rest. For bodies that
   * pass through: a megabyte costs no copy (measured: SET of 1 MiB, see `docs/decisions/0006-large-values-pass-through.md`).
   */
  writeThrough(buf: Uint8Array, start: number, end: number): void {
    if (this.closed) return
    if (this.outLength > 0) this.flush()
    let at = start
    if (this.flowing && this.writable && !this.writing && this.outLength === 0 && this.queue.length === 0) {
      at += writeNow(this.handle!.fd, buf, start, end)
      this.flowing = at === end
    }
    if (at < end) this.append(buf, at, end)
  }

  /**
   * Writes buf at once, ahead of the output that has gathered. That, and what is appended from now on, waits for `openOutput`: the peer's answer
   * decides whether it may be sent. The socket must be connected, without a write in flight. The buffer belongs to the socket from now on.
   */
  writeAhead(buf: Uint8Array): void {
    if (this.closed) return
    this.writable = false
    const request = this.takeRequest()
    const status = this.handle!.writeBuffer(request, buf)
    if (status !== 0) this.failLater(status)
    else if (streamState[lastWriteWasAsync] !== 0) this.wait(request, buf, NO_SLABS, buf.length)
  }

  /** Ends the wait that `writeAhead` began. */
  openOutput(): void {
    if (this.closed) return
    this.writable = true
    if (this.pendingBytes > 0) this.markDirty()
  }

  /** Output that the kernel has not taken, bytes: `pendingBytes` without what it took of the write in flight. */
  get unwrittenBytes(): number {
    const inFlight = this.handle === null ? 0 : this.handle.writeQueueSize
    return this.queuedBytes - this.writingBytes + inFlight + this.outLength
  }

  protected override canFlush(): boolean {
    return this.writable && !this.writing
  }

  /** Hands all gathered output to the kernel, or to Node where the kernel's buffer is full. Called once a turn. */
  override flush(): void {
    if (this.closed || !this.writable || this.writing) return
    if (this.queue.length > 0) {
      this.flushQueue()
      return
    }
    const length = this.outLength
    if (length === 0) return
    const slab = this.slab!
    const view = headOf(slab, length)
    const request = this.takeRequest()
    const status = this.handle!.writeBuffer(request, view)
    this.outLength = 0
    this.slab = null
    if (status === 0 && streamState[lastWriteWasAsync] !== 0) {
      this.wait(request, view, [slab], length)
      return
    }
    this.slabs.release(slab)
    if (status === 0) this.flowing = true
    else this.failLater(status)
  }

  private flushQueue(): void {
    if (this.outLength > 0) this.queueSlab()
    const slabs = this.queuedSlabs
    this.queuedSlabs = NO_SLABS
    const owned = this.ownedBytes
    this.ownedBytes = 0
    const chunks = this.queue
    this.queue = []
    const bytes = this.queuedBytes
    this.queuedBytes = 0
    const request = this.takeRequest()
    const status =
      chunks.length === 1 ? this.handle!.writeBuffer(request, chunks[0]) : this.handle!.writev(request, chunks, true)
    if (status === 0 && streamState[lastWriteWasAsync] !== 0) {
      this.wait(request, chunks, slabs, bytes)
      request.ownedBytes = owned
      return
    }
    this.slabs.releaseAll(slabs)
    this.turn.memory.lent.count(-owned)
    if (status !== 0) {
      this.failLater(status)
      return
    }
    this.flowing = true
    this.owner!.onDrain()
  }

  /** A request object serves any number of writes that end at once; one that waits is spent. */
  private takeRequest(): OwnedWrite {
    let request = this.request
    if (request === null) {
      request = bindings.newWrite() as OwnedWrite
      request.oncomplete = onWritten
      request.socket = this
      request.buffer = null
      request.memory = this.turn.memory
      request.slabs = NO_SLABS
      request.ownedBytes = 0
      this.request = request
    }
    return request
  }

  private wait(request: OwnedWrite, buffer: Uint8Array | readonly Uint8Array[], slabs: Slab[], bytes: number): void {
    request.buffer = buffer
    request.slabs = slabs
    this.request = null
    this.flowing = false
    this.writing = true
    this.writingBytes = bytes
    this.queuedBytes += bytes
  }

  /** A write that waited has ended. @param status 0 or a negative libuv code. */
  written(status: number): void {
    if (this.closed) return
    this.writing = false
    this.queuedBytes -= this.writingBytes
    this.writingBytes = 0
    if (status !== 0) {
      this.owner!.onError(status)
      return
    }
    if (this.queue.length > 0) {
      this.flush()
      return
    }
    if (this.outLength > 0) this.flush()
    if (!this.closed && !this.writing) this.owner!.onDrain()
  }

  /** Errors of a write are told in a turn of their own, never from within the caller's step. */
  private failLater(status: number): void {
    setImmediate(() => {
      if (this.closed) return
      this.turn.begin()
      this.owner!.onError(status)
    })
  }

  /** Sends FIN after what was written. Reading goes on. */
  shutdown(): void {
    if (this.closed || this.handle === null) return
    const request = bindings.newShutdown()
    request.oncomplete = onShutdown
    this.handle.shutdown(request)
  }

  /** Closes at once; unsent output is dropped. Idempotent; no event follows. */
  close(): void {
    if (this.closed) return
    this.closed = true
    this.writable = false
    this.reading = false
    this.dropOutput()
    this.writingBytes = 0
    if (this.handle !== null) {
      this.handle.pistachio = null
      this.handle.close()
      this.handle = null
    }
    if (this.request !== null) {
      this.request.socket = null
      this.request = null
    }
    this.owner = null
  }

  /** Closes with RST where the transport can, so that the peer does not wait. */
  reset(): void {
    const handle = this.handle
    if (this.closed || handle === null || handle.reset === undefined || this.writing) {
      this.close()
      return
    }
    handle.pistachio = null
    handle.reset()
    this.handle = null
    this.close()
  }
}

/** One write(2). @returns bytes that the kernel took; 0 also for an error, which the next ordinary write meets again. */
function writeNow(fd: number, buf: Uint8Array, start: number, end: number): number {
  if (fd < 0) return 0
  try {
    return writeSync(fd, buf, start, end - start)
  } catch {
    // EAGAIN, once for each time that the kernel's buffer fills: from then on output waits in the queue.
    return 0
  }
}

function connectHandle(handle: RawHandle, request: ConnectRequest, address: string, port: number): number {
  if (port === 0) return handle.connect(request, address)
  return address.includes(':') ? handle.connect6!(request, address, port) : handle.connect(request, address, port)
}
