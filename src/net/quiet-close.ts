/**
 * When a listening socket may be closed. Both threads: `listener.ts` and the workers' acceptor.
 *
 * Closing a listener resets every connection that the kernel has completed and the process has not
 * accepted yet. So a listener is closed right after a poll of the event loop that found nothing. A
 * connection that completes within those microseconds is still lost. Measured at 7,000 new
 * connections a second on a port that two processes share, on an overloaded machine: 1 connection
 * lost at 10 closes; 10 at 10 without this.
 */

/** Upper limit of the wait while events keep coming, ms. */
const QUIET_PATIENCE_MS = 1_000

/**
 * Calls `proceed` once a poll of the loop has found nothing, after `QUIET_PATIENCE_MS` at the
 * latest.
 * @param events how many events the loop has brought so far: connections, at least.
 */
export function whenQuiet(events: () => number, proceed: () => void): void {
  const deadlineMs = performance.now() + QUIET_PATIENCE_MS
  const look = (): void => {
    const seen = events()
    // Timers run before the poll, immediates after it: there is one poll between the two counts.
    setImmediate(() => {
      if (events() === seen || performance.now() >= deadlineMs) proceed()
      else setTimeout(look, 1)
    })
  }
  // A thread that has slept is unlikely to be preempted between the poll and the close.
  setTimeout(look, 1)
}
