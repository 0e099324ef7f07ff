/**
 * A worker's insides on the test's own thread: one context, one pool, scripted servers behind it,
 * and a listener before it that hands its clients over as the primary does.
 */

import type { Socket } from 'node:net'
import { expect } from 'vitest'
import { diffConfigs } from '../../../src/config/diff.ts'
import { type Listener, openListener } from '../../../src/net/listener.ts'
import { fillTable, shapeOf, tableInput } from '../../../src/routing/ring-table.ts'
import type { PoolConfig } from '../../../src/shared/config.ts'
import { Health, PoolHead, SharedLayout, WorkerBlock } from '../../../src/shared/memory-layout.ts'
import type { FromWorker, Generation } from '../../../src/shared/messages.ts'
import { POOL_FIELDS, SERVER_FIELDS } from '../../../src/shared/stat-fields.ts'
import { acceptHandedOver } from '../../../src/worker/client/acceptor.ts'
import type { Client } from '../../../src/worker/client/client.ts'
import type { PoolClients } from '../../../src/worker/client/pool-clients.ts'
import type { Context } from '../../../src/worker/context.ts'
import type { Pool } from '../../../src/worker/server/pool.ts'
import type { Server } from '../../../src/worker/server/server.ts'
import type { ServerConnection } from '../../../src/worker/server/server-connection.ts'
import { poolOf, serverAt } from '../generation.ts'
import { type RecordingLog, recordingLog } from '../recording-log.ts'
import { waitUntil } from '../wait.ts'
import { Wire } from '../wire/wire.ts'
import { newContext } from './new-context.ts'
import { type Answer, ScriptedServer } from './scripted-server.ts'
import { AT_REST, WatchedMemory } from './watched-memory.ts'

type PoolField = (typeof POOL_FIELDS)[number]['name']
type ServerField = (typeof SERVER_FIELDS)[number]['name']

export interface HarnessOptions {
  readonly pool?: Partial<PoolConfig>
  /** How many servers; they are named s0, s1 … Default 1. */
  readonly servers?: number
  readonly answer?: Answer
  /** Of the one worker; default 0, no limit. */
  readonly memoryLimitBytes?: number
  /** Serves the servers' connections in place of `answer`. */
  readonly sockets?: (socket: Socket) => void
}

/** What tests look at in a connection, private fields included. */
export type ServerConnectionView = ServerConnection

const WORKERS = 1

export class Harness {
  readonly context: Context
  /** What the worker lends. */
  readonly memory: WatchedMemory
  readonly servers: ScriptedServer[]
  readonly posts: FromWorker[]
  readonly logs: RecordingLog
  config: PoolConfig
  #generation = 0
  /** The pools that the worker has. */
  #pools: readonly PoolConfig[] = []
  #listener: Listener | null = null
  readonly #wires: Wire[] = []

  private constructor(servers: ScriptedServer[], options: HarnessOptions) {
    this.servers = servers
    this.posts = []
    this.logs = recordingLog()
    this.config = poolOf('p', {
      distribution: 'modula',
      servers: servers.map((server, i) => serverAt(`s${i}`, server.port)),
      ...options.pool,
    })
    this.context = newContext(this.logs.log, options.memoryLimitBytes, message => void this.posts.push(message))
    this.memory = new WatchedMemory(this.context.turn.memory)
    this.memory.watchMessages(this.context.messages)
    this.adopt([this.config])
  }

