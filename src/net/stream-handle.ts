/**
 * The handles of `raw-handle.ts` over `net.Socket`'s public API: slower, for a Node whose internals
 * have changed. Worker threads. `PISTACHIO_SOCKETS=stream` selects it, for tests and to find out
 * whether a fault comes from Node's bindings.
 */

import { createServer, type Server, Socket } from 'node:net'
import { constants } from 'node:os'
import {
  type Bindings,
  type ConnectRequest,
  type ListenHandle,
  type RawHandle,
  type ShutdownRequest,
  UV_EOF,
  type WriteRequest,
} from './handle-types.ts'

const UV_EIO = -5
const UV_ENOTCONN = -107

/** The two words of state that Node's own binding has. */
const state = new Int32Array(2)
const READ_BYTES_OR_ERROR = 0
const LAST_WRITE_WAS_ASYNC = 1

function errnoOf(error: Error): number {
  const { code } = error as NodeJS.ErrnoException
  const errno = code === undefined ? undefined : constants.errno[code as keyof typeof constants.errno]
  return errno === undefined ? UV_EIO : -errno
}

class StreamHandle implements RawHandle {
  onread: () => void = () => {}
  readonly socket: Socket
  private target: Uint8Array = new Uint8Array(0)
  private connected: boolean

  constructor(socket: Socket, connected: boolean) {
    this.socket = socket
    this.connected = connected
    socket.pause()
    socket.on('data', (chunk: Buffer) => this.give(chunk))
    socket.on('end', () => this.tell(UV_EOF))
    socket.on('error', (error: Error) => {
      if (this.connected) this.tell(errnoOf(error))
    })
  }

  get fd(): number {
    return -1
  }

  get writeQueueSize(): number {
    return this.socket.writableLength
  }

  getpeername(out: { address?: string; port?: number }): number {
    const { remoteAddress, remotePort } = this.socket
    if (remoteAddress === undefined || remotePort === undefined) return UV_ENOTCONN
    out.address = remoteAddress
    out.port = remotePort
    return 0
  }

  private give(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; at += this.target.length) {
      const part = chunk.subarray(at, at + this.target.length)
      this.target.set(part)
      this.tell(part.length)
    }
  }

  private tell(countOrError: number): void {
    state[READ_BYTES_OR_ERROR] = countOrError
    this.onread()
  }

  readStart(): number {
    this.socket.resume()
    return 0
  }

  readStop(): number {
    this.socket.pause()
    return 0
  }

  useUserBuffer(buf: Uint8Array): void {
    this.target = buf
  }

  writeBuffer(request: WriteRequest, buf: Uint8Array): number {
    state[LAST_WRITE_WAS_ASYNC] = 1
    this.socket.write(buf, error => request.oncomplete(error ? errnoOf(error) : 0))
    return 0
  }

  writev(request: WriteRequest, bufs: readonly Uint8Array[]): number {
    return this.writeBuffer(request, Buffer.concat(bufs))
  }

  shutdown(request: ShutdownRequest): number {
    this.socket.end(() => request.oncomplete(0))
    return 0
  }

  close(done?: () => void): void {
    this.socket.removeAllListeners('data')
    this.onread = () => {}
    this.socket.destroy()
    if (done !== undefined) setImmediate(done)
  }

  setNoDelay(on: boolean): number {
    this.socket.setNoDelay(on)
    return 0
  }

  setKeepAlive(on: boolean, idleSec: number): number {
    this.socket.setKeepAlive(on, idleSec * 1000)
    return 0
  }

  connect(request: ConnectRequest, address: string, port?: number): number {
    const done = (status: number): void => {
      this.socket.off('error', failed)
      this.socket.off('connect', succeeded)
      this.connected = status === 0
      request.oncomplete(status)
    }
    const failed = (error: Error): void => done(errnoOf(error))
    const succeeded = (): void => done(0)
    this.socket.once('error', failed)
    this.socket.once('connect', succeeded)
    if (port === undefined) this.socket.connect(address)
    else this.socket.connect(port, address)
    return 0
  }

  connect6(request: ConnectRequest, address: string, port: number): number {
    return this.connect(request, address, port)
  }
}

class StreamListener extends StreamHandle implements ListenHandle {
  onconnection: (status: number, client: RawHandle | undefined) => void = () => {}
  private readonly server: Server
  private address: { host?: string; port?: number; path?: string; reusePort?: boolean } = {}

  constructor() {
    super(new Socket(), false)
    this.server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, socket =>
      this.onconnection(0, new StreamHandle(socket, true)),
    )
  }

  bind(address: string, port?: number, flags?: number): number {
    this.address = port === undefined ? { path: address } : { host: address, port, reusePort: flags !== 0 }
    return 0
  }

  bind6(address: string, port: number, flags: number): number {
    return this.bind(address, port, flags)
  }

  listen(backlog: number): number {
    this.server.on('error', error => this.onconnection(errnoOf(error), undefined))
    this.server.listen({ ...this.address, backlog })
    return 0
  }

  override close(done?: () => void): void {
    this.server.close()
    super.close(done)
  }
}

/** A request of any kind: it has only the callback. */
class StreamRequest {
  oncomplete: (status: number) => void = () => {}
}

function newHandle(): RawHandle {
  return new StreamHandle(new Socket({ allowHalfOpen: true }), false)
}

export function streamBindings(): Bindings {
  return {
    streamState: state,
    readBytesOrError: READ_BYTES_OR_ERROR,
    lastWriteWasAsync: LAST_WRITE_WAS_ASYNC,
    reusePortFlag: 1,
    newTcp: newHandle,
    newPipe: newHandle,
    newTcpListener: () => new StreamListener(),
    newPipeListener: () => new StreamListener(),
    newWrite: () => new StreamRequest(),
    newShutdown: () => new StreamRequest(),
    newConnect: () => new StreamRequest(),
    fromHandle: handle =>
      new StreamHandle(new Socket({ handle, allowHalfOpen: true } as unknown as { allowHalfOpen: boolean }), true),
  }
}
