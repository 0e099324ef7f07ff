/**
 * A worker's coarse timer: deadlines are met within a step, and it runs only while anything has a deadline. Data plane.
 *
 *     arm ─▶ a step later: every member's tick ─▶ some have more to look at: armed again
 */

import type { Turn } from './turn.ts'

/** Coarse timer: deadlines are met within this, ms. */
const TICK_MS = 20
/** A step that comes later than this, ms, finds bytes in the kernel that came in time: they are read before anything expires. */
const LATE_MS = 100

export interface Ticking {
  /** @param nowMs `Turn.nowMs`. @returns true when it must be called again. */
  tick(nowMs: number): boolean
}

export class Timer {
  private readonly turn: Turn
  private readonly members: Ticking[] = []
  private timeout: NodeJS.Timeout | null = null
  private dueMs = 0

  constructor(turn: Turn) {
    this.turn = turn
  }

  /** Members are called in the order in which they were added. */
  add(member: Ticking): void {
    this.members.push(member)
  }

  arm(): void {
    if (this.timeout !== null) return
    this.timeout = setTimeout(this.onTimeout, TICK_MS)
    this.dueMs = performance.now() + TICK_MS
  }

  private readonly onTimeout = (): void => {
    // The thread could not run. Immediates come behind the loop's look at the sockets, timers before it.
    if (performance.now() - this.dueMs > LATE_MS) setImmediate(this.step)
    else this.step()
  }

  private readonly step = (): void => {
    this.timeout = null
    this.turn.begin()
    const { nowMs } = this.turn
    let again = false
    for (const member of this.members) if (member.tick(nowMs)) again = true
    if (again) this.arm()
  }
}

/** Things that are looked at until there is no more to watch. */
export class WatchList<Item> implements Ticking {
  private readonly items: Set<Item> = new Set()
  private readonly timer: Timer
  private readonly check: (item: Item, nowMs: number) => boolean
  private readonly everyMs: number
  private checkedMs = 0

  /**
   * @param check returns false when there is no more to watch.
   * @param everyMs time between two looks, at least; 0 = each step of the timer.
   */
  constructor(timer: Timer, everyMs: number, check: (item: Item, nowMs: number) => boolean) {
    this.timer = timer
    this.everyMs = everyMs
    this.check = check
    timer.add(this)
  }

  add(item: Item): void {
    if (this.items.has(item)) return
    this.items.add(item)
    this.timer.arm()
  }

  tick(nowMs: number): boolean {
    if (nowMs - this.checkedMs >= this.everyMs) {
      this.checkedMs = nowMs
      for (const item of this.items) if (!this.check(item, nowMs)) this.items.delete(item)
    }
    return this.items.size > 0
  }
}
