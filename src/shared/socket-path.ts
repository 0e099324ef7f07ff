/**
 * The name under which a worker binds a unix listener before the primary renames it to its path.
 * Clients can connect only after the rename, which is one step; and when libuv closes the socket it
 * removes the first name, not the path, which may be a successor's by then.
 */

/** Longest path of a unix socket: `sun_path` of Linux, less its NUL. */
const MAX_PATH_BYTES = 107

/** @returns the name for this process, or the path itself where the name would be too long. */
export function boundPathOf(path: string): string {
  const boundPath = `${path}~${process.pid}`
  return Buffer.byteLength(boundPath) <= MAX_PATH_BYTES ? boundPath : path
}
