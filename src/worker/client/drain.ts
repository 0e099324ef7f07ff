/**
 * The orderly end of the process, as one worker's clients meet it. Data plane; made by `context.ts`, which asks it in the check phase of the
 * loop, when everything that the kernel had has been read.
 *
 *     SIGTERM ──────────────── served as before ─────────────────┬── last call ──┬─ timeout: cut off by the primary
 *              └ a client in a pause: FIN, its input is dropped  └ all others: FIN after the replies due
 *
 * Neither protocol has a word for "this connection ends", and whoever sends a request at the moment of the FIN loses it. So a client is let
 * go in a pause, when it has all its replies and is not about to send: early in a pause, if the one before it was long, or when it has been
 * silent for longer than it uses to. A client that makes no pauses gets its FIN at the last call. What holds in every case: a request that
 * was sent to a server is answered first, and one that is met by the FIN has not been executed, so it may be sent again.
 */

import { endClient, isIdle } from './client-ending.ts'
import type { PoolClients } from './pool-clients.ts'

/** The least pause: the coarse timer's step. */
const PAUSE_MS = 20
/** Silence after which a client whose pauses are not known is taken to make one. */
const SILENCE_MS = 500
/** Of clients that make longer pauses than this, few are about to send. */
const LONG_PAUSE_MS = 1_000
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
  check(pools: readonly PoolClients[], nowMs: number): void {
    const isLastCall = nowMs >= this.lastCallMs
    for (const pool of pools) {
      for (const client of pool.members) {
        if (isLastCall) endClient(client)
        else if (isIdle(client) && isPause(nowMs - client.activeMs, client.pauseMs)) endClient(client)
      }
    }
  }
}

/**
 * Whether a client that awaits nothing is unlikely to send at this moment.
 * @param silentMs since its last reply. @param lastPauseMs how long it was silent before its last request.
 * @testOnly
 */
export function isPause(silentMs: number, lastPauseMs: number): boolean {
  const usualMs = Math.min(lastPauseMs, LONG_PAUSE_MS)
  if (silentMs >= PAUSE_MS && silentMs <= usualMs / 2) return true
  return silentMs >= SILENCE_MS && silentMs >= usualMs * 2
}
