/**
 * Notices when this process, and so presumably the machine, stood still: timeouts at that time are
 * no fault of the proxy.
 */

import type { Ledger } from './ledger.ts'

const INTERVAL_MS = 10
/** So long between two ticks is a stall, ms. */
const STALL_MS = 100

export class StallWatch {
  readonly #timer: NodeJS.Timeout

  constructor(ledger: Ledger) {
    let lastMs = performance.now()
    this.#timer = setInterval(() => {
      const nowMs = performance.now()
      if (nowMs - lastMs > STALL_MS) ledger.stall(lastMs, nowMs)
      lastMs = nowMs
    }, INTERVAL_MS)
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}