  static async start(options: HarnessOptions = {}): Promise<Harness> {
    const count = options.servers ?? 1
    const servers = await Promise.all(
      Array.from({ length: count }, () => ScriptedServer.start(options.answer, options.sockets)),
    )
    const harness = new Harness(servers, options)
    harness.#listener = await openListener({
      address: '127.0.0.1',
      port: 0,
      backlog: 512,
      reuseport: false,
      onClient: handle => {
        Atomics.add(harness.context.block, WorkerBlock.clients, 1)
        acceptHandedOver(harness.clients, handle)
      },
      onError: code => expect.fail(code),
    })
    return harness
  }

  /** The pool's clients in the worker. */
  get clients(): PoolClients {
    return this.context.pools[0]!
  }

  get pool(): Pool {
    return this.clients.pool
  }

  /** The only server, or the first. */
  get server(): ScriptedServer {
    return this.servers[0]!
  }

  /** The only client that the worker has. */
  get client(): Client {
    expect(this.clients.members.size).toBe(1)
    return [...this.clients.members][0]!
  }

  /** Gives the worker a configuration: the first, or a reload. */
  adopt(pools: readonly PoolConfig[]): Generation {
    const shapes = pools.map(shapeOf)
    const layout = new SharedLayout(WORKERS, shapes)
    const shared = layout.allocate()
    for (const [i, pool] of pools.entries()) {
      const live = pool.servers.map((_, server) => server)
      fillTable(tableInput(pool, live), layout.table(shared, i, 0))
      layout.poolHead(shared, i)[PoolHead.liveServers] = live.length
    }
    const generation = { id: this.#generation++, config: { pools }, shapes, shared }
    const { common } = diffConfigs({ pools: this.#pools }, { pools })
    this.#pools = pools
    this.context.turn.begin()
    this.context.adopt(generation, common)
    return generation
  }

  /** Reloads the pool with changes. */
  reload(changes: Partial<PoolConfig>): void {
    this.config = { ...this.config, ...changes }
    this.adopt([this.config])
  }

  /** Opens a client connection that the worker has taken. */
  async wire(): Promise<Wire> {
    const before = this.clients.members.size
    const wire = await this.connect()
    await waitUntil(() => this.clients.members.size > before, 'the worker to take the client')
    return wire
  }

  /** Opens a connection, whatever the worker makes of it. */
  async connect(): Promise<Wire> {
    const wire = await Wire.open({ port: this.#listener!.port })
    this.#wires.push(wire)
    return wire
  }

  /** The worker's view of a server. */
  serverOf(server: number): Server {
    return this.pool.servers[server]!
  }

  /** The first shared connection to a server, with its private fields. */
  connectionTo(server: number): ServerConnectionView {
    const { connections } = this.serverOf(server) as unknown as { connections: ServerConnectionView[] }
    return connections[0]!
  }

  /** Runs the coarse timer's check as if this time had passed since the turn. */
  passTime(ms: number): void {
    this.context.turn.begin()
    this.pool.checkDeadlines(this.context.turn.nowMs + ms)
  }

  /** A key that the pool sends to this server; another for each label. */
  keyFor(server: number, label: string | number = ''): string {
    for (let i = 0; ; i++) {
      const key = `k${label}-${i}`
      const bytes = Buffer.from(key, 'latin1')
      if (this.pool.router.route(bytes, 0, bytes.length) === server) return key
    }
  }

  poolStat(name: PoolField): number {
    return this.pool.row[this.pool.statBase + POOL_FIELDS.findIndex(field => field.name === name)]!
  }

  serverStat(server: number, name: ServerField): number {
    const { row, statBase } = this.serverOf(server)
    return row[statBase + SERVER_FIELDS.findIndex(field => field.name === name)]!
  }

  failures(server: number): number {
    const { layout, shared, index } = this.pool
    return layout.health(shared, index, server)[Health.failures]!
  }

  /** From now on the coarse timer is silent: what it would repair stays broken. */
  stopTicking(): void {
    const timer = this.context.timer as unknown as { timeout: NodeJS.Timeout | null; arm: () => void }
    timer.arm = () => {}
    if (timer.timeout !== null) clearTimeout(timer.timeout)
  }

  /**
   * All that the pools lend is back, and nothing was given back twice. The connections may still be
   * open.
   */
  async expectAtRest(): Promise<void> {
    await waitUntil(
      () => Object.values(this.memory.balance()).every(value => value === 0 || Array.isArray(value)),
      'rest',
      5_000,
    ).catch(() => {})
    expect(this.memory.balance()).toEqual(AT_REST)
  }

  /** Closes everything, and checks that nothing stays behind. */
  async stop(): Promise<void> {
    this.#listener?.close()
    for (const wire of this.#wires) wire.destroy()
    for (const server of this.servers) await server.stop()
    const { block } = this.context
    await waitUntil(() => Atomics.load(block, WorkerBlock.clients) === 0, 'the worker to see its clients go')
    await waitUntil(() => this.pool.servers.every(server => server.connectionCount === 0), 'server connections to end')
    await this.expectAtRest()
    expect(this.poolStat('client_connections')).toBe(0)
    for (const gauge of ['in_queue', 'in_queue_bytes', 'out_queue', 'out_queue_bytes', 'server_connections'] as const) {
      for (const [server] of this.pool.servers.entries()) {
        expect([gauge, server, this.serverStat(server, gauge)]).toEqual([gauge, server, 0])
      }
    }
  }
}
