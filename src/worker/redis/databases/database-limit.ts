/**
 * Remembers for a while which databases a server of the pool has refused, so that the proxy can
 * refuse SELECT. Data plane.
 */

import type { LimitedLog } from '../../../log/limited-log.ts'
import type { Turn } from '../../io/turn.ts'

/** How long a refusal is remembered, ms: a server may be restarted with more databases. */
const REFUSAL_MS = 10_000

/** What is needed of the pool. */
interface Owner {
  readonly config: { readonly name: string }
  readonly limitedLog: LimitedLog
  readonly context: { readonly turn: Turn }
}

export class DatabaseLimit {
  private readonly pool: Owner
  /** The least database that a server refused; it refuses all above, too. Valid until `untilMs`. */
  private least = Infinity
  private untilMs = 0

  constructor(pool: Owner) {
    this.pool = pool
  }

  /**
   * A server has answered SELECT with an error.
   * @param text of the error.
   * @param outOfRange it has no such database; else it has another reason, which may pass.
   */
  refused(database: number, server: string, text: string, outOfRange: boolean): void {
    const { config, context, limitedLog } = this.pool
    if (outOfRange) {
      this.least = this.allows(database) ? database : this.least
      this.untilMs = context.turn.nowMs + REFUSAL_MS
    }
    limitedLog.warn('SELECT failed', () => `SELECT ${database} failed on ${config.name} | ${server}: ${text}`)
  }

  /** Whether no server is known to refuse the database. */
  allows(database: number): boolean {
    return database < this.least || this.pool.context.turn.nowMs >= this.untilMs
  }
}
