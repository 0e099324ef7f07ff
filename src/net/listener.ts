/**
 * A TCP listening socket of the primary thread. `listener-set.ts` opens those of pools and
 * `stats-server.ts` that of the stats port.
 *
 * An accepted connection stays a raw handle, and the primary transfers the handle to a worker: no
 * `net.Socket` is made for it (measured on 24.21 with one request a connection: 57 µs of CPU each
 * in the whole process; a worker's own listener takes 41). The handles come from `process.binding`,
 * which Node deprecates and does not document. Of the primary only this file uses it. Where it is
 * missing, `net.Server` implements the same interface.
 */

import { existsSync } from 'node:fs'
import { createServer, type Server, Socket } from 'node:net'
import { dirname } from 'node:path'
import { errorName, strerror } from '../shared/strerror.ts'
import type { NamedHandle } from './peer-name.ts'
import { whenQuiet } from './quiet-close.ts'

/**
 * An accepted connection that does not read yet. It can be transferred to a worker, which then owns
 * it.
 */
export interface AcceptedClient extends NamedHandle {
  /**
   * Descriptor number; -1 where unknown. The system gives the lowest free one, so it shows how many
   * descriptors are in use.
   */
  readonly fd: number
  close(): void
}

export interface ListenerOptions {
  /** Numeric address. */
  readonly address: string
  /** 0 = any free port. */
  readonly port: number
  readonly backlog: number
  readonly reuseport: boolean
  readonly onClient: (client: AcceptedClient) => void
  /** Accepting failed. @param code errno name. The listener stays open. */
  readonly onError: (code: string) => void
}

export interface Listener {
  readonly fd: number
  readonly port: number
  /** Changes the length of the kernel's queue. */
  setBacklog(backlog: number): void
  /** Stops accepting now; connections that the kernel has queued are reset. Idempotent. */
  close(): void
  /**
   * Accepts the connections that the kernel has completed, then closes. Resolves when it is closed,
   * after a second at most.
   */
  closeWhenQuiet(): Promise<void>
}

/** Why a listener could not be opened. */
export class ListenFailure extends Error {
  /** Errno name. */
  readonly code: string
  /** Descriptor of the socket, or -1 where unknown. */
  readonly fd: number
  readonly step: 'bind' | 'listen'

  constructor(code: string, fd: number, step: 'bind' | 'listen') {
    super(strerror(code))
    this.name = 'ListenFailure'
    this.code = code
    this.fd = fd
    this.step = step
  }
}

/** An address that is bound by this process, and that refuses connections until `listen`. */
export interface ReservedAddress {
  /**
   * Starts to accept. Called once. Rejects with `ListenFailure`, and then the address is released.
   */
  listen(): Promise<Listener>
  /** Releases the address, if `listen` has not been called. */
  close(): void
}

/** Opens a listener. Rejects with `ListenFailure`. */
export async function openListener(options: ListenerOptions): Promise<Listener> {
  return reserveAddress(options).listen()
}

/**
 * Binds an address, which fails when another process has it. Where Node has no raw handles,
 * `listen` binds it.
 * @throws ListenFailure
 */
export function reserveAddress(options: ListenerOptions): ReservedAddress {
  let accepted = 0
  const onClient = (client: AcceptedClient): void => {
    accepted++
    options.onClient(client)
  }
  const counted = { ...options, onClient }
  const bound = tcpWrap === null ? null : bindRaw(tcpWrap, counted)
  const listen = async (): Promise<Listener> => {
    const socket = bound === null ? await openServer(counted) : listenRaw(bound, counted)
    const closeWhenQuiet = (): Promise<void> =>
      new Promise(resolve => {
        const close = (): void => {
          socket.close()
          resolve()
        }
        whenQuiet(() => accepted, close)
      })
    return { ...socket, closeWhenQuiet }
  }
  return { listen, close: () => bound?.close() }
}

/** The system's name of a failure to bind a unix path: libuv reports EACCES for ENOENT. */
export function pathFailure(code: string, path: string): string {
  return code === 'EACCES' && !existsSync(dirname(path)) ? 'ENOENT' : code
}

