/**
 * `-d`. Node cannot fork a running process, so the foreground process starts itself again in a session of its own, with the null device for
 * stdin, stdout and stderr and the same working directory, and ends. Called by `index.ts` on the primary thread, once the log file is known to open.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { isSea } from 'node:sea'
import { strerror } from '../../shared/strerror.ts'

/** Tells the second process that it is the daemon. Taken out of its environment before anything else starts. */
const MARK = 'PISTACHIO_DAEMON'

export type DaemonRole =
  /** The caller is the daemon and goes on. */
  | { readonly role: 'daemon' }
  /** The daemon runs; the caller exits 0 at once. */
  | { readonly role: 'foreground'; readonly pid: number }
  /** The system refused another process; the caller says so and exits 1. */
  | { readonly role: 'failed'; readonly message: string }

/** Splits the roles. In the daemon it also clears the file mode mask, as nutcracker does. */
export async function daemonize(): Promise<DaemonRole> {
  if (process.env[MARK] !== undefined) {
    delete process.env[MARK]
    process.umask(0)
    return { role: 'daemon' }
  }
  const { args, argv0 } = ownCommandLine()
  const child = spawn(process.execPath, args, {
    argv0,
    detached: true,
    stdio: 'ignore',
    env: { ...process.env, [MARK]: '1' },
  })
  try {
    await once(child, 'spawn')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return { role: 'failed', message: `starting the daemon failed: ${strerror(code ?? String(error))}` }
  }
  child.unref()
  return { role: 'foreground', pid: child.pid! }
}

/** What starts this program again: `ps` must show the daemon as it was started, and the one-file executable is no script's interpreter. */
function ownCommandLine(): { readonly args: readonly string[]; readonly argv0: string } {
  if (isSea()) return { args: process.argv.slice(2), argv0: process.argv0 }
  return { args: [...process.execArgv, ...process.argv.slice(1)], argv0: process.execPath }
}
