/**
 * The file of `-p`, for scripts that signal the proxy. Called by `index.ts` on the primary thread.
 * It is not a lock, and an old file is overwritten; but only a process that serves writes it, so a
 * start that fails leaves the running process's file unchanged.
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
 * Checks whether the file can be written, without changing it.
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
      // Truncated after the write, so that a script that reads meanwhile finds the old number or
      // the new one, not an empty file.
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
 * Removes the file if it still names this process: a successor may have written its own number.
 * Never fails.
 */
export function removePidFile(path: string): void {
  try {
    if (readFileSync(path, 'latin1') === String(process.pid)) rmSync(path)
  } catch {
    // Already removed, or the folder is no longer writable: the process ends in any case.
  }
}

/** nutcracker's line. @param code errno name; undefined for a name that is no valid path. */
function failure(path: string, code: string | undefined): string {
  return `opening pid file '${path}' failed: ${strerror(code ?? 'EINVAL')}`
}
