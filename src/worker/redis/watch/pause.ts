/**
 * CLIENT PAUSE: delays requests of a pool's clients in this worker before they reach a server. Data
 * plane.
 *
 * A delayed request stays in its client's input, and the client is not read meanwhile. So a pause
 * needs no memory beyond the input that has arrived; the rest stays in the kernel.
 */

import type { Command } from '../../../protocol/redis/commands.ts'
import { Flag } from '../../../protocol/redis/commands.ts'
import type { Client } from '../../client/client.ts'
import { knownSession } from '../session/session.ts'

/** Longest delay of a timer, ms. */
const MAX_TIMER_MS = 0x7fff_ffff

/** Commands without the write flag that may write. Source: Redis's flag MAY_REPLICATE. */
const MAY_WRITE = new Set(['EVAL', 'EVALSHA', 'FCALL', 'PFCOUNT', 'PUBLISH', 'SPUBLISH'])

export class Pause {
  /** End of the pause, as `Date.now()`; 0 = no pause. */
  untilMs = 0
  /** True: only writes are delayed. */
  writesOnly = false
  readonly #onEnd: () => void
  /** Clients whose next request is delayed. */
  readonly #waiting: Set<Client> = new Set()
  #timer: NodeJS.Timeout | null = null

  /** @param onEnd called when a pause is over, before the clients are resumed. */
  constructor(onEnd: () => void) {
    this.#onEnd = onEnd
  }

  get active(): boolean {
    return this.untilMs > 0
  }

  /**
   * Begins a pause, or extends the active one to the later end and to the commands of both (as
   * Redis 7.0's `pauseClients`).
   */
  begin(untilMs: number, writesOnly: boolean): void {
    this.writesOnly = this.active ? this.writesOnly && writesOnly : writesOnly
    this.untilMs = Math.max(this.untilMs, untilMs)
    this.#arm()
  }

  #arm(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    const leftMs = Math.max(0, this.untilMs - Date.now())
    this.#timer = setTimeout(() => this.#check(), Math.min(leftMs, MAX_TIMER_MS))
    this.#timer.unref()
  }

  #check(): void {
    this.#timer = null
    if (Date.now() < this.untilMs) this.#arm()
    else this.end()
  }

  end(): void {
    if (!this.active) return
    this.untilMs = 0
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#onEnd()
    for (const client of this.#waiting) if (!client.closed) client.pool.context.resumeLater(client)
    this.#waiting.clear()
  }

  /**
   * Delays the client's current request if the pause applies to it.
   * @returns true when it does: the request is parsed again later.
   */
  delays(client: Client, command: Command): boolean {
    if (!this.active || !isDelayed(client, command, this.writesOnly)) return false
    client.postpone(false)
    this.#waiting.add(client)
    return true
  }
}

function isDelayed(client: Client, command: Command, writesOnly: boolean): boolean {
  // CLIENT is never delayed, so that a pause can be inspected and ended; nor is QUIT.
  if (command.name === 'CLIENT' || command.name === 'QUIT') return false
  const session = knownSession(client)
  if (session?.monitoring != null) return false
  if (!writesOnly) return true
  const { transaction } = session ?? { transaction: null }
  // Within MULTI the server only queues requests, so EXEC alone is delayed.
  if (transaction?.open === true) return command.name === 'EXEC' && transaction.mayWrite
  return mayWrite(command)
}

export function mayWrite(command: Command): boolean {
  return (command.flags & Flag.write) !== 0 || MAY_WRITE.has(command.name)
}
