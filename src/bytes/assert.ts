/**
 * Our own invariants. A failure is a bug of ours: it throws, the worker dies and the supervisor
 * replaces it.
 */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`Assertion failed: ${message}`)
}
