/**
 * A worker's turn of the loop: the clock read once, the routers refreshed once, and every connection with output written once, in the
 * check phase that follows the poll. Data plane.
 *
 *     poll: onread, onread, onread … ─▶ check: flush ─▶ (sleep)
 *           └ begin() at the first       └ one write a dirty connection
 */

import type { WorkerMemory } from '../memory/worker-memory.ts'

/** A connection's output (`Socket`), which the turn writes once. */
export interface Flushable {
  /** It is in the turn's list. The turn clears it before `flush`. */
  dirty: boolean
  flush(): void
}

export interface TurnHooks {
  /** First event of a turn. */
  begin(): void
  /** Every event was handled; the output is about to be written. */
  beforeFlush(): void
  /** All output is written; the turn is over. */
  end(): void
}

export class Turn {
  /** Milliseconds since the thread began, read at the turn's first event. */
  nowMs = 0
  /** Events so far, of all kinds. */
  events = 0
  hooks: TurnHooks | null = null
  /** What the worker's connections borrow. */
  readonly memory: WorkerMemory
  private open = false
  /** Sockets with output, [0, dirtyCount); the array keeps its length, since an emptied one would grow again in each turn. */
  private dirty: (Flushable | null)[] = []
  private dirtyCount = 0
  private spare: (Flushable | null)[] = []
  private readonly runEnd: () => void

  constructor(memory: WorkerMemory) {
    this.memory = memory
    this.nowMs = Math.trunc(performance.now())
    this.runEnd = () => this.end()
  }

  /** Every callback from the event loop calls this first. */
  begin(): void {
    this.events++
    if (this.open) return
    this.open = true
    this.nowMs = Math.trunc(performance.now())
    setImmediate(this.runEnd)
    if (this.hooks !== null) this.hooks.begin()
  }

  addDirty(socket: Flushable): void {
    this.dirty[this.dirtyCount] = socket
    this.dirtyCount++
    if (!this.open) this.begin()
  }

  private end(): void {
    if (this.hooks !== null) this.hooks.beforeFlush()
    // Close the turn before flushing. A flush may drain a client and queue it for resuming: unless that opens a new turn, the
    // client waits until the next unrelated event.
    this.open = false
    // A flush can make output for other connections, because a drained client is read again: hence the loop. It ends,
    // because the output of a client is bounded.
    while (this.dirtyCount > 0) {
      const sockets = this.dirty
      const count = this.dirtyCount
      this.dirty = this.spare
      this.dirtyCount = 0
      for (let i = 0; i < count; i++) {
        const socket = sockets[i]!
        sockets[i] = null
        socket.dirty = false
        socket.flush()
      }
      this.spare = sockets
    }
    if (this.hooks !== null) this.hooks.end()
  }
}
