/**
 * The one thread beside the event loops that fills routing tables, run by piscina. Primary thread;
 * one for each configuration generation, closed with it.
 *
 * Loading piscina takes 15 ms and starting its thread 55 ms, so both happen with the first task. An
 * idle thread ends unless it stays warm; a warm one has a table of 4 servers ready 1 ms after an
 * ejection.
 */

import type { Piscina } from 'piscina'
import { TABLE_TASK, type TableTask } from '../../routing/ring-table-task.ts'

const IDLE_MS = 10_000

export class TableThread {
  readonly #entry: URL
  readonly #staysWarm: boolean
  readonly #onError: (error: Error) => void
  #piscina: Promise<Piscina> | null = null

  /**
   * @param entry what the thread runs: `routing/ring-table-task`.
   * @param staysWarm whether the thread, once started, stays (10 MB): for configurations with
   * `auto_eject_hosts`.
   * @param onError is called when the thread dies outside a task; the next task starts another
   * thread.
   */
  constructor(entry: URL, staysWarm: boolean, onError: (error: Error) => void) {
    this.#entry = entry
    this.#staysWarm = staysWarm
    this.#onError = onError
  }

  /**
   * Starts the thread before it is needed, if it stays warm. To be called after the start of the
   * process.
   */
  async warmUp(): Promise<void> {
    if (this.#staysWarm) await this.#started()
  }

  /** Runs after the tasks before it. Rejects when the task throws or the thread dies. */
  async run(task: TableTask): Promise<void> {
    const piscina = await this.#started()
    await piscina.run(task)
  }

  /** Ends the thread; tasks that are not done are rejected. */
  async close(): Promise<void> {
    const piscina = this.#piscina
    this.#piscina = null
    if (piscina !== null) await (await piscina).destroy()
  }

  #started(): Promise<Piscina> {
    this.#piscina ??= this.#start()
    return this.#piscina
  }

  async #start(): Promise<Piscina> {
    const { Piscina } = await import('piscina')
    const piscina = new Piscina({
      filename: this.#entry.href,
      name: TABLE_TASK,
      minThreads: this.#staysWarm ? 1 : 0,
      maxThreads: 1,
      idleTimeout: IDLE_MS,
      recordTiming: false,
    })
    piscina.on('error', this.#onError)
    return piscina
  }
}
