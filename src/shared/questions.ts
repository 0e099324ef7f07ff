/**
 * What one worker asks the others, by way of the primary, and what they answer. For rare commands
 * that concern all clients of a pool; no ordinary request causes a question.
 *
 *     worker 0 ── ask(id) ──▶ primary ── ask(relayId) ──▶ worker 1, worker 2 …
 *     worker 0 ◀─ answer(id, left) ── primary ◀── answer(relayId) ──┘
 *
 * Every question ends: with the last answer (`left` is 0), when the workers that did not answer are
 * dead, or when its time is over.
 */

/**
 * How long a worker waits for the others' answers, ms. A worker that is alive answers within a turn
 * of its loop.
 */
export const ANSWER_TIMEOUT_MS = 1_000

/**
 * The clients that CLIENT LIST and CLIENT KILL mean: those that fit every field that is not null.
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
   * Answered with one `ClientLine` a client. `version`: the servers', which decides what fields
   * there are.
   */
  | { readonly kind: 'list-clients'; readonly pool: string; readonly filter: ClientFilter; readonly version: string }
  /** Closes clients; answered with their number. */
  | { readonly kind: 'kill-clients'; readonly pool: string; readonly filter: ClientFilter }
  /**
   * Ends a client's blocking command; answered with 1, or 0 where there is no such client or it
   * does not wait.
   */
  | { readonly kind: 'unblock-client'; readonly pool: string; readonly id: number; readonly withError: boolean }
  /** Holds back requests until `untilMs` (`Date.now()` scale); 0 ends that. Answered with 0. */
  | { readonly kind: 'pause'; readonly pool: string; readonly untilMs: number; readonly writesOnly: boolean }
  /**
   * Worker `watcher` wants, or no longer wants, the pool's requests as MONITOR shows them. Answered
   * with 0.
   */
  | { readonly kind: 'watch'; readonly pool: string; readonly watcher: number; readonly on: boolean }
  /**
   * MONITOR lines of the asking worker's clients: `count` of them; `skipped` more were left out.
   * Answered with the number of monitoring clients, once they have them.
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
