/**
 * Checks an invariant of the proxy itself. A failure is a bug: it throws, the worker dies and the
 * supervisor replaces it.
 */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`Assertion failed: ${message}`)
}
