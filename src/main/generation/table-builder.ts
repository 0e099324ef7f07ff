/**
 * Builds and publishes the routing tables of one configuration generation. Primary thread: `main`
 * asks for the first tables at start and reload, and for a new one when a server is ejected or
 * returns. The protocol of publication: `shared/memory-layout.ts`.
 */

import { assert } from '../../bytes/assert.ts'
import { fillTable, tableInput } from '../../routing/ring-table.ts'
import type { TableTask } from '../../routing/ring-table-task.ts'
import type { Config } from '../../shared/config.ts'
import { PoolHead, type SharedLayout, type TableHalf, TableHead } from '../../shared/memory-layout.ts'

/**
 * First tables with at most this many points together are filled on the primary before it listens:
 * 640 points take 3 ms in a cold process, 10,000 take 12 ms, and a first task takes 70 ms for
 * piscina and its thread.
 * @testOnly
 */
export const INLINE_POINTS = 10_000

/** Where tables are filled; `TableThread` outside of tests. */
export interface TableRunner {
  run(task: TableTask): Promise<void>
}

/** Builds of one pool. `wanted`: live servers of the next table; null when none was asked for. */
interface PoolBuild {
  wanted: readonly number[] | null
  running: Promise<void> | null
}

export class TableBuilder {
  readonly #config: Config
  readonly #layout: SharedLayout
  readonly #shared: SharedArrayBuffer
  readonly #runner: TableRunner
  readonly #builds: readonly PoolBuild[]

  constructor(config: Config, layout: SharedLayout, shared: SharedArrayBuffer, runner: TableRunner) {
    this.#config = config
    this.#layout = layout
    this.#shared = shared
    this.#runner = runner
    this.#builds = config.pools.map(() => ({ wanted: null, running: null }))
  }

  /**
   * Publishes the tables of all pools with all servers live. Called at process start, before
   * workers have clients.
   */
  async buildFirst(): Promise<void> {
    const pending: Promise<void>[] = []
    let inlinePoints = 0
    for (let pool = 0; pool < this.#config.pools.length; pool++) {
      const live = this.#config.pools[pool].servers.map((_, server) => server)
      inlinePoints += this.#layout.pools[pool].points
      if (inlinePoints > INLINE_POINTS) {
        pending.push(this.build(pool, live))
      } else {
        fillTable(tableInput(this.#config.pools[pool], live), this.#claimHalf(pool))
        this.#publish(pool, live.length)
      }
    }
    await Promise.all(pending)
  }

  /**
   * Publishes a table of the live servers, filled off the event loop. Builds of one pool run one
   * after the other. Of the sets that are asked for meanwhile only the latest is built, and all
   * these calls wait for it.
   * @param live ascending server indexes; may be empty. Rejects when the latest table could not be
   * built: the one before stays.
   */
  build(pool: number, live: readonly number[]): Promise<void> {
    const build = this.#builds[pool]
    build.wanted = live
    build.running ??= this.#buildWanted(pool, build)
    return build.running
  }

  async #buildWanted(pool: number, build: PoolBuild): Promise<void> {
    try {
      while (build.wanted !== null) {
        const live = build.wanted
        build.wanted = null
        try {
          await this.#buildOnce(pool, live)
        } catch (error) {
          if (build.wanted === null) throw error
        }
      }
    } finally {
      // No await may come between the last check of `wanted` and this: a set that is asked for
      // later must start a new run.
      build.running = null
    }
  }

  async #buildOnce(pool: number, live: readonly number[]): Promise<void> {
    const half = this.#claimHalf(pool)
    const task = { input: tableInput(this.#config.pools[pool], live), half }
    // The thread computes the checksum with pistachio's own code, the package's code verifies it
    // here. It is loaded here because most starts do not need it.
    const [{ default: fastCrc32c }] = await Promise.all([import('fast-crc32c'), this.#runner.run(task)])
    const checksum = fastCrc32c.calculate(checkedBytes(half)) | 0
    assert(checksum === half.head[TableHead.checksum], `table of pool ${this.#config.pools[pool].name} is whole`)
    this.#publish(pool, live.length)
  }

  /** Tells readers that are still copying this half that their copy is void. */
  #claimHalf(pool: number): TableHalf {
    const head = this.#layout.poolHead(this.#shared, pool)
    const next = (Atomics.load(head, PoolHead.epoch) + 1) | 0
    Atomics.exchange(head, PoolHead.building, next)
    return this.#layout.table(this.#shared, pool, next & 1)
  }

  #publish(pool: number, liveServers: number): void {
    const head = this.#layout.poolHead(this.#shared, pool)
    Atomics.store(head, PoolHead.liveServers, liveServers)
    Atomics.add(head, PoolHead.epoch, 1)
  }
}

/** What the checksum covers: everything in the half behind it. */
function checkedBytes(half: TableHalf): Buffer {
  const skipped = (TableHead.checksum + 1) * 4
  return Buffer.from(half.bytes.buffer, half.bytes.byteOffset + skipped, half.bytes.length - skipped)
}
