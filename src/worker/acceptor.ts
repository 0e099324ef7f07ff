/**
 * How clients reach a worker: handed over by the primary, or accepted here (unix-domain listeners, and `reuseport: true`). Data plane.
 */

import { chmodSync, unlinkSync } from 'node:fs'
import { getSystemErrorName } from 'node:util'
import { WorkerSlot } from '../shared/layout.ts'
import { PoolStat } from '../stats/fields.ts'
import { Client, CloseReason } from './client.ts'
import type { Context } from './context.ts'
import { answerLocally } from './delivery.ts'
import type { Pool } from './pool.ts'
import { bindings, type ListenHandle, type RawHandle } from './raw-handle.ts'

/** A handle that the primary accepted. `client_connections` was checked there, and the client counted in `WorkerSlot.clients`. */
export function acceptHandedOver(pool: Pool, handle: unknown): void {
  pool.context.turn.begin()
  const client = new Client(pool)
  pool.admit(client)
  start(client, bindings.fromHandle(handle))
}

function start(client: Client, handle: RawHandle): void {
  const { pool, socket } = client
  socket.adopt(handle, client)
  if (pool.config.listen.path === '') {
    socket.setNoDelay()
    if (pool.config.tcpKeepalive) socket.setKeepAlive(pool.config.tcpKeepaliveIdleSec)
  }
  if (pool.config.clientIdleTimeoutMs > 0) pool.context.armTimer()
  socket.readStart()
  if (pool.context.draining) client.drain()
}

/** The listeners that this worker owns, by the text of their address. */
export class Acceptor {
  private readonly context: Context
  private readonly listeners: Map<string, ListenHandle> = new Map()

  constructor(context: Context) {
    this.context = context
  }

  /** Listens for a pool. @returns 0, or a negative libuv code. */
  listen(pool: Pool): number {
    const { listen, backlog } = pool.config
    if (this.listeners.has(listen.text)) return 0
    const handle = listen.path === '' ? bindings.newTcpListener() : bindings.newPipeListener()
    const name = pool.config.name
    let status = listen.path === '' ? bindTcp(handle, pool) : bindPath(handle, listen.path)
    if (status === 0) status = handle.listen(backlog)
    if (status !== 0) {
      handle.close()
      return status
    }
    if (listen.permission > 0) chmodSync(listen.path, listen.permission)
    handle.onconnection = (error, client) => {
      const current = this.context.pools.find(candidate => candidate.config.name === name)
      if (error !== 0 || client === undefined)
        this.context.log.warn(`accept on '${listen.text}' failed: ${getSystemErrorName(error)}`)
      else if (current === undefined) client.close()
      else this.accepted(current, client)
    }
    this.listeners.set(listen.text, handle)
    return 0
  }

  private accepted(pool: Pool, handle: RawHandle): void {
    const { context } = this
    context.turn.begin()
    Atomics.add(context.slot, WorkerSlot.clients, 1)
    const client = new Client(pool)
    const limit = pool.config.clientConnections
    const clients = pool.clientsOverall()
    pool.admit(client)
    start(client, handle)
    if (limit > 0 && clients >= limit) {
      pool.row[pool.statBase + PoolStat.clientRefused]++
      answerLocally(client, pool.protocol.tooManyClients)
      client.closeAfterReplies(CloseReason.error)
    }
  }

  /** Stops listening at an address. The socket's file is the primary's to remove. */
  unlisten(text: string): void {
    const handle = this.listeners.get(text)
    if (handle === undefined) return
    this.listeners.delete(text)
    handle.close()
  }

  close(): void {
    for (const text of [...this.listeners.keys()]) this.unlisten(text)
  }
}

function bindTcp(handle: ListenHandle, pool: Pool): number {
  const { host, port } = pool.config.listen
  const flags = pool.config.reuseport ? bindings.reusePortFlag : 0
  return host.includes(':') ? handle.bind6!(host, port, flags) : handle.bind(host, port, flags)
}

/** As nutcracker: whatever lies at the path gives way. */
function bindPath(handle: ListenHandle, path: string): number {
  try {
    unlinkSync(path)
  } catch {
    // Nothing lay there, or it cannot go: bind tells.
  }
  return handle.bind(path)
}
