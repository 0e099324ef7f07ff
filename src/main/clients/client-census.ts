/**
 * How many clients each worker and each pool has now, with those on their way to a worker. Primary
 * thread. `hand-over.ts` asks it for every accepted connection, so an answer costs only a few loads
 * from shared memory.
 *
 *     hand-over: clients += 1 ──(port)──▶ worker takes it: client_connections += 1 ──▶ close: both −= 1
 *                └─────── on the way ────┘
 *
 * Messages arrive in order, so the n clients on the way to a worker are the last n that were handed
 * to it; this gives their pools. Until a worker has adopted the newest generation it still counts
 * in the old memory, so the census adds both.
 */

import { SharedLayout, WorkerBlock } from '../../shared/memory-layout.ts'
import type { Generation } from '../../shared/messages.ts'
import { PoolStat } from '../../shared/stat-fields.ts'

/**
 * Length of a worker's list of hand-overs at which the arrived ones are removed, if no count has
 * done so before.
 */
const TRIM_AT = 1024

/** Where one worker counts in the memory of one generation. */
interface WorkerMemory {
  readonly generationId: number
  readonly block: Int32Array
  readonly row: Float64Array
  /**
   * By pool of the newest generation: index of its `client_connections` in `row`; -1 = this
   * generation lacks the pool.
   */
  gauges: readonly number[]
  /** The same for every pool of this generation. */
  readonly allGauges: readonly number[]
  readonly poolNames: readonly string[]
}

export class ClientCensus {
  readonly #workers: number
  /** By worker; oldest generation first. */
  readonly #memories: WorkerMemory[][]
  /**
   * By worker: pool names of the last clients handed to it, oldest first. The next count removes
   * those that have arrived.
   */
  readonly #handed: string[][]
  #poolNames: readonly string[] = []
  #limited = false

  constructor(workers: number) {
    this.#workers = workers
    this.#memories = Array.from({ length: workers }, () => [])
    this.#handed = Array.from({ length: workers }, () => [])
  }

  /** From now on pool indexes and new hand-overs belong to this generation. */
  addGeneration(next: Generation): void {
    const layout = new SharedLayout(this.#workers, next.shapes)
    this.#poolNames = next.config.pools.map(pool => pool.name)
    this.#limited = next.config.pools.some(pool => pool.clientConnections > 0)
    const allGauges = this.#poolNames.map((_, pool) => layout.poolStat(pool) + PoolStat.clientConnections)
    for (const [worker, memories] of this.#memories.entries()) {
      memories.push({
        generationId: next.id,
        block: layout.worker(next.shared, worker),
        row: layout.row(next.shared, worker + 1),
        gauges: [],
        allGauges,
        poolNames: this.#poolNames,
      })
      for (const memory of memories) {
        memory.gauges = this.#poolNames.map(name => memory.allGauges[memory.poolNames.indexOf(name)] ?? -1)
      }
    }
  }

  /** From now on the worker counts only in this generation's memory. */
  workerAdopted(worker: number, generationId: number): void {
    this.#memories[worker] = this.#memories[worker].filter(memory => memory.generationId >= generationId)
  }

  /** The worker has died: it has no clients, and none is on the way to it. */
  workerGone(worker: number): void {
    this.#handed[worker].length = 0
    for (const memory of this.#memories[worker]) Atomics.store(memory.block, WorkerBlock.clients, 0)
  }

  /** Counts a client that is about to be posted to the worker. */
  handedOver(worker: number, pool: number): void {
    Atomics.add(this.#memories[worker].at(-1)!.block, WorkerBlock.clients, 1)
    if (!this.#limited) return
    const handed = this.#handed[worker]
    handed.push(this.#poolNames[pool])
    if (handed.length >= TRIM_AT) this.#onTheWay(worker)
  }

  /** Undoes the last `handedOver`: the post failed. */
  notHandedOver(worker: number): void {
    Atomics.sub(this.#memories[worker].at(-1)!.block, WorkerBlock.clients, 1)
    if (this.#limited) this.#handed[worker].pop()
  }

  /** Clients of a worker over all pools. */
  clientsOf(worker: number): number {
    let clients = 0
    for (const memory of this.#memories[worker]) clients += Atomics.load(memory.block, WorkerBlock.clients)
    return clients
  }

  totalClients(): number {
    let clients = 0
    for (let worker = 0; worker < this.#workers; worker++) clients += this.clientsOf(worker)
    return clients
  }

  /** Clients of a pool of the newest generation over all workers. */
  clientsOfPool(pool: number): number {
    let clients = 0
    for (let worker = 0; worker < this.#workers; worker++) {
      for (const memory of this.#memories[worker]) {
        const at = memory.gauges[pool]
        if (at >= 0) clients += memory.row[at]
      }
      const onTheWay = this.#onTheWay(worker)
      for (const name of onTheWay) if (name === this.#poolNames[pool]) clients++
    }
    return clients
  }

  /** Pool names of the clients on the way to a worker. */
  #onTheWay(worker: number): readonly string[] {
    const handed = this.#handed[worker]
    if (handed.length === 0) return handed
    let taken = 0
    for (const memory of this.#memories[worker]) for (const at of memory.allGauges) taken += memory.row[at]
    const count = Math.max(0, this.clientsOf(worker) - taken)
    if (handed.length > count) handed.splice(0, handed.length - count)
    return handed
  }
}
