/** The file of `-p`, for scripts that signal the proxy. Called by `index.ts` on the primary thread. It is not a lock: an old file is overwritten. */

import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { strerror } from '../../shared/strerror.ts'

const MODE = 0o644

/** Writes this process's number, decimal, without a newline. @returns '' or the text for the log when it cannot be written. */
export function writePidFile(path: string): string {
  try {
    writeFileSync(path, String(process.pid), { mode: MODE })
    return ''
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return `opening pid file '${path}' failed: ${strerror(code ?? String(error))}`
  }
}

/** Removes the file if it still names this process: a successor that took over with the same file keeps its own. Never fails. */
export function removePidFile(path: string): void {
  try {
    if (readFileSync(path, 'latin1') === String(process.pid)) rmSync(path)
  } catch {
    // Gone already, or a folder that may not be written any more: the process ends either way.
  }
}
