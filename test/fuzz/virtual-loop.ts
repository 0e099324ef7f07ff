/**
 * A loop of our own in place of Node's, for the worker's code on one thread: time passes only when nothing else is to be done, so a wait of
 * seconds costs nothing and every run of a seed is the same to the last event.
 *
 *     events and timers that are due ─▶ immediates ─▶ (nothing left: the clock jumps to the next event)
 *
 * While it is installed `setTimeout`, `setImmediate`, the clocks and `Math.random` are its own. One at a time.
 */

import type { Random } from '../support/random.ts'
import { Fault } from './fault.ts'

interface Event {
  dueMs: number
  /** Events of the same time happen in the order in which they were made. */
  order: number
  run: (() => void) | null
}

/** No case of a few hundred bytes takes a hundredth of this. */
const MOST_TURNS = 200_000

const real = { setImmediate, setTimeout, clearTimeout, dateNow: Date.now, random: Math.random }

export class VirtualLoop {
  /** ms since the loop was made. */
  nowMs = 1_000
  private readonly random: Random
  private readonly heap: Event[] = []
  private immediates: (() => void)[] = []
  private order = 0
  private turns = 0

  constructor(random: Random) {
    this.random = random
  }

  install(): void {
    const globals = globalThis as unknown as Record<string, unknown>
    globals.setTimeout = (run: () => void, ms = 0) => this.after(Math.max(1, Math.trunc(ms)), run)
    globals.clearTimeout = (event: Event | null) => {
      if (event !== null) event.run = null
    }
    globals.setImmediate = (run: () => void) => void this.immediates.push(run)
    performance.now = () => this.nowMs
    Math.random = () => this.random.word() / 0x1_0000_0000
    Date.now = () => 1_700_000_000_000 + this.nowMs
  }

  uninstall(): void {
    Object.assign(globalThis, {
      setTimeout: real.setTimeout,
      clearTimeout: real.clearTimeout,
      setImmediate: real.setImmediate,
    })
    Reflect.deleteProperty(performance, 'now')
    Date.now = real.dateNow
    Math.random = real.random
  }

  /** Runs something `ms` from now; 0 = in the next turn. */
  after(ms: number, run: () => void): Event {
    const event = { dueMs: this.nowMs + ms, order: this.order++, run }
    push(this.heap, event)
    return event
  }

  /**
   * Runs until `done` holds, until nothing is left to be done (`rest`), or until `limitMs` of virtual time are over (`late`).
   */
  run(done: () => boolean, limitMs: number): 'done' | 'rest' | 'late' {
    const endMs = this.nowMs + limitMs
    while (!done()) {
      if (++this.turns > MOST_TURNS) throw new Fault('hang', `no end after ${MOST_TURNS} turns of the loop`)
      const next = this.heap[0]
      if (this.immediates.length === 0) {
        if (next === undefined) return 'rest'
        if (next.dueMs > endMs) return 'late'
        if (next.dueMs > this.nowMs) this.nowMs = next.dueMs
      }
      this.turn()
    }
    return 'done'
  }

  private turn(): void {
    const last = this.order
    // What is made meanwhile belongs to the next turn.
    for (let next = this.heap[0]; next !== undefined; next = this.heap[0]) {
      if (next.dueMs > this.nowMs || next.order >= last) break
      pop(this.heap)
      next.run?.()
    }
    const { immediates } = this
    this.immediates = []
    for (const run of immediates) run()
  }
}

function isBefore(left: Event, right: Event): boolean {
  return left.dueMs < right.dueMs || (left.dueMs === right.dueMs && left.order < right.order)
}

function push(heap: Event[], event: Event): void {
  let at = heap.push(event) - 1
  while (at > 0) {
    const parent = (at - 1) >> 1
    if (!isBefore(event, heap[parent]!)) break
    heap[at] = heap[parent]!
    at = parent
  }
  heap[at] = event
}

function pop(heap: Event[]): void {
  const event = heap.pop()!
  if (heap.length === 0) return
  let at = 0
  for (;;) {
    let child = at * 2 + 1
    if (child >= heap.length) break
    if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
    if (!isBefore(heap[child]!, event)) break
    heap[at] = heap[child]!
    at = child
  }
  heap[at] = event
}
