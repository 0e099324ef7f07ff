/**
 * How many clients fit the descriptor limit. Computed at start, once the workers run, and at each
 * reload, on the primary thread.
 *
 * nutcracker subtracts its server connections and 32 from the limit and closes further clients
 * without a message; if the result is negative, it ignores the limit. pistachio counts its open
 * descriptors, and further clients get an error line, for which some descriptors stay in reserve.
 */

import { readdirSync, readFileSync } from 'node:fs'
import type { Config } from '../../shared/config.ts'
import { LISTENERS_A_WORKER } from '../../shared/memory-layout.ts'

/**
 * Descriptors in reserve: four rejected clients that read their line, readers of the stats port,
 * and 6 of a thread that builds tables (a reload; measured on Node 24.21).
 */
const RESERVE = 12
/**
 * Turns of a worker's loop for which a client that is rejected because descriptors are short still
 * has one.
 */
const REFUSAL_TURNS = 3
/**
 * When descriptors are few, the reserve is at most this part of those for clients, servers and the
 * reserve.
 */
const LARGEST_RESERVE_SHARE = 1 / 3

/**
 * Least number of descriptors that the process has open before it listens: Node's, with the log and
 * the stats port; and those of one worker (Node 24.21).
 */
const LEAST_OWN = 25
const LEAST_OF_WORKER = 6

export interface DescriptorBudget {
  /** Soft limit of the process; Infinity = none. */
  readonly limit: number
  /**
   * A client whose descriptor lies within this many of the limit is rejected, whatever the number
   * of clients.
   */
  readonly reserve: number
  /** Limit on server connections, over all workers. */
  readonly maxServerConnections: number
  /** Limit on clients; 0 = there is no room for any. */
  readonly maxClients: number
  /** false: `maxClients` do not fit while all server connections are in use. */
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
    // All workers can accept this many while one client reads its line.
    if (shared) wanted = RESERVE + REFUSAL_TURNS * LISTENERS_A_WORKER * workers
  }
  // libuv opens one more for each loop at the loop's first connection.
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

/** The limit of this process, and its own open descriptors. One for the process. */
export class DescriptorLimit {
  readonly #workers: number
  #own = 0

  constructor(workers: number) {
    this.#workers = workers
  }

  /** Whether the workers can start: a worker that cannot open its files dies. */
  canStart(limit: number = descriptorLimit()): boolean {
    return limit >= LEAST_OWN + this.#workers * LEAST_OF_WORKER
  }

  /**
   * Counts the descriptors that are open now as the process's own. Called once, when all workers
   * run and no listener is open.
   */
  count(): void {
    this.#own = openDescriptors()
  }

  /** @throws Error when there is no room for a single client. */
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
 * Number of open descriptors of the process; 0 where that is unknown, as the limit is then.
 * @testOnly
 */
export function openDescriptors(): number {
  try {
    // One of them is the open folder's.
    return readdirSync('/proc/self/fd').length - 1
  } catch {
    return 0
  }
}

/**
 * Soft limit on open descriptors, which Node has raised to the hard limit at start; Infinity when
 * there is none or it is unknown.
 * @testOnly
 */
export function descriptorLimit(): number {
  try {
    return parseLimit(readFileSync('/proc/self/limits', 'latin1'))
  } catch {
    // Not Linux: only the kernel's limit applies.
    return Infinity
  }
}

/** @param limits text of /proc/self/limits. @testOnly */
export function parseLimit(limits: string): number {
  const soft = /^Max open files\s+(\S+)/m.exec(limits)?.[1]
  return soft === undefined || soft === 'unlimited' ? Infinity : Number(soft)
}
