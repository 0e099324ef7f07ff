/**
 * Node's TCP handles without a kernel: what the worker writes reaches a peer of the test's, what the peer sends is read in pieces. To be
 * installed before anything of `src/worker` is loaded, which then takes these handles for Node's own.
 *
 *     worker ── FakeHandle ═══ Peer ── scripted server, client …
 *
 * The handles are as unkind as the real ones may be: a read takes any part of what is there and its buffer is overwritten afterwards, a
 * write may be taken in part and goes on being read from its buffers until it is complete, connecting fails at once or later.
 */

import { createRequire, syncBuiltinESMExports } from 'node:module'
import type { Random } from '../support/random.ts'
import type { VirtualLoop } from './virtual-loop.ts'

const UV_EOF = -4095
const ECANCELED = -125
const EPIPE = -32
const ECONNRESET = -104
const ECONNREFUSED = -111
const EADDRNOTAVAIL = -99
const EAGAIN = 'EAGAIN'

const READ = 0
const ASYNC = 1
const streamState = new Int32Array(2)

/** Descriptors of fake handles: none of the system's is so large. */
const FIRST_FD = 1 << 24
/** What a kernel takes for a peer that reads, bytes. */
const ROOM_BYTES = 262_144

/** Beginnings and ends of messages of both protocols. */
const STALE = Buffer.from(
  '\r\n$7\r\nmessage\r\n*3\r\n$8\r\n:1\r\n$-1\r\nEND\r\nVALUE a 0 1\r\nx\r\n-ERR\r\n+OK\r\n'.repeat(4),
)

interface Request {
  oncomplete: (status: number) => void
}

/** What becomes of a connection that the worker opens. `null`: no server listens. */
export type Connect = (port: number, peer: Peer) => 'accept' | 'refuse' | 'refuse at once' | 'ignore'

/** The network of one case. */
export interface Network {
  readonly loop: VirtualLoop
  readonly random: Random
  readonly connect: Connect
  /** Bytes from the worker to a peer; an injected fault may change what arrives. */
  readonly tamper: ((peer: Peer, bytes: Buffer) => Buffer) | null
}

let network: Network | null = null
const handles = new Map<number, FakeHandle>()
let nextFd = FIRST_FD

export function useNetwork(next: Network | null): void {
  network = next
  handles.clear()
  nextFd = FIRST_FD
}

/** The test's end of a connection. */
export class Peer {
  readonly handle: FakeHandle
  /** What the peer is for, for messages. */
  name = ''
  /** Something from the worker has arrived. The bytes are the peer's. */
  onBytes: (bytes: Buffer) => void = () => {}
  /** The worker sends no more: it has shut down or closed. */
  onEnd: () => void = () => {}
  /** The worker's side is gone; comes after `onEnd`. */
  onClose: () => void = () => {}
  closedByWorker = false
  private paused = false
  private arrivesMs = 0

  constructor(handle: FakeHandle) {
    this.handle = handle
  }

  /** Sends bytes to the worker; they arrive in order, cut at `cuts`, each piece up to `lateMs` after the one before. */
  send(bytes: Buffer, cuts: readonly number[] = [], lateMs = 0): void {
    let from = 0
    for (const cut of [...cuts, bytes.length]) {
      const piece = bytes.subarray(from, cut)
      from = cut
      if (piece.length > 0) this.arrive(lateMs, () => this.handle.receive(piece))
    }
  }

  end(): void {
    this.arrive(0, () => this.handle.receiveEnd(UV_EOF))
  }

  /** RST: overtakes nothing that was sent before. */
  reset(): void {
    this.arrive(0, () => this.handle.receiveEnd(ECONNRESET))
  }

  private arrive(lateMs: number, run: () => void): void {
    const { loop, random } = network!
    const lateBy = lateMs === 0 ? 0 : random.below(lateMs + 1)
    this.arrivesMs = Math.max(this.arrivesMs, loop.nowMs) + lateBy
    loop.after(this.arrivesMs - loop.nowMs, run)
  }

  /** Reads nothing until `resume`: the kernel's buffer fills. @param roomBytes what it still takes. */
  pause(roomBytes: number): void {
    this.paused = true
    this.handle.room = roomBytes
  }

  resume(): void {
    if (!this.paused) return
    this.paused = false
    this.handle.makeRoom(ROOM_BYTES)
  }

