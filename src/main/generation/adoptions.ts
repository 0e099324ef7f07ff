/**
 * Which generation each worker works with. A worker's messages speak of the generation that it has
 * adopted last, so the primary keeps a generation until the last worker has left it. Primary
 * thread; one for the process.
 */

import type { LocalGeneration } from './generation.ts'

export class Adoptions {
  /** By id: every generation that some worker works with, and the current one. */
  readonly #generations = new Map<number, LocalGeneration>()
  /** By worker: id of the generation that its messages speak of. */
  readonly #adopted: number[]
  /** Id of the current generation; 0 before the first. */
  #currentId = 0
  /** Resolves what `all` returned. */
  #onAll: (() => void) | null = null

  constructor(workers: number) {
    this.#adopted = new Array<number>(workers).fill(0)
  }

  /** Makes this generation the current one. */
  add(generation: LocalGeneration): void {
    this.#currentId = generation.id
    this.#generations.set(generation.id, generation)
  }

  /** The worker has adopted the generation, or began with it, or is dead and will begin with it. */
  workerAdopted(worker: number, generationId: number): void {
    this.#adopted[worker] = generationId
    const oldest = Math.min(...this.#adopted)
    for (const id of this.#generations.keys()) if (id < oldest) this.#generations.delete(id)
    if (oldest === this.#currentId) this.#onAll?.()
  }

  /** The generation that the worker's messages speak of. */
  of(worker: number): LocalGeneration {
    return this.#generations.get(this.#adopted[worker])!
  }

  /** Resolves once every worker has adopted the current generation. */
  async all(): Promise<void> {
    if (Math.min(...this.#adopted) === this.#currentId) return
    await new Promise<void>(resolve => {
      this.#onAll = resolve
    })
    this.#onAll = null
  }
}
