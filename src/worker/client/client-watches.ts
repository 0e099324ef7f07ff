/** The clients of one worker that its coarse timer looks at. Data plane. */

import { type Timer, WatchList } from '../io/timer.ts'
import { CloseReason } from '../request/reply-target.ts'
import type { Client } from './client.ts'
import type { ProxyGreeting } from './proxy-greeting.ts'

/** Idle clients and incomplete requests are looked for this often, ms. */
export const IDLE_CHECK_MS = 500

export class ClientWatches {
  /** A large request waits for its client's earlier replies. */
  readonly uploads: WatchList<Client>
  /** The kernel does not take the replies. */
  readonly writes: WatchList<Client>
  /** A connection's PROXY header is still to come. */
  readonly greetings: WatchList<ProxyGreeting>
  /** The last replies are written, and the client still has to close; `LINGER_MS` at most. */
  readonly lingering: WatchList<Client>
  /** A request is not whole. */
  readonly requests: WatchList<Client>

  constructor(timer: Timer) {
    this.uploads = new WatchList(timer, 0, (client, nowMs) => client.checkUploadWait(nowMs))
    this.writes = new WatchList(timer, 0, (client, nowMs) => client.checkWrites(nowMs))
    this.greetings = new WatchList(timer, 0, (greeting, nowMs) => greeting.checkTime(nowMs))
    this.lingering = new WatchList(timer, 0, checkLingering)
    this.requests = new WatchList(timer, IDLE_CHECK_MS, (client, nowMs) => client.checkRequest(nowMs))
  }
}

function checkLingering(client: Client, nowMs: number): boolean {
  if (!client.closed && nowMs < client.lingerUntilMs) return true
  client.close(CloseReason.none)
  return false
}
