/**
 * The field of a fault scenario: servers a, b and c, a proxy before them, clients that check every reply, and one server, `b`, to which
 * the faults happen (directly, or through a relay).
 *
 *     actors ─▶ proxy ─┬─▶ a
 *     probe ──▶        ├─▶ relay ─▶ b      faults
 *                      └─▶ c
 */

import { setTimeout as delay } from 'node:timers/promises'
import { expect } from 'vitest'
import { FaultyRelay } from '../support/fakes/faulty-relay.ts'
import type { Address } from '../support/processes/child.ts'
import { MemoryWatch, MIB } from '../support/processes/memory-watch.ts'
import { poolYml, type RunningProxy, startProxy } from '../support/processes/proxy.ts'
import { type Kind, RestartableServer } from '../support/processes/restartable-server.ts'
import type { Random } from '../support/random.ts'
import { waitUntil } from '../support/wait.ts'
import { memcacheReplyEnd } from '../support/wire/memcache-wire.ts'
import { replyEnd } from '../support/wire/resp.ts'
import { Actor } from './actor.ts'
import { Ledger } from './ledger.ts'
import { locate } from './locate.ts'
import { MemcacheWork } from './memcache-work.ts'
import type { Work } from './operation.ts'
import { Probe, quantile } from './probe.ts'
import { RedisWork } from './redis-work.ts'
import { FAULT_MS } from './settings.ts'
import { StallWatch } from './stall-watch.ts'

/** The server that faults happen to. */
export const VICTIM = 'b'
const NAMES = ['a', VICTIM, 'c']
const ACTORS = 8
/** What the proxy may grow by while a scenario of small values runs, MiB. */
const GROWTH_MIB = 192
const SLOWDOWN = 3
/** Short bursts on a machine that is busy with other tests tell less: the short form allows more. */
const ALLOWED_SLOWDOWN = FAULT_MS < 5_000 ? 6 : SLOWDOWN
/** Below these a latency says more about this machine than about the proxy, ms. */
const MEDIAN_FLOOR_MS = 1
const TAIL_FLOOR_MS = 12
/** Time limit for a server's reply in the suite's pools, ms. */
export const TIMEOUT_MS = 500

export interface FieldOptions {
  readonly kind?: Kind
  readonly random: Random
  /** More keys of the pool. */
  readonly pool?: Readonly<Record<string, string | number | boolean>>
  /** Puts the relay before the victim. */
  readonly relay?: boolean
  readonly workers?: number
  readonly actors?: number
  readonly env?: NodeJS.ProcessEnv
  /** More flags of the proxy. */
  readonly flags?: readonly string[]
  /** Large values in a thousand writes; see `RedisWork`. */
  readonly largePerMille?: number
  /** What the proxy may grow by, where the load itself is heavy; default 96. */
  readonly growthMiB?: number
  /** More arguments for the victim's program. */
  readonly victimArgs?: readonly string[]
}

export class Field {
  readonly ledger = new Ledger()
  readonly servers: readonly RestartableServer[]
  readonly relay: FaultyRelay | null
  readonly yml: string
  readonly actors: readonly Actor[]
  readonly memory: MemoryWatch
  /** Where clients connect; a scenario may lead them elsewhere. */
  address: Address
  proxy: RunningProxy
  readonly #options: FieldOptions
  readonly #probeWork: Work
  readonly #probeActor: Actor
  readonly #stalls = new StallWatch(this.ledger)
  #probe: Probe | null = null
  #runs: Promise<void>[] = []
  #slowdowns: { median: number; tail: number }[] = []

  private constructor(
    options: FieldOptions,
    servers: readonly RestartableServer[],
    relay: FaultyRelay | null,
    yml: string,
    proxy: RunningProxy,
  ) {
    this.#options = options
    this.servers = servers
    this.relay = relay
    this.yml = yml
    this.proxy = proxy
    this.address = { port: proxy.ports[0]! }
    this.#probeWork = this.#work('probe', 99)
    this.#probeActor = this.#actor('probe', this.#probeWork, 99)
    this.actors = Array.from({ length: options.actors ?? ACTORS }, (_, i) => {
      const name = `client-${i}`
      return this.#actor(name, this.#work(name, i), i)
    })
    this.memory = new MemoryWatch(proxy.pid)
  }

