/**
 * A soak: clients of a redis and of a memcache pool work for a long time, while servers are killed and stopped, a worker dies, the file is read
 * again, and other clients come, go and misbehave. Every reply is checked as in the fault suite; memory, descriptors and connections are
 * measured after each round of faults, in a calm moment, and must stay flat.
 *
 *     round: worker dies ─▶ [flood │ stall │ reset │ come and go]  beside  [reload ─▶ servers fail]  ─▶ calm ─▶ sample
 *
 * All rounds are alike, so that samples can be compared. Worker 0 lives as long as the process, so that what it loses piles up.
 */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Actor } from '../faults/actor.ts'
import { comeAndGo, type Disturbance, flood, reset, stall } from '../faults/disturbances.ts'
import { Ledger } from '../faults/ledger.ts'
import { locate } from '../faults/locate.ts'
import { MemcacheWork } from '../faults/memcache-work.ts'
import { RedisWork } from '../faults/redis-work.ts'
import { StallWatch } from '../faults/stall-watch.ts'
import { CRASH_HOOK, crashFile } from '../support/processes/crash-hook.ts'
import { HEAP_HOOK } from '../support/processes/heap-hook.ts'
import { hooks } from '../support/processes/hooks.ts'
import { LogTail } from '../support/processes/log-tail.ts'
import { poolYml, type RunningProxy, startProxy } from '../support/processes/proxy.ts'
import { type Kind, RestartableServer } from '../support/processes/restartable-server.ts'
import { Random } from '../support/random.ts'
import { waitUntil } from '../support/wait.ts'
import { describeFlatness, type Flatness } from './flatness.ts'
import { COLUMN_HEADS, columnsOf, flatnessOf, type Sample, takeSample } from './sample.ts'

const KINDS: readonly Kind[] = ['redis', 'memcache']
const ACTORS = 5
const WORKERS = 2
const MORTAL_WORKER = 1
const DISTURBANCE_MS = 500
const FROZEN_MS = 500
/** Longer than anything here lasts on a busy machine, where others' requests wait behind those of a flood; shorter than an actor's patience. */
const TIMEOUT_MS = 8_000
const DOWN_MS = 200
/** After a round's faults: connections close, and what a burst took begins to go back. */
const CALM_MS = 1_000
/** Number of samples at the beginning that are warm-up: code is compiled, pools are filled. */
const WARM_UP_SHARE = 0.25
const FEWEST_SAMPLES = 6
/** Each worker keeps 8 MiB of output buffers for reuse after a flood, and has them or not. The rest is noise, and the C library's. */
const ALLOWANCES: Sample = { residentMiB: 24, heapMiB: 0.75, bufferMiB: 18, descriptors: 6, connections: 6 }

/** A fault in the proxy itself, for the test of this very soak. */
export interface InjectedFault {
  readonly env: NodeJS.ProcessEnv
  /** Once a round. @param port of the redis pool. */
  readonly everyRound: (port: number) => Promise<void>
}

export interface SoakOptions {
  /** It ends after the round that is running then, and after `FEWEST_SAMPLES` at the earliest. */
  readonly ms: number
  readonly seed: number
  readonly report: (line: string) => void
  readonly injected?: InjectedFault
}

export interface SoakResult {
  readonly checked: number
  readonly errors: number
  readonly violations: readonly string[]
  /** What did not stay flat. */
  readonly risen: readonly Flatness[]
}

/** Two servers of a kind, the clients of their pool, and what these know. */
interface Side {
  readonly kind: Kind
  readonly ledger: Ledger
  readonly servers: readonly RestartableServer[]
  readonly actors: readonly Actor[]
}

export async function runSoak(options: SoakOptions): Promise<SoakResult> {
  const soak = await Soak.start(options)
  try {
    return soak.verdict(await soak.run())
  } finally {
    await soak.stop()
  }
}

class Soak {
  readonly #options: SoakOptions
  readonly #random: Random
  readonly #proxy: RunningProxy
  readonly #sides: readonly Side[]
  readonly #log: LogTail
  readonly #stallWatches: readonly StallWatch[]
  #round = 0

  private constructor(options: SoakOptions, random: Random, proxy: RunningProxy, sides: readonly Side[]) {
    this.#options = options
    this.#random = random
    this.#proxy = proxy
    this.#sides = sides
    this.#stallWatches = sides.map(({ ledger }) => new StallWatch(ledger))
    this.#log = new LogTail(join(proxy.child.folder, 'proxy.log'))
  }

  static async start(options: SoakOptions): Promise<Soak> {
    const random = new Random(options.seed)
    const servers = await Promise.all(
      KINDS.map(kind => Promise.all(['a', 'b'].map(name => RestartableServer.start(kind, `${kind}-${name}`)))),
    )
    const pools = KINDS.map((kind, i) => {
      const keys = { ...(kind === 'redis' ? { redis: true } : {}), timeout: TIMEOUT_MS, client_idle_timeout: 60_000 }
      const entries = servers[i]!.map(server => `127.0.0.1:${server.port}:1 ${server.name}`)
      return poolYml({ name: kind, listen: `127.0.0.1:@PORT${i}@`, keys, servers: entries })
    })
    const env = hooks(HEAP_HOOK, CRASH_HOOK, options.injected?.env ?? {})
    const proxy = await startProxy({ kind: 'pistachio', yml: pools.join(''), workers: WORKERS, env })
    const sides = KINDS.map((kind, i) => makeSide(kind, servers[i]!, proxy.ports[i]!, random.fork(i)))
    for (const { ledger, actors, servers: own } of sides) {
      for (const actor of actors) await actor.begin()
      await locate(ledger.keys, own)
    }
    return new Soak(options, random, proxy, sides)
  }

