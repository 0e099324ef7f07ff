/**
 * The shapes of Node's own TCP and Pipe handles, and where they come from. Data plane; used by `socket.ts` and `acceptor.ts` alone.
 * Source of the shapes: node lib/net.js, lib/internal/stream_base_commons.js (24.21).
 */

import { streamBindings } from './stream-handle.ts'

/** libuv's code for the end of input. */
export const UV_EOF = -4095

export interface WriteRequest {
  oncomplete: (status: number) => void
}

export interface ConnectRequest {
  oncomplete: (status: number) => void
}

export interface ShutdownRequest {
  oncomplete: (status: number) => void
}

/** All calls return 0 or a negative libuv code. */
export interface RawHandle {
  onread: () => void
  readonly fd: number
  /** Bytes of writes that the kernel has not taken. */
  readonly writeQueueSize: number
  readStart(): number
  readStop(): number
  useUserBuffer(buf: Uint8Array): void
  /** The bytes must stay unchanged until `oncomplete` when `lastWriteWasAsync` says so; else they are written when it returns. */
  writeBuffer(request: WriteRequest, buf: Uint8Array): number
  writev(request: WriteRequest, bufs: readonly Uint8Array[], allBuffers: boolean): number
  shutdown(request: ShutdownRequest): number
  close(done?: () => void): void
  reset?(done?: () => void): number
  setNoDelay?(on: boolean): number
  setKeepAlive?(on: boolean, idleSec: number): number
  connect(request: ConnectRequest, address: string, port?: number): number
  connect6?(request: ConnectRequest, address: string, port: number): number
  getpeername?(out: { address?: string; port?: number }): number
}

export interface ListenHandle extends RawHandle {
  bind(address: string, port?: number, flags?: number): number
  bind6?(address: string, port: number, flags: number): number
  listen(backlog: number): number
  onconnection: (status: number, client: RawHandle | undefined) => void
}

export interface Bindings {
  readonly streamState: Int32Array | number[]
  readonly readBytesOrError: number
  readonly lastWriteWasAsync: number
  /** SO_REUSEPORT flag for `bind`, or 0 where unknown. */
  readonly reusePortFlag: number
  newTcp(): RawHandle
  newPipe(): RawHandle
  newTcpListener(): ListenHandle
  newPipeListener(): ListenHandle
  newWrite(): WriteRequest
  newShutdown(): ShutdownRequest
  newConnect(pipe: boolean): ConnectRequest
  /** What another thread handed over (a raw handle of Node's) as this transport's handle. */
  fromHandle(handle: unknown): RawHandle
}

interface StreamWrap {
  streamBaseState: Int32Array
  kReadBytesOrError: number
  kLastWriteWasAsync: number
  WriteWrap: new () => WriteRequest
  ShutdownWrap: new () => ShutdownRequest
}

interface TcpWrap {
  TCP: new (type: number) => ListenHandle
  TCPConnectWrap: new () => ConnectRequest
  constants: { SOCKET: number; SERVER: number; UV_TCP_REUSEPORT?: number }
}

interface PipeWrap {
  Pipe: new (type: number) => ListenHandle
  PipeConnectWrap: new () => ConnectRequest
  constants: { SOCKET: number; SERVER: number }
}

type BindingOf = (name: string) => unknown

function nodeBindings(): Bindings | null {
  const binding = (process as unknown as { binding?: BindingOf }).binding
  if (binding === undefined || process.env.PISTACHIO_SOCKETS === 'stream') return null
  const stream = binding.call(process, 'stream_wrap') as Partial<StreamWrap>
  const tcp = binding.call(process, 'tcp_wrap') as Partial<TcpWrap>
  const pipe = binding.call(process, 'pipe_wrap') as Partial<PipeWrap>
  const { streamBaseState, kReadBytesOrError, kLastWriteWasAsync, WriteWrap, ShutdownWrap } = stream
  const { TCP, TCPConnectWrap, constants } = tcp
  const { Pipe, PipeConnectWrap, constants: pipeConstants } = pipe
  if (streamBaseState === undefined || kReadBytesOrError === undefined || kLastWriteWasAsync === undefined) return null
  if (WriteWrap === undefined || ShutdownWrap === undefined || TCP === undefined || constants === undefined) return null
  if (TCPConnectWrap === undefined || Pipe === undefined || PipeConnectWrap === undefined) return null
  if (pipeConstants === undefined || TCP.prototype.useUserBuffer === undefined) return null
  return {
    streamState: streamBaseState,
    readBytesOrError: kReadBytesOrError,
    lastWriteWasAsync: kLastWriteWasAsync,
    reusePortFlag: constants.UV_TCP_REUSEPORT ?? 0,
    newTcp: () => new TCP(constants.SOCKET),
    newPipe: () => new Pipe(pipeConstants.SOCKET),
    newTcpListener: () => new TCP(constants.SERVER),
    newPipeListener: () => new Pipe(pipeConstants.SERVER),
    newWrite: () => new WriteWrap(),
    newShutdown: () => new ShutdownWrap(),
    fromHandle: handle => handle as RawHandle,
    newConnect: isPipe => (isPipe ? new PipeConnectWrap() : new TCPConnectWrap()),
  }
}

/** Node's bindings where they have the known shape, else the same over `net.Socket`. */
export const bindings: Bindings = nodeBindings() ?? streamBindings()
