/**
 * How clients reach a worker: the primary hands them over, or the worker accepts them itself
 * (unix-domain listeners, and `reuseport: true`). Data plane.
 */

import { chmodSync, renameSync, unlinkSync } from 'node:fs'
import { constants } from 'node:os'
import { getSystemErrorName } from 'node:util'
import type { ListenHandle, RawHandle } from '../../net/handle-types.ts'
import { whenQuiet } from '../../net/quiet-close.ts'
import { bindings } from '../../net/raw-handle.ts'
import { Control, LISTENERS_A_WORKER, WorkerBlock } from '../../shared/memory-layout.ts'
import { boundPathOf } from '../../shared/socket-path.ts'
import { PoolStat } from '../../shared/stat-fields.ts'
import type { SocketOwner } from '../io/socket.ts'
import { answerLocally } from '../request/delivery.ts'
import { CloseReason } from '../request/reply-target.ts'
import type { WorkerScope } from '../request/worker-scope.ts'
import type { Pool } from '../server/pool.ts'
import { Client } from './client.ts'
import type { PoolClients } from './pool-clients.ts'
import { ProxyGreeting } from './proxy-greeting.ts'

/**
 * Makes the client of a handle that the primary accepted. The primary checked `client_connections`
 * and counted the client in `WorkerBlock.clients`.
 */
export function acceptHandedOver(clients: PoolClients, handle: unknown): void {
  clients.pool.context.turn.begin()
  const client = new Client(clients)
  clients.admit(client)
  start(client, bindings.fromHandle(handle), ownerOf(client))
}

/** @returns what reads the connection first: the PROXY header's reader, or the client. */
function ownerOf(client: Client): SocketOwner {
  return client.pool.config.proxyProtocol ? new ProxyGreeting(client) : client
}

function start(client: Client, handle: RawHandle, owner: SocketOwner): void {
  const { pool, socket } = client
  socket.adopt(handle, owner)
  if (pool.config.listen.path === '') {
    socket.setNoDelay()
    if (pool.config.tcpKeepalive) socket.setKeepAlive(pool.config.tcpKeepaliveIdleSec)
  }
  if (pool.config.clientIdleTimeoutMs > 0) pool.context.timer.arm()
  socket.readStart()
}

/** The worker's own listeners. */
export class Acceptor {
  private readonly context: WorkerScope
  private readonly find: (name: string) => PoolClients | undefined
  /** By the text of their address. */
  private readonly listeners: Map<string, readonly ListenHandle[]> = new Map()

  /** @param find looks up the clients of a configured pool by its name. */
  constructor(context: WorkerScope, find: (name: string) => PoolClients | undefined) {
    this.context = context
    this.find = find
  }

  /**
   * Listens for a pool.
   * @param hidden true: a unix socket keeps its temporary name, and the primary renames it to its
   * path.
   * @returns 0, or a negative libuv code.
   */
  listen(pool: Pool, hidden: boolean): number {
    const { listen } = pool.config
    if (this.listeners.has(listen.text)) return 0
    const handles: ListenHandle[] = []
    const sockets = listen.path === '' && pool.config.reuseport && bindings.reusePortFlag !== 0 ? LISTENERS_A_WORKER : 1
    for (let i = 0; i < sockets; i++) {
      const handle = listen.path === '' ? bindings.newTcpListener() : bindings.newPipeListener()
      handles.push(handle)
      const status = listen.path === '' ? listenTcp(handle, pool) : listenPath(handle, pool, hidden)
      if (status === 0) {
        this.acceptFrom(handle, pool)
        continue
      }
      for (const opened of handles) opened.close()
      return status
    }
    this.listeners.set(listen.text, handles)
    return 0
  }

  /**
   * Accepts connections for the pool of that name, also after a reload has changed its
   * configuration.
   */
  private acceptFrom(handle: ListenHandle, pool: Pool): void {
    const { name, listen } = pool.config
    handle.onconnection = (error, client) => {
      const current = this.find(name)
      if (error !== 0 || client === undefined)
        this.context.limitedLog.warn(
          'accept failed',
          () => `accept on '${listen.text}' failed: ${getSystemErrorName(error)}`,
        )
      else if (current === undefined) client.close()
      else this.accepted(current, client)
    }
  }

