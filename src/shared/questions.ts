/**
 * What one worker asks the other workers, through the primary, and what they answer. For rare
 * commands that concern all clients of a pool; requests for keys cause no questions.
 *
 *     worker 0 ── ask(id) ──▶ primary ── ask(relayId) ──▶ worker 1, worker 2 …
 *     worker 0 ◀─ answer(id, left) ── primary ◀── answer(relayId) ──┘
 *
 * Every question ends: with the last answer (`left` is 0), when the workers that have not answered
 * are dead, or at its time limit.
 */

/**
 * Time limit for the other workers' answers, ms. A live worker answers within a turn of its loop.
 */
export const ANSWER_TIMEOUT_MS = 1_000

/**
 * Which clients CLIENT LIST and CLIENT KILL concern: those that match every field that is not null.
 */
export interface ClientFilter {
  /** CLIENT ID numbers. */
  readonly ids: readonly number[] | null
  readonly type: 'normal' | 'pubsub' | 'other' | null
  /** As CLIENT LIST shows it. */
  readonly address: string | null
  readonly localAddress: string | null
  /** Connected for at least this long, seconds. */
  readonly minAgeSec: number | null
  /** CLIENT ID of a client that is left out. */
  readonly exceptId: number | null
}

/** `pool` is the pool's name: indexes change with a reload. */
export type WorkerQuestion =
  /**
   * Answered with one `ClientLine` a client. `version`: the servers' version, which decides the
   * fields.
   */
  | { readonly kind: 'list-clients'; readonly pool: string; readonly filter: ClientFilter; readonly version: string }
  /** Closes clients; answered with their number. */
  | { readonly kind: 'kill-clients'; readonly pool: string; readonly filter: ClientFilter }
  /**
   * Ends a client's blocking command; answered with 1, or with 0 when there is no such client or it
   * is not blocked.
   */
  | { readonly kind: 'unblock-client'; readonly pool: string; readonly id: number; readonly withError: boolean }
  /**
   * Pauses the pool's clients until `untilMs` (`Date.now()` scale); 0 ends the pause. Answered with
   * 0.
   */
  | { readonly kind: 'pause'; readonly pool: string; readonly untilMs: number; readonly writesOnly: boolean }
  /**
   * Worker `watcher` has its first monitoring client of the pool, or has none any more. Answered
   * with 0.
   */
  | { readonly kind: 'watch'; readonly pool: string; readonly watcher: number; readonly on: boolean }
  /**
   * MONITOR lines of the asking worker's clients: `count` of them; `skipped` more were left out.
   * Answered with the number of monitoring clients, once the lines are written to them.
   */
  | {
      readonly kind: 'monitor-lines'
      readonly pool: string
      readonly lines: string
      readonly count: number
      readonly skipped: number
    }

/** One client in CLIENT LIST. */
export interface ClientLine {
  readonly id: number
  readonly text: string
}

export type WorkerAnswer = number | readonly ClientLine[]
