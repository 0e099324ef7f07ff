/**
 * CLIENT PAUSE: requests of a pool's clients in this worker are held back here, before they reach a server. Data plane.
 *
 * A held-back request stays in its client's input and the client is not read meanwhile, so a pause costs no more memory than what had come
 * already; the rest waits in the kernel.
 */

import type { Command } from '../../../protocol/redis/commands.ts'
import { Flag } from '../../../protocol/redis/commands.ts'
import type { Client } from '../../client/client.ts'
import { knownSession } from '../session/session.ts'

/** Longest delay of a timer, ms. */
const MAX_TIMER_MS = 0x7fff_ffff

/** Commands that may write without being write commands. Source: Redis's flag MAY_REPLICATE. */
const MAY_WRITE = new Set(['EVAL', 'EVALSHA', 'FCALL', 'PFCOUNT', 'PUBLISH', 'SPUBLISH'])

export class Pause {
  /** `Date.now()` scale; 0 = no pause. */
  untilMs = 0
  /** Requests that only read go on. */
  writesOnly = false
  readonly #onEnd: () => void
  /** Clients whose next request is held back. */
  readonly #waiting: Set<Client> = new Set()
  #timer: NodeJS.Timeout | null = null

  /** @param onEnd called when a pause is over, before the clients go on. */
  constructor(onEnd: () => void) {
    this.#onEnd = onEnd
  }

  get active(): boolean {
    return this.untilMs > 0
  }

  /** Begins a pause. One that is active goes on until the later end, and holds back what either would (as Redis 7.0's `pauseClients`). */
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

  /** Holds back the client's current request where the pause is for it. @returns true when it does: the request comes again. */
  holdsBack(client: Client, command: Command): boolean {
    if (!this.active || !isHeldBack(client, command, this.writesOnly)) return false
    client.postpone(false)
    this.#waiting.add(client)
    return true
  }
}

function isHeldBack(client: Client, command: Command, writesOnly: boolean): boolean {
  // CLIENT goes on, so that a pause can be ended and looked at; so does what ends a connection.
  if (command.name === 'CLIENT' || command.name === 'QUIT') return false
  const session = knownSession(client)
  if (session?.monitoring != null) return false
  if (!writesOnly) return true
  const { transaction } = session ?? { transaction: null }
  // Within MULTI, a request is only queued.
  if (transaction?.open === true) return command.name === 'EXEC' && transaction.mayWrite
  return mayWrite(command)
}

export function mayWrite(command: Command): boolean {
  return (command.flags & Flag.write) !== 0 || MAY_WRITE.has(command.name)
}
