/**
 * The shapes of Node's own TCP and Pipe handles. Both threads; `raw-handle.ts` has Node's own,
 * `stream-handle.ts` implements them over Node's public interfaces. Source of the shapes: node
 * lib/net.js, lib/internal/stream_base_commons.js (24.21).
 */

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
  /**
   * When `lastWriteWasAsync` is set afterwards, the bytes must stay unchanged until `oncomplete`.
   * Otherwise they are written already.
   */
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
  /**
   * @param handle a raw handle of Node's that the primary handed over.
   * @returns it as a handle of this transport.
   */
  fromHandle(handle: unknown): RawHandle
}
