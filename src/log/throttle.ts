/** Keeps a line that a peer can cause at will from filling the log. Any thread; one for each kind of line and pool. */

/** Silence after a line that was written. */
const INTERVAL_MS = 10_000

/** What a line that is written says of those that were not. @param unwritten 0 and up. */
export function andMore(unwritten: number): string {
  return unwritten > 0 ? ` (and ${unwritten} more since the last such line)` : ''
}

export class LogThrottle {
  private writtenMs = -INTERVAL_MS
  private unwritten = 0

  /**
   * Whether the line at hand is to be written.
   * @param nowMs any clock, 0 and up, that only goes forward.
   * @returns -1 = no; else how many were kept back since the last one.
   */
  take(nowMs: number): number {
    if (nowMs - this.writtenMs < INTERVAL_MS) {
      this.unwritten++
      return -1
    }
    const kept = this.unwritten
    this.writtenMs = nowMs
    this.unwritten = 0
    return kept
  }
}