/** Makes a `net.Socket` of an accepted client that the primary answers itself. */
export function socketOf(client: AcceptedClient, options: { readonly allowHalfOpen?: boolean } = {}): Socket {
  // Node makes its own sockets with this option; its types do not have it.
  const withHandle: object = { ...options, handle: client }
  return new Socket(withHandle)
}

type ListeningSocket = Omit<Listener, 'closeWhenQuiet'>

interface TcpHandle extends AcceptedClient {
  bind(address: string, port: number, flags: number): number
  bind6(address: string, port: number, flags: number): number
  listen(backlog: number): number
  getsockname(out: { port?: number }): number
  onconnection: (status: number, client: TcpHandle | undefined) => void
}

interface TcpWrap {
  readonly TCP: new (type: number) => TcpHandle
  readonly constants: { readonly SERVER: number; readonly UV_TCP_REUSEPORT: number }
}

const tcpWrap = findTcpWrap()

/**
 * The raw binding, if this Node has it in the known shape. `PISTACHIO_SOCKETS=stream` selects
 * Node's public interfaces.
 */
function findTcpWrap(): TcpWrap | null {
  const { binding } = process as { binding?: (name: string) => Partial<TcpWrap> }
  if (binding === undefined || process.env.PISTACHIO_SOCKETS === 'stream') return null
  const { TCP, constants } = binding.call(process, 'tcp_wrap')
  if (TCP === undefined || constants?.SERVER === undefined || constants.UV_TCP_REUSEPORT === undefined) return null
  return { TCP, constants }
}

function bindRaw({ TCP, constants }: TcpWrap, options: ListenerOptions): TcpHandle {
  const { address, port, onClient, onError } = options
  const handle = new TCP(constants.SERVER)
  const flags = options.reuseport ? constants.UV_TCP_REUSEPORT : 0
  const bound = address.includes(':') ? handle.bind6(address, port, flags) : handle.bind(address, port, flags)
  handle.onconnection = (status, client) => {
    if (client === undefined) onError(errorName(status))
    else onClient(client)
  }
  // libuv reports that the address is in use with the next call only.
  const status = bound === 0 ? handle.getsockname({}) : bound
  if (status !== 0) throw failureOf(handle, status, 'bind')
  return handle
}

function listenRaw(handle: TcpHandle, { port, backlog }: ListenerOptions): ListeningSocket {
  const status = handle.listen(backlog)
  // Two processes can bind the same address while neither listens on it.
  if (status !== 0) throw failureOf(handle, status, errorName(status) === 'EADDRINUSE' ? 'bind' : 'listen')
  const name: { port?: number } = {}
  handle.getsockname(name)
  return {
    fd: handle.fd,
    port: name.port ?? port,
    setBacklog: length => {
      handle.listen(length)
    },
    close: () => handle.close(),
  }
}

function failureOf(handle: TcpHandle, status: number, step: ListenFailure['step']): ListenFailure {
  const { fd } = handle
  handle.close()
  return new ListenFailure(errorName(status), fd, step)
}

/** A socket's handle, which Node's types do not have. */
interface SocketShell {
  _handle: AcceptedClient | null
}

async function openServer(options: ListenerOptions): Promise<ListeningSocket> {
  const { address, port, backlog, reuseport } = options
  const server = createServer({ pauseOnConnect: true }, socket => {
    const shell = socket as unknown as SocketShell
    const client = shell._handle
    if (client === null) return
    // The handle is the client; the socket around it must neither close it nor keep the server
    // open.
    shell._handle = null
    socket.destroy()
    options.onClient(client)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(new ListenFailure(error.code ?? '', -1, 'bind')))
    server.listen({ host: address, port, backlog, reusePort: reuseport }, resolve)
  })
  server.removeAllListeners('error')
  server.on('error', (error: NodeJS.ErrnoException) => options.onError(error.code ?? error.message))
  return serverListener(server, port)
}

function serverListener(server: Server, port: number): ListeningSocket {
  const bound = server.address()
  return {
    fd: (server as unknown as SocketShell)._handle?.fd ?? -1,
    port: bound !== null && typeof bound === 'object' ? bound.port : port,
    // `net.Server` cannot change its backlog.
    setBacklog: () => {},
    close: () => {
      server.close()
    },
  }
}