  /** Lets everybody work. @returns what was measured after each round of faults. */
  async run(): Promise<Sample[]> {
    const { ms, report } = this.#options
    const startedMs = performance.now()
    const runs = this.#sides.flatMap(side => side.actors.map(actor => actor.run()))
    const samples: Sample[] = []
    report(`  minute${COLUMN_HEADS}     replies checked`)
    while (performance.now() - startedMs < ms || samples.length < FEWEST_SAMPLES) {
      await this.#faults()
      await delay(CALM_MS)
      const sample = await takeSample(this.#proxy, WORKERS)
      samples.push(sample)
      const minute = ((performance.now() - startedMs) / 60_000).toFixed(1)
      report(minute.padStart(8) + columnsOf(sample) + `${this.#checked}`.padStart(20))
    }
    for (const actor of this.#sides.flatMap(side => side.actors)) actor.stop()
    await Promise.all(runs)
    return samples
  }

  verdict(samples: readonly Sample[]): SoakResult {
    const measured = samples.slice(Math.floor(samples.length * WARM_UP_SHARE))
    const verdicts = flatnessOf(measured, ALLOWANCES)
    for (const verdict of verdicts) this.#options.report(describeFlatness(verdict))
    return {
      checked: this.#checked,
      errors: this.#sides.reduce((sum, { ledger }) => sum + ledger.errors, 0),
      violations: this.#sides.flatMap(({ ledger }) =>
        ledger.violations.map(({ client, what }) => `${client}: ${what}`),
      ),
      risen: verdicts.filter(each => !each.flat),
    }
  }

  async stop(): Promise<void> {
    for (const watch of this.#stallWatches) watch.stop()
    for (const { actors, servers } of this.#sides) {
      for (const actor of actors) {
        actor.stop()
        actor.close()
      }
      for (const server of servers) {
        server.go()
        await server.kill()
      }
    }
    await this.#proxy.stop('SIGKILL')
  }

  get #checked(): number {
    return this.#sides.reduce((sum, { ledger }) => sum + ledger.checked, 0)
  }

  async #faults(): Promise<void> {
    const round = ++this.#round
    const port = this.#proxy.ports[0]!
    await this.#crash()
    const disturbances = [flood, stall, reset, comeAndGo].map((act, i) => {
      const one: Disturbance = { port, random: this.#random.fork(round * 10 + i), ms: DISTURBANCE_MS }
      return act(one)
    })
    await this.#reload()
    for (const side of this.#sides) await this.#serverFault(side)
    await Promise.all(disturbances)
    await this.#options.injected?.everyRound(port)
  }

  async #serverFault({ ledger, servers }: Side): Promise<void> {
    const victim = this.#random.pick(servers)
    const over = ledger.trouble(victim.name)
    if (this.#round % 2 === 0) {
      await victim.kill()
      ledger.serverLost(victim.name)
      await delay(DOWN_MS)
      await victim.start()
    } else {
      victim.freeze()
      await delay(FROZEN_MS)
      victim.go()
    }
    over()
  }

  async #crash(): Promise<void> {
    const ends = this.#sides.map(({ ledger }) => {
      ledger.freshMayClose = true
      return ledger.closing()
    })
    await this.#said('is running again', () => {
      writeFileSync(join(this.#proxy.child.folder, crashFile(MORTAL_WORKER)), '')
    })
    for (const end of ends) end()
  }

  async #reload(): Promise<void> {
    const { child } = this.#proxy
    const yml = child
      .file('proxy.yml')
      .replace(/client_idle_timeout: \d+/g, `client_idle_timeout: ${60_000 + this.#round}`)
    await this.#said('reload: ', () => {
      writeFileSync(join(child.folder, 'proxy.yml'), yml)
      child.signal('SIGUSR1')
    })
  }

  /** Resolves when the proxy has logged it after `act`. */
  async #said(what: string, act: () => void): Promise<void> {
    this.#log.mark()
    act()
    await waitUntil(() => this.#log.count(what) > 0, `"${what}" in the log`)
  }
}

function makeSide(kind: Kind, servers: readonly RestartableServer[], port: number, random: Random): Side {
  const ledger = new Ledger()
  const actors = Array.from({ length: ACTORS }, (_, i) => {
    const name = `${kind}-client-${i}`
    const Work = kind === 'redis' ? RedisWork : MemcacheWork
    const work = new Work(ledger, name, random.fork(i))
    return new Actor({ name, work, ledger, random: random.fork(100 + i), address: () => ({ port }) })
  })
  return { kind, ledger, servers, actors }
}
