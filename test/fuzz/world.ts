/**
 * A worker with its pool, servers and clients, on a virtual loop and over handles without a kernel: one world a case. What it uses of
 * `src/worker` is what any worker is driven by: the context, a generation, and handles that are handed over.
 */

import { diffConfigs } from '../../src/config/diff.ts'
import { fillTable, shapeOf, tableInput } from '../../src/routing/ring-table.ts'
import type { PoolConfig } from '../../src/shared/config.ts'
import { PoolHead, SharedLayout, WorkerBlock } from '../../src/shared/memory-layout.ts'
import type { Generation } from '../../src/shared/messages.ts'
import { POOL_FIELDS, ProcessStat, SERVER_FIELDS } from '../../src/shared/stat-fields.ts'
import { acceptHandedOver } from '../../src/worker/client/acceptor.ts'
import type { PoolClients } from '../../src/worker/client/pool-clients.ts'
import type { Context } from '../../src/worker/context.ts'
import type { Pool } from '../../src/worker/server/pool.ts'
import { poolOf, serverAt } from '../support/generation.ts'
import type { Random } from '../support/random.ts'
import { type RecordingLog, recordingLog } from '../support/recording-log.ts'
import { newContext } from '../support/worker/new-context.ts'
import { turnOverArena } from './arena.ts'
import { type Connect, FakeHandle, type Peer, useNetwork } from './fake-transport.ts'
import { Fault } from './fault.ts'
import type { InjectedFault } from './injected-fault.ts'
import { MemcacheModel } from './memcache-model.ts'
import { type Misdeed, type Model, ModelServer } from './model-server.ts'
import { RedisModel } from './redis-model.ts'
import { Marks } from './tokens.ts'
import { VirtualLoop } from './virtual-loop.ts'

/**
 * Time after the last client and server have gone by which everything must be at rest, ms of
 * virtual time.
 */
const REST_MS = 60_000
/** Longest time of a client from its own end to its connection's, ms of virtual time. */
const CLOSE_MS = 20_000
const FIRST_PORT = 1
const WORKERS = 1

export interface WorldOptions {
  readonly random: Random
  readonly pool: Partial<PoolConfig>
  readonly servers: number
  /** Usual time of a server to answer, ms. */
  readonly delayMs: number
  /** Requests other than witnesses' may get odd replies. */
  readonly isOdd: boolean
  /** What a server does wrong. @param server its index. */
  readonly misdeed?: (server: number) => Misdeed | null
  /** What becomes of a connection to it. */
  readonly connect?: (server: number) => ReturnType<Connect>
  readonly memoryLimitBytes?: number
  readonly injected: InjectedFault | null
}

/** One end of a client's connection. */
export interface Actor {
  readonly peer: Peer
  readonly name: string
}

export class World {
  readonly loop: VirtualLoop
  readonly random: Random
  readonly marks = new Marks()
  readonly servers: ModelServer[]
  readonly context: Context
  readonly logs: RecordingLog = recordingLog()
  private readonly clients: Peer[] = []
  private readonly bytesAtRest: number
  private config: PoolConfig
  private generations = 0
  /** The configuration that the worker has. */
  private current: PoolConfig | null = null

  constructor(options: WorldOptions) {
    this.random = options.random
    this.loop = new VirtualLoop(options.random.fork(2))
    const { random, loop, marks } = this
    const connect = options.connect ?? (() => 'accept')
    useNetwork({
      loop,
      random: random.fork(1),
      connect: (port, peer) => {
        const verdict = connect(port - FIRST_PORT)
        if (verdict === 'accept') this.servers[port - FIRST_PORT]!.accept(peer)
        return verdict
      },
      tamper: options.injected === null ? null : options.injected.tamper(this.clients),
    })
    loop.install()
    const redis = options.pool.redis ?? true
    this.servers = Array.from({ length: options.servers }, (_, i) => {
      const own = random.fork(100 + i)
      const newModel = (): Model =>
        redis ? new RedisModel(own, marks, options.isOdd) : new MemcacheModel(own, marks, options.isOdd)
      const misdeed = options.misdeed === undefined ? null : () => options.misdeed!(i)
      return new ModelServer({ name: `server ${i}`, loop, random: own, newModel, misdeed, delayMs: options.delayMs })
    })
    this.config = poolOf('p', {
      servers: this.servers.map((_, i) => serverAt(`s${i}`, FIRST_PORT + i)),
      ...options.pool,
    })
    this.context = newContext(this.logs.log, options.memoryLimitBytes)
    this.bytesAtRest = this.context.turn.memory.lent.totalBytes
    this.adopt()
    options.injected?.begin(this)
  }

