/**
 * How many clients the descriptor limit leaves room for. Asked at start, once the workers run, and
 * at each reload, on the primary thread.
 *
 * nutcracker takes the limit less its server connections less 32 and closes what is beyond in
 * silence; when that goes negative it takes no notice of the limit at all. Here what is open is
 * counted, and the clients beyond get an error line, so some descriptors stay in reserve.
 */

import { readdirSync, readFileSync } from 'node:fs'
import type { Config } from '../../shared/config.ts'
import { LISTENERS_A_WORKER } from '../../shared/memory-layout.ts'

/**
 * For what comes and goes: four refused clients that read their line, readers of the stats port,
 * and the 6 of a thread that builds tables (a reload; measured on 24.21).
 */
const RESERVE = 12
/**
 * Turns of a worker's loop in which a client that is refused for want of a descriptor still has
 * one.
 */
const REFUSAL_TURNS = 3
/**
 * Where descriptors are few, the reserve is this part of what clients, servers and the reserve
 * share.
 */
const LARGEST_RESERVE_SHARE = 1 / 3

/**
 * What a process has open at least before it listens: Node's own with the log and the stats port,
 * and those of a worker (24.21).
 */
const LEAST_OWN = 25
const LEAST_OF_WORKER = 6

export interface DescriptorBudget {
  /** Soft limit of the process; Infinity = none. */
  readonly limit: number
  /**
   * A client whose descriptor lies within this many of the limit is refused, whatever the count of
   * clients says.
   */
  readonly reserve: number
  /** Most connections to servers at once, over all workers. */
  readonly maxServerConnections: number
  /** Most clients at once; 0 = there is no room for any. */
  readonly maxClients: number
  /** false: with all server connections in use there is no room for that many clients. */
  readonly fits: boolean
}

/**
 * @param limit soft limit; Infinity = none.
 * @param own `openDescriptors` before the process listens for clients, with all workers running.
 * @testOnly
 */
export function descriptorBudget(config: Config, workers: number, limit: number, own: number): DescriptorBudget {
  let maxServerConnections = 0
  let listeners = 0
  let wanted = RESERVE
  for (const { servers, serverConnections, reuseport, listen } of config.pools) {
    maxServerConnections += servers.length * serverConnections * workers
    const shared = reuseport && listen.path === ''
    listeners += shared ? workers * LISTENERS_A_WORKER : 1
    // So many can be accepted by all workers while one reads its line.
    if (shared) wanted = RESERVE + REFUSAL_TURNS * LISTENERS_A_WORKER * workers
  }
  // libuv opens one more for each loop with its first connection.
  const free = Math.max(0, limit - own - listeners - workers)
  const reserve = Math.min(wanted, Math.trunc(free * LARGEST_RESERVE_SHARE))
  const room = free - reserve
  const floor = Math.min(room, Math.max(1, Math.trunc(room / 4)))
  const besideServers = room - maxServerConnections
  return {
    limit,
    reserve,
    maxServerConnections,
    maxClients: Math.max(besideServers, floor),
    fits: besideServers >= floor,
  }
}

/** The limit of this process, and what it has open itself. One for the process. */
export class DescriptorLimit {
  readonly #workers: number
  #own = 0

  constructor(workers: number) {
    this.#workers = workers
  }

  /** Whether the workers can start at all: one that cannot open its files dies. */
  canStart(limit: number = descriptorLimit()): boolean {
    return limit >= LEAST_OWN + this.#workers * LEAST_OF_WORKER
  }

  /**
   * Takes what is open now for the process's own: called once, when all workers run and nobody
   * listens for clients.
   */
  count(): void {
    this.#own = openDescriptors()
  }

  /** @throws Error where there is no room for a single client. */
  budgetFor(config: Config): DescriptorBudget {
    const budget = descriptorBudget(config, this.#workers, descriptorLimit(), this.#own)
    if (budget.maxClients === 0) throw this.tooFew()
    return budget
  }

  tooFew(): Error {
    const workers = `with --workers ${this.#workers}`
    const limit = descriptorLimit()
    return new Error(`${limit} descriptors leave no room for a client ${workers}: raise the limit (ulimit -n)`)
  }
}

/**
 * How many descriptors the process has open; 0 where that is unknown, and so is the limit.
 * @testOnly
 */
export function openDescriptors(): number {
  try {
    // One of them is that of the folder.
    return readdirSync('/proc/self/fd').length - 1
  } catch {
    return 0
  }
}

/**
 * Soft limit of open descriptors, after Node has raised it as far as it may; Infinity when there is
 * none or it is unknown.
 * @testOnly
 */
export function descriptorLimit(): number {
  try {
    return parseLimit(readFileSync('/proc/self/limits', 'latin1'))
  } catch {
    // Not Linux: the kernel's own refusal is the only guard.
    return Infinity
  }
}

/** @param limits text of /proc/self/limits. @testOnly */
export function parseLimit(limits: string): number {
  const soft = /^Max open files\s+(\S+)/m.exec(limits)?.[1]
  return soft === undefined || soft === 'unlimited' ? Infinity : Number(soft)
}
