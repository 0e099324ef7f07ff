/**
 * The one thread beside the event loops that fills routing tables, run by piscina. Primary thread; one for the process, shared by the
 * table builders of all configuration generations.
 *
 * Piscina is loaded and its thread started with the first task: 15 ms and 55 ms here, which a start that needs neither does not pay. An
 * idle thread ends, unless it is kept warm: then a table of 4 servers is there 1 ms after an ejection.
 */

import { extname } from 'node:path'
import type { Piscina } from 'piscina'
import { TABLE_TASK, type TableTask } from '../routing/table-task.ts'

const IDLE_MS = 10_000

export class TableThread {
  readonly #onError: (error: Error) => void
  #piscina: Promise<Piscina> | null = null
  #warm = false

  /** @param onError is told when the thread dies outside of a task; the next task starts another. */
  constructor(onError: (error: Error) => void) {
    this.#onError = onError
  }

  /** Runs after the tasks before it. Rejects when the task throws or the thread dies. */
  async run(task: TableTask): Promise<void> {
    this.#piscina ??= this.#start()
    await (await this.#piscina).run(task)
  }

  /** Starts the thread now and lets it stay (10 MB); for configurations with `auto_eject_hosts`. */
  async keepWarm(): Promise<void> {
    if (this.#warm) return
    this.#warm = true
    const before = this.#piscina
    this.#piscina = this.#start()
    await this.#piscina
    if (before !== null) await (await before).close()
  }

  /** Ends the thread; tasks that are not done are rejected. */
  async close(): Promise<void> {
    const piscina = this.#piscina
    this.#piscina = null
    this.#warm = false
    if (piscina !== null) await (await piscina).destroy()
  }

  async #start(): Promise<Piscina> {
    const minThreads = this.#warm ? 1 : 0
    const { Piscina } = await import('piscina')
    const piscina = new Piscina({
      // The neighbour is .ts when run from source and .js when built.
      filename: new URL(`../routing/table-task${extname(import.meta.filename)}`, import.meta.url).href,
      name: TABLE_TASK,
      minThreads,
      maxThreads: 1,
      idleTimeout: IDLE_MS,
      recordTiming: false,
    })
    piscina.on('error', this.#onError)
    return piscina
  }
}
