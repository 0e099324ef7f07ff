/**
 * The name under which a unix listener is bound before it gets its path: its clients come only once
 * it is renamed, in one step, and libuv removes the first name, not a successor's path, when it
 * closes the socket. For the worker that binds and the primary that renames.
 */

/** Longest path of a unix socket: `sun_path` of Linux, less its NUL. */
const MAX_PATH_BYTES = 107

/** @returns the name for this process, or the path itself where the name would be too long. */
export function boundPathOf(path: string): string {
  const boundPath = `${path}~${process.pid}`
  return Buffer.byteLength(boundPath) <= MAX_PATH_BYTES ? boundPath : path
}
