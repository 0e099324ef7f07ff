/**
 * The orderly end of the process, as one worker's clients meet it. Data plane; made by `context.ts`, which asks it in the check phase of the
 * loop, when everything that the kernel had has been read.
 *
 *     SIGTERM ──────────────── served as before ─────────────────┬── last call ──┬─ timeout: cut off by the primary
 *              └ a client in a pause: FIN, its input is dropped  └ all others: FIN after the replies due
 *
 * Neither protocol has a word for "this connection ends", and whoever sends a request at the moment of the FIN loses it. So a client is let
 * go in a pause: it has all its replies and has sent nothing for some time. Who makes shorter pauses is served on, and the pause that is
 * long enough shrinks as the end comes near. A client that makes none gets its FIN at the last call. What holds in every case: a request
 * that was sent to a server is answered first; one that is met by the FIN has not been executed, so it may be sent again.
 */

import type { Pool } from './pool.ts'

/** A pause that is always long enough. */
const LONGEST_PAUSE_MS = 100
/** One that is never long enough, however near the end: the coarse timer's step. */
const SHORTEST_PAUSE_MS = 20
/** The pause is so much of the time left. */
const PAUSE_SHARE = 1 / 8
/** From the last call to the end: time to write the replies, at most this share of the whole. */
const LAST_CALL_MS = 1_000
const LAST_CALL_SHARE = 1 / 4

export class Drain {
  private readonly lastCallMs: number

  /** @param nowMs `Turn.nowMs`, as below. @param timeoutMs after which the worker is ended, done or not. */
  constructor(nowMs: number, timeoutMs: number) {
    this.lastCallMs = nowMs + timeoutMs - Math.min(LAST_CALL_MS, timeoutMs * LAST_CALL_SHARE)
  }

  /** Lets go of the clients whose time has come. */
  check(pools: readonly Pool[], nowMs: number): void {
    const leftMs = this.lastCallMs - nowMs
    const pauseMs = Math.max(SHORTEST_PAUSE_MS, Math.min(LONGEST_PAUSE_MS, leftMs * PAUSE_SHARE))
    for (const pool of pools) {
      for (const client of pool.clients) {
        if (leftMs <= 0) client.endInTurn()
        else client.endInPause(nowMs - pauseMs)
      }
    }
  }
}
