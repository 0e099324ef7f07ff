/** Measures how long requests for the keys of chosen servers take, one at a time, while a fault comes and goes. */

import { setTimeout as delay } from 'node:timers/promises'
import type { Address } from '../support/processes/child.ts'
import { Wire } from '../support/wire/wire.ts'
import type { Ledger, Modelled } from './ledger.ts'
import type { Work } from './operation.ts'

const PAUSE_MS = 1

export class Probe {
  readonly #address: Address
  readonly #work: Work
  readonly #ledger: Ledger
  readonly #keys: readonly Modelled[]
  #stopping = false
  #latencies: number[] = []

  /** @param keys keys of servers that no fault touches. */
  constructor(address: Address, work: Work, ledger: Ledger, keys: readonly Modelled[]) {
    this.#address = address
    this.#work = work
    this.#ledger = ledger
    this.#keys = keys
  }

  async run(): Promise<void> {
    const wire = await Wire.open(this.#address)
    for (let i = 0; !this.#stopping; i++) {
      const operation = this.#work.probe(this.#keys[i % this.#keys.length]!)
      const startedMs = performance.now()
      wire.send(operation.request)
      const replies = await wire.replies(1, this.#work.replyEnd).catch(() => null)
      if (replies === null) {
        this.#ledger.violation('probe', 'no reply from a server that no fault touches')
        break
      }
      if (this.#work.isError(replies[0]!)) this.#ledger.violation('probe', `got ${replies[0]}`)
      this.#latencies.push(performance.now() - startedMs)
      await delay(PAUSE_MS)
    }
    wire.destroy()
  }

  stop(): void {
    this.#stopping = true
  }

  /** The latencies since the last call, ms. */
  take(): number[] {
    const taken = this.#latencies
    this.#latencies = []
    return taken
  }
}

/** @param part 0.5 for the median. @returns Infinity where nothing was measured. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((left, right) => left - right)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Infinity
}
