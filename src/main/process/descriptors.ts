/**
 * How many clients the descriptor limit leaves room for. Asked once at start and at each reload, on the primary thread.
 *
 * nutcracker takes the limit less its server connections less 32 and closes what is beyond in silence; when that goes negative it takes no
 * notice of the limit at all. Here the clients beyond get an error line, so some descriptors stay in reserve to say it with.
 */

import { readFileSync } from 'node:fs'
import type { Config } from '../../shared/config.ts'
import { LISTENERS_A_WORKER } from '../../shared/memory-layout.ts'

/** Descriptors of the process itself (Node opens 23), the log, the stats port and its readers, the thread that builds tables. */
const OWN_DESCRIPTORS = 40
/** Event loop, wake-ups and log of one worker thread; 6 measured on 24.21. */
const DESCRIPTORS_PER_WORKER = 8

export interface DescriptorBudget {
  /** Soft limit of the process; Infinity = none. */
  readonly limit: number
  /** Most connections to servers at once, over all workers. */
  readonly maxServerConnections: number
  /** Most clients at once; at least one. */
  readonly maxClients: number
  /** false: the servers alone need more than there is, so the clients get a quarter of the limit and both may meet it. */
  readonly fits: boolean
}

/** @param limit soft limit; Infinity = none. */
export function descriptorBudget(config: Config, workers: number, limit: number): DescriptorBudget {
  let maxServerConnections = 0
  for (const pool of config.pools) maxServerConnections += pool.servers.length * pool.serverConnections * workers
  let listeners = 0
  for (const { reuseport } of config.pools) listeners += reuseport ? workers * LISTENERS_A_WORKER : 1
  const own = OWN_DESCRIPTORS + workers * DESCRIPTORS_PER_WORKER + listeners
  const room = limit - own - maxServerConnections
  const floor = Math.max(1, Math.trunc(limit / 4))
  return { limit, maxServerConnections, maxClients: Math.max(room, floor), fits: room >= floor }
}

/** Soft limit of open descriptors, after Node has raised it as far as it may; Infinity when there is none or it is unknown. */
export function descriptorLimit(): number {
  try {
    return parseLimit(readFileSync('/proc/self/limits', 'latin1'))
  } catch {
    // Not Linux: the kernel's own refusal is the only guard.
    return Infinity
  }
}

/** @param limits text of /proc/self/limits. */
export function parseLimit(limits: string): number {
  const soft = /^Max open files\s+(\S+)/m.exec(limits)?.[1]
  return soft === undefined || soft === 'unlimited' ? Infinity : Number(soft)
}
