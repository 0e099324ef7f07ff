/** What a running proxy holds at one moment, and whether it comes to hold more and more. Linux. */

import { readdirSync } from 'node:fs'
import { measureHeaps } from '../support/processes/heap-hook.ts'
import { MIB, residentBytes } from '../support/processes/memory-watch.ts'
import type { RunningProxy } from '../support/processes/proxy.ts'
import { Wire } from '../support/wire/wire.ts'
import { type Flatness, flatness } from './flatness.ts'

export interface Sample {
  readonly residentMiB: number
  /** Objects of all threads' heaps that are in use. */
  readonly heapMiB: number
  /** The same of buffers, shared memory included (once for each thread that has it). */
  readonly bufferMiB: number
  readonly descriptors: number
  /** Of clients, servers and listeners, as the stats port tells. */
  readonly connections: number
}

/** How each figure is shown, in this order. */
const FIGURES: readonly { key: keyof Sample; name: string; unit: string }[] = [
  { key: 'residentMiB', name: 'resident memory', unit: 'MiB' },
  { key: 'heapMiB', name: 'heap', unit: 'MiB' },
  { key: 'bufferMiB', name: 'buffers', unit: 'MiB' },
  { key: 'descriptors', name: 'descriptors', unit: '' },
  { key: 'connections', name: 'connections', unit: '' },
]

/**
 * Measures a proxy that was started with `HEAP_HOOK`.
 * @param workers how many it has.
 * @param isMeasured whether a thread's heap and buffers count, by its name (`HeapSize`). Default: all do.
 */
export async function takeSample(
  proxy: RunningProxy,
  workers: number,
  isMeasured: (thread: string) => boolean = () => true,
): Promise<Sample> {
  const { pid, child, statsPort } = proxy
  const heaps = (await measureHeaps(child.folder, workers)).filter(({ thread }) => isMeasured(thread))
  const document = await (await Wire.open({ port: statsPort })).untilClosed()
  return {
    residentMiB: residentBytes(pid) / MIB,
    heapMiB: heaps.reduce((sum, { objectBytes }) => sum + objectBytes, 0) / MIB,
    bufferMiB: heaps.reduce((sum, { externalBytes }) => sum + externalBytes, 0) / MIB,
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    connections: JSON.parse(document.toString()).curr_connections,
  }
}

/** @param allowances the rise of each figure that is still flat. */
export function flatnessOf(samples: readonly Sample[], allowances: Sample): Flatness[] {
  return FIGURES.map(({ key, name, unit }) => {
    const values = samples.map(sample => sample[key])
    return flatness({ name, unit, allowance: allowances[key], values })
  })
}

/** Heads of the columns that `columnsOf` fills. */
export const COLUMN_HEADS = FIGURES.map(({ name, unit }) => `${name} ${unit}`.trim().padStart(20)).join('')

export function columnsOf(sample: Sample): string {
  return FIGURES.map(({ key, unit }) => sample[key].toFixed(unit === '' ? 0 : 2).padStart(20)).join('')
}
