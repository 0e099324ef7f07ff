/**
 * MONITOR in one worker: lines of this worker's requests go to the monitoring clients, here and in
 * other workers. Data plane.
 *
 *     request ─▶ line ─▶ batch (once a turn) ─┬─▶ monitoring clients of this worker
 *                                             └─▶ each worker that has some (`shared/questions.ts`), four batches on the way at most
 *
 * No request waits for a monitoring client. Lines beyond a bound are dropped, and one line tells
 * how many requests that were.
 */

import type { Client } from '../../client/client.ts'
import type { Pool } from '../../server/pool.ts'
import { monitorLine } from './monitor-line.ts'

/** Most characters of lines in one turn's batch. */
const BATCH_CHARS = 262_144
/** Most batches that another worker has not answered yet. */
const MAX_BATCHES_UNDER_WAY = 4
/** A batch that a worker does not answer for this long counts as lost, ms. */
const BATCH_TIMEOUT_MS = 60_000

/** Another worker that has monitoring clients. */
interface Watcher {
  /** Batches that it has not answered yet. */
  underWay: number
  /** Requests dropped since the last batch. */
  skipped: number
}

export class MonitorFeed {
  /**
   * Monitoring clients of this worker, each with the number of requests dropped since its last
   * line.
   */
  readonly clients: Map<Client, number> = new Map()
  readonly #watchers: Map<number, Watcher> = new Map()
  readonly #pool: Pool
  readonly #onChange: () => void
  #lines = ''
  #count = 0
  #skipped = 0

  /** @param onChange called when `active` may have changed. */
  constructor(pool: Pool, onChange: () => void) {
    this.#pool = pool
    this.#onChange = onChange
  }

  /** True while some worker has a monitoring client. */
  get active(): boolean {
    return this.clients.size > 0 || this.#watchers.size > 0
  }

  /** Another worker has, or no longer has, monitoring clients. */
  setWatcher(worker: number, on: boolean): void {
    if (!on) this.#watchers.delete(worker)
    else if (!this.#watchers.has(worker)) this.#watchers.set(worker, { underWay: 0, skipped: 0 })
    this.#onChange()
  }

  /** Adds a request of this worker. @param line ends in CR LF. */
  add(line: string): void {
    if (this.#count === 0 && this.#skipped === 0) setImmediate(() => this.#flush())
    if (this.#lines.length + line.length > BATCH_CHARS) {
      this.#skipped++
      return
    }
    this.#lines += line
    this.#count++
  }

  #flush(): void {
    const lines = this.#lines
    const count = this.#count
    const skipped = this.#skipped
    this.#lines = ''
    this.#count = 0
    this.#skipped = 0
    this.#pool.context.turn.begin()
    this.deliver(lines, count, skipped)
    for (const [worker, watcher] of this.#watchers) this.#send(worker, watcher, lines, count, skipped)
  }

  #send(worker: number, watcher: Watcher, lines: string, count: number, skipped: number): void {
    watcher.skipped += skipped
    const { questions } = this.#pool.context
    const pool = this.#pool.config.name
    if (watcher.underWay < MAX_BATCHES_UNDER_WAY) {
      const question = { kind: 'monitor-lines', pool, lines, count, skipped: watcher.skipped } as const
      const taken = (answers: readonly unknown[], complete: boolean): void => {
        watcher.underWay--
        // The worker has died, or its successor has no monitoring clients.
        if (complete && (answers[0] ?? 0) === 0 && this.#watchers.get(worker) === watcher)
          this.setWatcher(worker, false)
      }
      watcher.underWay++
      if (questions.ask(question, taken, [worker], BATCH_TIMEOUT_MS)) {
        watcher.skipped = 0
        return
      }
      watcher.underWay--
    }
    watcher.skipped += count
  }

  /** Gives lines to the monitoring clients of this worker. @returns how many there are. */
  deliver(lines: string, count: number, skipped: number): number {
    if (this.clients.size === 0) return 0
    const bytes = Buffer.from(lines, 'latin1')
    for (const [client, before] of this.clients) {
      const missed = before + skipped
      if (client.socket.queuedBytes + client.heldBytes >= client.poolClients.limits.inFlightBytes) {
        this.clients.set(client, missed + count)
        continue
      }
      if (missed > 0) {
        const notice = Buffer.from(this.#notice(missed), 'latin1')
        client.output.writePush(notice, 0, notice.length, true)
        this.clients.set(client, 0)
      }
      if (bytes.length > 0) client.output.writePush(bytes, 0, bytes.length, true)
    }
    return this.clients.size
  }

  #notice(missed: number): string {
    return monitorLine(nowUs(), 0, 'unix:pistachio', ['MONITOR', `${missed} requests are not shown`])
  }
}

/** Microseconds since 1970. */
export function nowUs(): number {
  return Math.round((performance.timeOrigin + performance.now()) * 1000)
}
