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
 * First tables of up to this many points in all are filled on the primary before it listens: 640
 * points take 3 ms in a cold process, 10,000 take 12 ms, and a first task takes 70 ms for piscina
 * and its thread.
 * @testOnly
 */
export const INLINE_POINTS = 10_000

/** Where tables are filled; `TableThread` outside of tests. */
export interface TableRunner {
  run(task: TableTask): Promise<void>
}

/**
 * What is asked for a pool: `wanted` = live servers of the next table, null when none is asked for.
 */
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
   * At process start, before workers take clients: publishes the tables of all pools with all
   * servers live.
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
   * after the other; of the sets asked for meanwhile only the latest is built, and all who asked
   * wait for it.
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
      // In the same step as the last look at `wanted`: a set asked for later must start a new run.
      build.running = null
    }
  }

  async #buildOnce(pool: number, live: readonly number[]): Promise<void> {
    const half = this.#claimHalf(pool)
    const task = { input: tableInput(this.#config.pools[pool], live), half }
    // The thread computes the checksum with our own code: the package's says whether all of it
    // arrived where it belongs. Loaded here because most starts need neither.
    const [{ default: fastCrc32c }] = await Promise.all([import('fast-crc32c'), this.#runner.run(task)])
    const checksum = fastCrc32c.calculate(checkedBytes(half)) | 0
    assert(checksum === half.head[TableHead.checksum], `table of pool ${this.#config.pools[pool].name} is whole`)
    this.#publish(pool, live.length)
  }

  /** From here on a reader that is still copying this half knows that its copy is void. */
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
