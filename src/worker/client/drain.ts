/**
 * The graceful shutdown of one worker's clients. Data plane; `context.ts` makes it and calls it in
 * the check phase of the loop, when all bytes that the kernel had have been read.
 *
 *     SIGTERM ──────────────── served as before ─────────────────┬── last call ──┬─ timeout: the primary ends the thread
 *              └ a client in a pause: FIN, its input is dropped  └ all others: FIN after the replies due
 *
 * Neither protocol has a word for "this connection ends", and a request that a client sends at the
 * moment of the FIN is lost. So the worker closes a client in a pause, when it has all its replies
 * and is unlikely to send: early in a pause, if the pause before it was long, or when the client
 * has been silent for longer than usual. A client that makes no pauses gets its FIN at the last
 * call. In every case a request that was sent to a server is answered first, and a request that
 * crosses the FIN has not been executed, so the client may send it again.
 */

import { endClient, isIdle } from './client-ending.ts'
import type { PoolClients } from './pool-clients.ts'

/** Shortest pause, ms: the coarse timer's step. */
const PAUSE_MS = 20
/** Silence that counts as a pause of a client whose earlier pauses are unknown, ms. */
const SILENCE_MS = 500
/** A client with longer pauses than this is unlikely to send at any one moment, ms. */
const LONG_PAUSE_MS = 1_000
/**
 * Time from the last call to the end, in which the last replies are written, ms; at most this share
 * of the timeout.
 */
const LAST_CALL_MS = 1_000
const LAST_CALL_SHARE = 1 / 4

export class Drain {
  private readonly lastCallMs: number

  /** @param nowMs `Turn.nowMs`. @param timeoutMs time until the primary ends the worker. */
  constructor(nowMs: number, timeoutMs: number) {
    this.lastCallMs = nowMs + timeoutMs - Math.min(LAST_CALL_MS, timeoutMs * LAST_CALL_SHARE)
  }

  /**
   * Closes the clients that make a pause; all of them at the last call.
   * @param nowMs `Turn.nowMs`.
   */
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
 * Whether a client that waits for no reply is unlikely to send at this moment.
 * @param silentMs time since its last reply. @param lastPauseMs how long it was silent before its
 * last request.
 * @testOnly
 */
export function isPause(silentMs: number, lastPauseMs: number): boolean {
  const usualMs = Math.min(lastPauseMs, LONG_PAUSE_MS)
  if (silentMs >= PAUSE_MS && silentMs <= usualMs / 2) return true
  return silentMs >= SILENCE_MS && silentMs >= usualMs * 2
}
