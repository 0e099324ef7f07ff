/** The clients of one worker that its coarse timer looks at. Data plane. */

import { type Timer, WatchList } from '../io/timer.ts'
import { CloseReason } from '../request/reply-target.ts'

/** The coarse timer looks for idle clients and incomplete requests at most this often, ms. */
export const IDLE_CHECK_MS = 500

/**
 * What the timer calls. Each check returns false when there is no more to watch. `nowMs` is
 * `Turn.nowMs`. `Client` implements it.
 */
export interface WatchedClient {
  readonly closed: boolean
  readonly lingerUntilMs: number
  checkUploadWait(nowMs: number): boolean
  checkRequest(nowMs: number): boolean
  close(reason: number): void
}

/** `ClientOutput` implements it. */
export interface WatchedOutput {
  checkWrites(nowMs: number): boolean
}

/** `ProxyGreeting` implements it. */
export interface WatchedGreeting {
  checkTime(nowMs: number): boolean
}

export class ClientWatches {
  /** A large request waits for its client's earlier replies. */
  readonly uploads: WatchList<WatchedClient>
  /** The kernel does not take the replies. */
  readonly writes: WatchList<WatchedOutput>
  /** A connection's PROXY header is incomplete. */
  readonly greetings: WatchList<WatchedGreeting>
  /** The last replies are written and FIN is sent; `LINGER_MS` at most. */
  readonly lingering: WatchList<WatchedClient>
  /** A request is incomplete. */
  readonly requests: WatchList<WatchedClient>

  constructor(timer: Timer) {
    this.uploads = new WatchList(timer, 0, (client, nowMs) => client.checkUploadWait(nowMs))
    this.writes = new WatchList(timer, 0, (output, nowMs) => output.checkWrites(nowMs))
    this.greetings = new WatchList(timer, 0, (greeting, nowMs) => greeting.checkTime(nowMs))
    this.lingering = new WatchList(timer, 0, checkLingering)
    this.requests = new WatchList(timer, IDLE_CHECK_MS, (client, nowMs) => client.checkRequest(nowMs))
  }
}

function checkLingering(client: WatchedClient, nowMs: number): boolean {
  if (!client.closed && nowMs < client.lingerUntilMs) return true
  client.close(CloseReason.none)
  return false
}
