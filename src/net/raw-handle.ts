/**
 * The worker's handles, from Node's own bindings, which Node has but does not document. Data plane;
 * only `socket.ts` and `acceptor.ts` use them. Why not `net.Socket`:
 * `docs/decisions/0001-node-handles.md`.
 */

import type {
  Bindings,
  ConnectRequest,
  ListenHandle,
  RawHandle,
  ShutdownRequest,
  WriteRequest,
} from './handle-types.ts'
import { streamBindings } from './stream-handle.ts'

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

/**
 * Node's bindings where they have the known shape; otherwise the same interface over `net.Socket`.
 */
export const bindings: Bindings = nodeBindings() ?? streamBindings()
