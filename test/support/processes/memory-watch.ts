/** Resident memory of a process, as the kernel counts it, watched while a scenario runs. Linux. */

import { readFileSync } from 'node:fs'

const INTERVAL_MS = 50

export const MIB = 1_048_576

/** Resident memory now, bytes; 0 once the process has ended. */
export function residentBytes(pid: number): number {
  try {
    const kib = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]
    return Number(kib ?? 0) * 1024
  } catch {
    return 0
  }
}

export class MemoryWatch {
  readonly startBytes: number
  /** The most that was seen so far. */
  peakBytes: number
  readonly #timer: NodeJS.Timeout

  constructor(pid: number) {
    this.startBytes = residentBytes(pid)
    this.peakBytes = this.startBytes
    this.#timer = setInterval(() => {
      this.peakBytes = Math.max(this.peakBytes, residentBytes(pid))
    }, INTERVAL_MS)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  get growthBytes(): number {
    return this.peakBytes - this.startBytes
  }
}
