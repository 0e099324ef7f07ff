/**
 * A TCP listening socket of the primary thread. Opened by `listener-set.ts` for pools and by `stats-server.ts` for the stats port.
 *
 * An accepted connection stays a raw handle, which moves to a worker as it is: no `net.Socket` is ever made for it (measured on 24.21 with
 * one request a connection: 57 µs of CPU each in the whole process; a worker's own listener takes 41). The handles come from
 * `process.binding`, which Node deprecates and does not document, so only this file of the primary uses it, and where it is missing the
 * same interface is served by `net.Server`.
 */

import { existsSync } from 'node:fs'
import { createServer, type Server, Socket } from 'node:net'
import { dirname } from 'node:path'
import { errorName, strerror } from '../shared/strerror.ts'
import type { NamedHandle } from './peer-name.ts'
import { whenQuiet } from './quiet-close.ts'

/** An accepted connection: transferable to a worker, not reading, owned by the last one that it was given to. */
export interface AcceptedClient extends NamedHandle {
  /** Descriptor number; the system gives the lowest that is free, so it tells how full the table is. -1 where unknown. */
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
  /** Stops accepting at once; what the kernel had queued is reset. Idempotent. */
  close(): void
  /** Accepts the connections that the kernel has already completed, then closes. Resolves when it is closed; that takes a second at most. */
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

/** An address that belongs to this process already, and that refuses connections until `listen`. */
export interface ReservedAddress {
  /** Starts to accept. Called once. Rejects with `ListenFailure`; the address is given up then. */
  listen(): Promise<Listener>
  /** Gives the address up, if it is not listened on yet. */
  close(): void
}

/** Opens a listener. Rejects with `ListenFailure`. */
export async function openListener(options: ListenerOptions): Promise<Listener> {
  return reserveAddress(options).listen()
}

/**
 * Binds an address, and so finds out whether another process has it. Where Node has no raw handles, `listen` does both.
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

/** The true name of a failure to bind a unix path: libuv says EACCES where the system said ENOENT, as on Windows. */
export function pathFailure(code: string, path: string): string {
  return code === 'EACCES' && !existsSync(dirname(path)) ? 'ENOENT' : code
}

/** Makes an ordinary socket of an accepted client, for a client that is answered here and not by a worker. */
export function socketOf(client: AcceptedClient, options: { readonly allowHalfOpen?: boolean } = {}): Socket {
  // Node's own sockets are made so; its types do not show it.
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

/** The raw binding if this Node has it in the known shape. `PISTACHIO_SOCKETS=stream` asks for public interfaces only. */
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
  // libuv keeps to itself that the address is taken until it is asked for more.
  const status = bound === 0 ? handle.getsockname({}) : bound
  if (status !== 0) throw failureOf(handle, status, 'bind')
  return handle
}

function listenRaw(handle: TcpHandle, { port, backlog }: ListenerOptions): ListeningSocket {
  const status = handle.listen(backlog)
  // Two processes can bind an address that neither listens on yet.
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

/** A socket's handle, which Node's types do not show. */
interface SocketShell {
  _handle: AcceptedClient | null
}

async function openServer(options: ListenerOptions): Promise<ListeningSocket> {
  const { address, port, backlog, reuseport } = options
  const server = createServer({ pauseOnConnect: true }, socket => {
    const shell = socket as unknown as SocketShell
    const client = shell._handle
    if (client === null) return
    // The handle is the client; the socket around it must neither close it nor keep the server open.
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
    // `net.Server` cannot change it.
    setBacklog: () => {},
    close: () => {
      server.close()
    },
  }
}