  /** Bytes that the kernel took. */
  take(bytes: Buffer): void {
    const { loop, tamper } = network!
    const { length } = bytes
    loop.after(0, () => {
      const arrived = tamper === null ? bytes : tamper(this, bytes)
      if (arrived.length > 0) this.onBytes(arrived)
      if (!this.paused) this.handle.makeRoom(length)
    })
  }

  takeEnd(isClosed: boolean): void {
    network!.loop.after(0, () => {
      this.onEnd()
      if (!isClosed) return
      this.closedByWorker = true
      this.onClose()
    })
  }
}

interface Write {
  readonly request: Request
  readonly bufs: readonly Uint8Array[]
  readonly length: number
  taken: number
}

export class FakeHandle {
  onread: () => void = () => {}
  readonly fd: number = nextFd++
  readonly peer: Peer = new Peer(this)
  /** Bytes that the kernel still takes. */
  room: number = ROOM_BYTES
  private target: Uint8Array = new Uint8Array(0)
  private reading = false
  private isClosed = false
  private isShut = false
  private scheduled = false
  private inbox: Buffer[] = []
  /** 0, or the code with which the input ends. */
  private inputEnd = 0
  private readonly writes: Write[] = []
  private shutdownRequest: Request | null = null
  /** Of the network in which it was made: nothing happens in another. */
  private readonly network = network

  constructor() {
    handles.set(this.fd, this)
  }

  get writeQueueSize(): number {
    let bytes = 0
    for (const write of this.writes) bytes += write.length - write.taken
    return bytes
  }

  useUserBuffer(buf: Uint8Array): void {
    this.target = buf
  }

  readStart(): number {
    this.reading = true
    this.schedule()
    return 0
  }

  readStop(): number {
    this.reading = false
    return 0
  }

  receive(bytes: Buffer): void {
    if (this.isClosed) return
    this.inbox.push(bytes)
    this.schedule()
  }

  receiveEnd(code: number): void {
    if (this.isClosed || this.inputEnd !== 0) return
    this.inputEnd = code
    this.schedule()
  }

  /** RST has come, and nothing that came before it is still to be read. */
  private get isReset(): boolean {
    return this.inputEnd === ECONNRESET && this.inbox.length === 0
  }

  private schedule(): void {
    if (this.scheduled || !this.reading || this.isClosed || (this.inbox.length === 0 && this.inputEnd === 0)) return
    this.scheduled = true
    this.network!.loop.after(0, () => this.read())
  }

  private read(): void {
    this.scheduled = false
    if (!this.reading || this.isClosed) return
    if (this.inbox.length === 0) {
      const code = this.inputEnd
      this.inputEnd = 0
      if (code !== 0) this.tell(code)
      return
    }
    const piece = this.inbox[0]!
    const length = Math.min(piece.length, this.target.length)
    this.target.set(piece.subarray(0, length))
    this.leaveStale(length)
    if (length === piece.length) this.inbox.shift()
    else this.inbox[0] = piece.subarray(length)
    this.tell(length)
    // Nobody may still use what was read.
    this.target.fill(0xee, 0, length)
    this.schedule()
  }

  /** What lies behind the bytes of a read is what others once sent. */
  private leaveStale(at: number): void {
    const from = this.network!.random.below(STALE.length / 2)
    this.target.set(STALE.subarray(from, from + Math.min(STALE.length / 2, this.target.length - at)), at)
  }

  private tell(countOrError: number): void {
    streamState[READ] = countOrError
    this.onread()
  }

  writeBuffer(request: Request, buf: Uint8Array): number {
    return this.write(request, [buf])
  }

  writev(request: Request, bufs: readonly Uint8Array[]): number {
    return this.write(request, [...bufs])
  }

  private write(request: Request, bufs: readonly Uint8Array[]): number {
    streamState[ASYNC] = 0
    if (this.isClosed || this.isShut) throw new Error('a write after the end')
    if (this.isReset) return EPIPE
    let length = 0
    for (const buf of bufs) length += buf.length
    const write = { request, bufs, length, taken: 0 }
    if (this.writes.length > 0 || !this.takeFrom(write)) {
      streamState[ASYNC] = 1
      this.writes.push(write)
    }
    return 0
  }

  /** One write(2) past the queue. @returns bytes taken. @throws EAGAIN */
  writeNow(buf: Uint8Array): number {
    if (this.writes.length > 0) throw new Error('a write past those that wait')
    if (this.isReset) throw Object.assign(new Error('EPIPE'), { code: 'EPIPE' })
    const length = Math.min(this.room, buf.length)
    if (length === 0 && buf.length > 0) throw Object.assign(new Error(EAGAIN), { code: EAGAIN })
    this.deliver(buf.subarray(0, length))
    return length
  }