  /** The pool's clients in the worker. */
  get poolClients(): PoolClients {
    return this.context.pools[0]!
  }

  get pool(): Pool {
    return this.poolClients.pool
  }

  /** Something other than a good answer was given: errors of the proxy's own may follow. */
  get misdeeds(): number {
    return this.servers.reduce((sum, server) => sum + server.misdeeds, 0)
  }

  /** Gives the worker a new generation of the configuration. */
  reload(changes: Partial<PoolConfig>): void {
    this.config = { ...this.config, ...changes }
    this.adopt()
  }

  private adopt(): void {
    const { config } = this
    const shapes = [shapeOf(config)]
    const layout = new SharedLayout(WORKERS, shapes)
    const shared = layout.allocate()
    const live = config.servers.map((_, server) => server)
    fillTable(tableInput(config, live), layout.table(shared, 0, 0))
    layout.poolHead(shared, 0)[PoolHead.liveServers] = live.length
    const generation: Generation = { id: this.generations++, config: { pools: [config] }, shapes, shared }
    const { common } = diffConfigs({ pools: this.current === null ? [] : [this.current] }, { pools: [config] })
    this.current = config
    this.context.turn.begin()
    this.context.adopt(generation, common)
  }

  /** A client connection that the worker has taken. */
  connect(name: string): Peer {
    const handle = new FakeHandle()
    handle.peer.name = name
    this.clients.push(handle.peer)
    Atomics.add(this.context.block, WorkerBlock.clients, 1)
    acceptHandedOver(this.poolClients, handle)
    return handle.peer
  }

  /** A key that the pool sends to this server. @param make a key from a number. */
  keyFor(server: number, make: (number: number) => string): string {
    for (let i = 0; ; i++) {
      const key = make(i)
      const bytes = Buffer.from(key, 'latin1')
      if (this.pool.router.route(bytes, 0, bytes.length) === server) return key
    }
  }

  /** Runs until all clients are closed. Whoever of them is to close has said so, or does within `activeMs`. */
  runClients(activeMs: number): void {
    const end = this.loop.run(() => this.clients.every(peer => peer.closedByWorker), activeMs + CLOSE_MS)
    if (end === 'done') return
    const open = this.clients.filter(peer => !peer.closedByWorker).map(peer => peer.name)
    throw new Fault('hang', `the worker does not let go of ${open.join(', ')}`)
  }

  /** Ends all server connections too, and checks that nothing stays behind. */
  rest(): void {
    for (const server of this.servers) server.closeAll()
    if (this.loop.run(() => false, REST_MS) === 'late') {
      throw new Fault('hang', `the worker does not come to rest within ${REST_MS} ms`)
    }
    const left: string[] = []
    const expectNone = (what: string, count: number): void => {
      if (count !== 0) left.push(`${count} ${what}`)
    }
    const { lent, arena } = this.context.turn.memory
    turnOverArena(arena)
    expectNone('bytes lent', lent.totalBytes - this.bytesAtRest)
    expectNone('messages lent', this.context.messages.outstanding)
    expectNone('clients', Atomics.load(this.context.block, WorkerBlock.clients))
    expectNone('connections', this.context.row[ProcessStat.currConnections]!)
    const { pool } = this
    expectNone('client_connections', statOf(pool, POOL_FIELDS, 'client_connections'))
    for (const server of pool.servers) {
      for (const name of ['in_queue', 'in_queue_bytes', 'out_queue', 'out_queue_bytes', 'server_connections']) {
        expectNone(`${name} of ${server.config.name}`, statOf(server, SERVER_FIELDS, name))
      }
    }
    if (left.length > 0) throw new Fault('leak', `when all is closed there are still ${left.join(', ')}`)
  }

  /** Node's own loop and handles are back. To be called whatever happened. */
  end(): void {
    this.loop.uninstall()
    useNetwork(null)
  }
}

function statOf(
  owner: { readonly row: Float64Array; readonly statBase: number },
  fields: readonly { readonly name: string }[],
  name: string,
): number {
  return owner.row[owner.statBase + fields.findIndex(field => field.name === name)]!
}