  private accepted(clients: PoolClients, handle: RawHandle): void {
    const { context } = this
    const { pool } = clients
    context.turn.begin()
    Atomics.add(context.block, WorkerBlock.clients, 1)
    const client = new Client(clients)
    const limit = context.control[Control.descriptorLimit]
    const scarce = limit > 0 && handle.fd >= limit - context.control[Control.descriptorReserve]
    const reason = scarce ? `descriptor ${handle.fd} of ${limit} is in use` : whyRefused(pool)
    clients.admit(client)
    start(client, handle, reason === '' ? ownerOf(client) : client)
    if (reason === '') return
    pool.row[pool.statBase + PoolStat.clientRefused]++
    clients.logRefused(client, reason)
    answerLocally(client, clients.protocol.tooManyClients)
    client.closeAfterReplies(CloseReason.error)
    // There is no descriptor to spare for a client that may close late. Two loop turns let the
    // worker read what the client has sent: closing with unread input would send RST, and the
    // client could lose the error line.
    if (scarce) setImmediate(() => setImmediate(() => client.close(CloseReason.none)))
  }

  /** Stops listening at an address. The primary removes the file of a unix socket. */
  unlisten(text: string): void {
    const handles = this.listeners.get(text)
    if (handles === undefined) return
    this.listeners.delete(text)
    // The worker may be told to listen at the same path next: its old socket must be closed by
    // then.
    if (text.startsWith('/')) closeAll(handles)
    else whenQuiet(this.eventCount, () => closeAll(handles))
  }

  private readonly eventCount = (): number => this.context.turn.events

  /** Stops listening everywhere. @param done called once every listener is closed. */
  close(done: () => void): void {
    const handles = [...this.listeners.values()].flat()
    this.listeners.clear()
    whenQuiet(this.eventCount, () => {
      closeAll(handles)
      done()
    })
  }
}

/**
 * The limit that the client exceeds. The client is counted for the process already, and not yet for
 * the pool.
 * @returns '' when there is none.
 */
function whyRefused(pool: Pool): string {
  const { config, context } = pool
  const most = context.control[Control.maxClients]
  if (most > 0 && context.clientsOverall() > most) return `${most} clients are all that the descriptor limit allows`
  const limit = config.clientConnections
  return limit > 0 && pool.clientsOverall() >= limit ? `client_connections is ${limit}` : ''
}

function closeAll(handles: readonly ListenHandle[]): void {
  for (const handle of handles) handle.close()
}

function listenTcp(handle: ListenHandle, pool: Pool): number {
  const { host, port } = pool.config.listen
  const flags = pool.config.reuseport ? bindings.reusePortFlag : 0
  const status = host.includes(':') ? handle.bind6!(host, port, flags) : handle.bind(host, port, flags)
  return status === 0 ? handle.listen(pool.config.backlog) : status
}

/**
 * Replaces a file that lies at the path, as nutcracker does, but in one step and only once the
 * socket listens: see `socket-path.ts`.
 */
function listenPath(handle: ListenHandle, pool: Pool, hidden: boolean): number {
  const { path, permission } = pool.config.listen
  const boundPath = boundPathOf(path)
  removeFile(boundPath)
  const bound = handle.bind(boundPath)
  const status = bound === 0 ? handle.listen(pool.config.backlog) : bound
  if (status !== 0) return status
  try {
    if (permission > 0) chmodSync(boundPath, permission)
    if (boundPath !== path && !hidden) renameSync(boundPath, path)
    return 0
  } catch (error) {
    removeFile(boundPath)
    const { code } = error as NodeJS.ErrnoException
    return -(constants.errno[code as keyof typeof constants.errno] ?? constants.errno.EIO)
  }
}

function removeFile(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // There is no file, or it cannot be removed: then `bind` fails.
  }
}
