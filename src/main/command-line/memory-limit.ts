/**
 * `--memory-limit`: the limit on requests and replies buffered in the workers. Read once by
 * `cli.ts` on the primary thread; each worker keeps to its share (`worker/memory-guard.ts`).
 */

import { totalmem } from 'node:os'

/** Half of the memory: the rest is for the process itself and for other processes. */
export const DEFAULT_MEMORY_LIMIT = '50%'

const UNITS = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 } as const
/** A lower limit for all workers together is a mistake: one large value would not fit. */
const LEAST_BYTES = 16 * 1024 ** 2

/**
 * @param text digits, with `k`, `m` or `g` (powers of 1024) or `%` of the memory that the process
 * may have; `0` = no limit.
 * @returns bytes, 0 for no limit, or -1 when it is malformed or too low.
 */
export function parseMemoryLimit(text: string): number {
  const [, digits, unit = ''] = /^(\d{1,15})(?:([kmg]?)b?|%)$/i.exec(text) ?? []
  if (digits === undefined) return -1
  const number = Number(digits)
  if (number === 0) return 0
  if (text.endsWith('%')) return number > 100 ? -1 : Math.trunc((availableMemoryBytes() * number) / 100)
  const bytes = number * UNITS[unit.toLowerCase() as keyof typeof UNITS]
  return bytes < LEAST_BYTES || bytes > Number.MAX_SAFE_INTEGER ? -1 : bytes
}

/**
 * The memory that the process may use, bytes: the limit of its control group (a container's), or
 * the machine's memory.
 * @testOnly
 */
export function availableMemoryBytes(): number {
  const constrained = process.constrainedMemory()
  const total = totalmem()
  return constrained > 0 && constrained < total ? constrained : total
}