  private deliver(bytes: Uint8Array): void {
    this.room -= bytes.length
    this.peer.take(Buffer.from(bytes))
  }

  /** @returns whether the write is complete. */
  private takeFrom(write: Write): boolean {
    let from = 0
    for (const buf of write.bufs) {
      const start = Math.max(0, write.taken - from)
      from += buf.length
      if (start >= buf.length) continue
      const length = Math.min(this.room, buf.length - start)
      if (length === 0) return false
      this.deliver(buf.subarray(start, start + length))
      write.taken += length
      if (start + length < buf.length) return false
    }
    return true
  }

  makeRoom(bytes: number): void {
    if (this.isClosed) return
    this.room = Math.min(ROOM_BYTES, this.room + bytes)
    while (this.writes.length > 0 && this.takeFrom(this.writes[0]!)) {
      const { request } = this.writes.shift()!
      this.network!.loop.after(0, () => request.oncomplete(0))
    }
    if (this.writes.length === 0 && this.shutdownRequest !== null) this.finishShutdown()
  }

  shutdown(request: Request): number {
    this.isShut = true
    this.shutdownRequest = request
    if (this.writes.length === 0) this.finishShutdown()
    return 0
  }

  private finishShutdown(): void {
    const request = this.shutdownRequest!
    this.shutdownRequest = null
    this.peer.takeEnd(false)
    this.network!.loop.after(0, () => request.oncomplete(0))
  }

  close(): void {
    if (this.isClosed) throw new Error('a handle was closed twice')
    this.isClosed = true
    handles.delete(this.fd)
    const waiting = this.writes.splice(0).map(write => write.request)
    if (this.shutdownRequest !== null) waiting.push(this.shutdownRequest)
    for (const request of waiting) this.network!.loop.after(0, () => request.oncomplete(ECANCELED))
    this.peer.takeEnd(true)
  }

  reset(): number {
    this.close()
    return 0
  }

  connect(request: Request, _address: string, port = 0): number {
    const { loop, random, connect } = this.network!
    const verdict = connect(port, this.peer)
    if (verdict === 'refuse at once') return EADDRNOTAVAIL
    if (verdict === 'ignore') return 0
    loop.after(random.below(3), () => {
      if (this.isClosed) request.oncomplete(ECANCELED)
      else request.oncomplete(verdict === 'accept' ? 0 : ECONNREFUSED)
    })
    return 0
  }

  connect6(request: Request, address: string, port: number): number {
    return this.connect(request, address, port)
  }

  getpeername(out: { address?: string; port?: number }): number {
    out.address = '127.0.0.1'
    out.port = 40_000 + (this.fd - FIRST_FD)
    return 0
  }

  setNoDelay(): number {
    return 0
  }

  setKeepAlive(): number {
    return 0
  }
}

class FakeRequest implements Request {
  oncomplete: (status: number) => void = () => {}
}

/** Puts the handles in the place of Node's. */
export function installTransport(): void {
  const constants = { SOCKET: 0, SERVER: 1, UV_TCP_REUSEPORT: 0 }
  const bindings: Record<string, unknown> = {
    stream_wrap: {
      streamBaseState: streamState,
      kReadBytesOrError: READ,
      kLastWriteWasAsync: ASYNC,
      WriteWrap: FakeRequest,
      ShutdownWrap: FakeRequest,
    },
    tcp_wrap: { TCP: FakeHandle, TCPConnectWrap: FakeRequest, constants },
    pipe_wrap: { Pipe: FakeHandle, PipeConnectWrap: FakeRequest, constants },
  }
  const host = process as unknown as { binding: (name: string) => unknown }
  const realBinding = host.binding.bind(process)
  host.binding = name => bindings[name] ?? realBinding(name)
  const fs = createRequire(import.meta.url)('node:fs') as { writeSync: (...args: unknown[]) => number }
  const realWrite = fs.writeSync
  fs.writeSync = (fd, buf, start, length, ...more) => {
    const handle = handles.get(fd as number)
    if (handle === undefined) return realWrite(fd, buf, start, length, ...more)
    const from = (start as number | undefined) ?? 0
    return handle.writeNow((buf as Uint8Array).subarray(from, from + ((length as number | undefined) ?? Infinity)))
  }
  syncBuiltinESMExports()
}
