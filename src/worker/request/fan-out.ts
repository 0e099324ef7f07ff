/**
 * A request to all servers whose reply is made without the servers that do not answer. Data plane,
 * for rare requests.
 *
 *     INFO ─▶ s1, s2, s3 ─▶ s1 answers ─▶ s2 and s3 have STRAGGLER_MS more ─▶ the reply is made of the answers that are there
 *
 * A fragment for a server that refuses connections fails at once. The time limit is for a server
 * that hangs, in a pool without a `timeout` or with a long one: a client that asks for INFO before
 * its first command would wait for that server.
 */

import type { Turn } from '../io/turn.ts'
import { completeSplit } from './delivery.ts'
import { Failure } from './failure.ts'
import type { ReplyTarget } from './reply-target.ts'
import { type Joiner, SplitRequest } from './split-request.ts'

/** How long a request waits for the other servers once the first one has answered, ms. */
export const STRAGGLER_MS = 1_000

export class FanOut extends SplitRequest {
  private readonly turn: Turn
  private timer: NodeJS.Timeout | null = null

  constructor(client: ReplyTarget, joiner: Joiner, turn: Turn) {
    super(client, joiner)
    this.turn = turn
  }

  /**
   * A server has answered: from now on the others have `STRAGGLER_MS`. Called for each answer,
   * before it leaves `waiting`.
   */
  answered(): void {
    if (this.timer === null && this.waiting > 1) this.timer = setTimeout(this.onLate, STRAGGLER_MS)
  }

  private readonly onLate = (): void => {
    if (this.waiting <= 0) return
    this.turn.begin()
    for (let missing = this.waiting; missing > 0; missing--) this.fail(Failure.timedOut)
    completeSplit(this)
  }

  override release(): void {
    if (this.timer !== null) clearTimeout(this.timer)
    super.release()
  }
}
