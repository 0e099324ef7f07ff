/**
 * Log lines that a peer can cause as often as it wants. Any thread; one instance for each pool and
 * worker. Each kind of line is written at most `LINES_PER_INTERVAL` times in an interval, then only
 * counted; when the interval ends, one line gives the count. So 50,000 bad requests write eleven
 * lines.
 */

// Imported, not global: a test with fake timers must not see this one, for which only the count
// waits.
import { clearTimeout, setTimeout } from 'node:timers'
import type { Severity } from './level.ts'
import type { Logger } from './log.ts'

/** Lines of one kind that are written within `LIMIT_INTERVAL_MS`. @testOnly */
export const LINES_PER_INTERVAL = 10
/** Length of an interval, which begins with the first line of its kind, ms. */
const LIMIT_INTERVAL_MS = 10_000

interface Kind {
  readonly name: string
  readonly severity: Severity
  /** `performance.now()` scale. */
  startedMs: number
  written: number
  leftOut: number
}

export class LimitedLog {
  readonly #log: Logger
  readonly #subject: string
  readonly #intervalMs: number
  readonly #kinds = new Map<string, Kind>()
  /** Runs while a kind has lines that were counted and not written. */
  #timer: NodeJS.Timeout | null = null

  /** @param subject what the lines are about, for the count: `pool 'alpha'`. */
  constructor(log: Logger, subject: string, intervalMs: number = LIMIT_INTERVAL_MS) {
    this.#log = log
    this.#subject = subject
    this.#intervalMs = intervalMs
  }

  /**
   * Writes a line of level 1, unless its kind has reached its limit in this interval.
   * @param kind a constant; it names the lines in the count.
   * @param compose makes the text; not called for a line that is only counted.
   */
  alert(kind: string, compose: () => string): void {
    if (this.#admits('alert', kind)) this.#log.alert(compose())
  }

  /** As `alert`, level 4. */
  warn(kind: string, compose: () => string): void {
    if (this.#admits('warn', kind)) this.#log.warn(compose())
  }

  /** As `alert`, level 5. */
  notice(kind: string, compose: () => string): void {
    if (this.#admits('notice', kind)) this.#log.notice(compose())
  }

  /** As `alert`, level 6. */
  info(kind: string, compose: () => string): void {
    if (this.#admits('info', kind)) this.#log.info(compose())
  }

  /** Writes the counts now; to be called when the thread ends. */
  flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    for (const kind of this.#kinds.values()) this.#end(kind)
  }

  #admits(severity: Severity, name: string): boolean {
    if (!this.#log.enabled(severity)) return false
    const nowMs = performance.now()
    let kind = this.#kinds.get(name)
    if (kind === undefined) {
      kind = { name, severity, startedMs: nowMs, written: 0, leftOut: 0 }
      this.#kinds.set(name, kind)
    } else if (nowMs - kind.startedMs >= this.#intervalMs) {
      this.#end(kind)
      kind.startedMs = nowMs
    }
    if (kind.written < LINES_PER_INTERVAL) {
      kind.written++
      return true
    }
    kind.leftOut++
    this.#timer ??= setTimeout(this.#onInterval, this.#intervalMs).unref()
    return false
  }

  readonly #onInterval = (): void => {
    this.#timer = null
    const nowMs = performance.now()
    let waiting = false
    for (const kind of this.#kinds.values()) {
      if (nowMs - kind.startedMs >= this.#intervalMs) this.#end(kind)
      else if (kind.leftOut > 0) waiting = true
    }
    if (waiting) this.#timer = setTimeout(this.#onInterval, this.#intervalMs).unref()
  }

  /** Writes the kind's count and ends its interval: the next line is written again. */
  #end(kind: Kind): void {
    const { leftOut } = kind
    kind.written = 0
    kind.leftOut = 0
    if (leftOut === 0) return
    const text = `${this.#subject}: ${leftOut} more lines of the kind "${kind.name}" were left out`
    switch (kind.severity) {
      case 'alert':
        this.#log.alert(text)
        break
      case 'warn':
        this.#log.warn(text)
        break
      case 'info':
        this.#log.info(text)
        break
      default:
        this.#log.notice(text)
    }
  }
}