  /** Starts everything, with all keys written and their servers known. */
  static async start(options: FieldOptions): Promise<Field> {
    const kind = options.kind ?? 'redis'
    const servers = await Promise.all(
      NAMES.map(name => RestartableServer.start(kind, name, name === VICTIM ? options.victimArgs : [])),
    )
    const endOf = kind === 'redis' ? replyEnd : memcacheReplyEnd
    const victim = servers.find(server => server.name === VICTIM)!
    const relay = options.relay ? await FaultyRelay.start(victim.port, endOf, options.random.fork(98)) : null
    const entries = servers.map(server => {
      const port = relay !== null && server === victim ? relay.port : server.port
      return `127.0.0.1:${port}:1 ${server.name}`
    })
    const keys = { ...(kind === 'redis' ? { redis: true } : {}), timeout: TIMEOUT_MS, ...options.pool }
    const yml = poolYml({ keys, servers: entries })
    const { workers = 2, env = {}, flags = [] } = options
    const proxy = await startProxy({ kind: 'pistachio', yml, workers, env, flags })
    const field = new Field(options, servers, relay, yml, proxy)
    for (const actor of [field.#probeActor, ...field.actors]) await actor.begin()
    expect(await locate(field.ledger.keys, servers)).toEqual([])
    expect(field.ledger.violations).toEqual([])
    return field
  }

  get victim(): RestartableServer {
    return this.servers.find(server => server.name === VICTIM)!
  }

  /** Sets the clients going. @param probing false where connections are lost: the probe keeps one. */
  go(probing = true): void {
    this.#runs = this.actors.map(actor => actor.run())
    if (!probing) return
    const keys = this.ledger.keys.filter(key => key.name.startsWith('probe:') && key.server !== VICTIM)
    this.#probe = new Probe(this.address, this.#probeWork, this.ledger, keys)
    this.#runs.push(this.#probe.run())
  }

  /**
   * Lets a fault happen once, between two calm spans, and compares how long the servers that it does not touch took.
   * @param fault resolves when the fault is over.
   */
  async duringFault(calmMs: number, fault: () => Promise<void>): Promise<void> {
    const probe = this.#probe!
    probe.take()
    await delay(calmMs)
    const before = probe.take()
    await fault()
    const during = probe.take()
    await delay(calmMs)
    const calm = [...before, ...probe.take()]
    if (calm.length === 0 || during.length === 0) return
    this.#slowdowns.push({
      median: quantile(during, 0.5) / Math.max(MEDIAN_FLOOR_MS, quantile(calm, 0.5)),
      tail: quantile(during, 0.99) / Math.max(TAIL_FLOOR_MS, quantile(calm, 0.99)),
    })
  }

  /** Ends the clients, reads every key once more, and fails the test when anything was wrong. */
  async settle(): Promise<void> {
    for (const actor of this.actors) actor.stop()
    this.#probe?.stop()
    await Promise.all(this.#runs)
    await this.#readAll()
    const { ledger, memory } = this
    console.log(
      `${ledger.checked} replies checked, ${ledger.errors} errors, ${ledger.closes} connections lost, ` +
        `memory grew by ${(memory.growthBytes / MIB).toFixed(0)} MiB, ${this.#describeSlowdown()}`,
    )
    expect(ledger.violations.slice(0, 5)).toEqual([])
    expect(ledger.checked).toBeGreaterThan(this.actors.length * 20)
    expect(memory.growthBytes / MIB).toBeLessThan(this.#options.growthMiB ?? GROWTH_MIB)
    if (this.#slowdowns.length > 0) {
      expect(this.#best('median'), 'slowdown of the median').toBeLessThan(ALLOWED_SLOWDOWN)
      expect(this.#best('tail'), 'slowdown of the tail').toBeLessThan(ALLOWED_SLOWDOWN)
    }
  }

  /**
   * Whether the bursts so far have shown that the fault slows no other client down; on a busy
   * machine this takes several bursts.
   */
  get provedCalm(): boolean {
    return this.#best('median') < SLOWDOWN && this.#best('tail') < SLOWDOWN
  }

  /** Stops everything, whatever happened. */
  async stop(): Promise<void> {
    this.#stalls.stop()
    this.memory.stop()
    for (const actor of [this.#probeActor, ...this.actors]) {
      actor.stop()
      actor.close()
    }
    this.#probe?.stop()
    for (const server of this.servers) server.go()
    await this.relay?.stop()
    if (this.proxy.child.alive) await this.proxy.stop('SIGKILL')
    await Promise.all(this.servers.map(server => server.kill()))
  }

  #work(name: string, label: number): Work {
    const { kind, random, largePerMille = 5 } = this.#options
    if (kind === 'memcache') return new MemcacheWork(this.ledger, name, random.fork(label))
    return new RedisWork(this.ledger, name, random.fork(label), { largePerMille })
  }

  #actor(name: string, work: Work, label: number): Actor {
    const random = this.#options.random.fork(1_000 + label)
    return new Actor({ name, work, ledger: this.ledger, random, address: () => this.address })
  }

  /** Every key must at last have an admissible value again. */
  async #readAll(): Promise<void> {
    const { ledger } = this
    for (const key of ledger.keys) {
      await waitUntil(async () => {
        const { errors, violations } = ledger
        await this.#probeActor.ask(this.#probeWork.probe(key))
        return ledger.errors === errors || violations.length > 0
      }, `a reply for ${key.name}`)
    }
  }

  #best(of: 'median' | 'tail'): number {
    return Math.min(...this.#slowdowns.map(each => each[of]))
  }

  #describeSlowdown(): string {
    if (this.#slowdowns.length === 0) return 'no latencies compared'
    return `latencies ${this.#best('median').toFixed(2)} (median) and ${this.#best('tail').toFixed(2)} (p99) of normal`
  }
}
