/**
 * The file of `-p`, for scripts that signal the proxy. Called by `index.ts` on the primary thread.
 * It is not a lock, and an old file is overwritten; but only by a process that serves, so that a
 * start that fails leaves the file of the running process as it is.
 */

import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  ftruncateSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { strerror } from '../../shared/strerror.ts'

const MODE = 0o644

/**
 * Whether the file can be written, found out without touching it.
 * @returns '' or the text for the log.
 */
export function checkPidFile(path: string): string {
  try {
    const isThere = existsSync(path)
    if (isThere && statSync(path).isDirectory()) return failure(path, 'EISDIR')
    accessSync(isThere ? path : dirname(path), constants.W_OK)
    return ''
  } catch (error) {
    return failure(path, (error as NodeJS.ErrnoException).code)
  }
}

/**
 * Writes this process's number, decimal, without a newline.
 * @returns '' or the text for the log when it cannot be written.
 */
export function writePidFile(path: string): string {
  try {
    const fd = openSync(path, constants.O_WRONLY | constants.O_CREAT, MODE)
    try {
      // Cut afterwards: a script that reads meanwhile finds the old number or the new one, not
      // nothing.
      ftruncateSync(fd, writeSync(fd, String(process.pid)))
    } finally {
      closeSync(fd)
    }
    return ''
  } catch (error) {
    return failure(path, (error as NodeJS.ErrnoException).code)
  }
}

/**
 * Removes the file if it still names this process: a successor that took over with the same file
 * keeps its own. Never fails.
 */
export function removePidFile(path: string): void {
  try {
    if (readFileSync(path, 'latin1') === String(process.pid)) rmSync(path)
  } catch {
    // Gone already, or a folder that may not be written any more: the process ends either way.
  }
}

/** nutcracker's line. @param code errno name; undefined for a name that no file can have. */
function failure(path: string, code: string | undefined): string {
  return `opening pid file '${path}' failed: ${strerror(code ?? 'EINVAL')}`
}
