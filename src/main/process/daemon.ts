/**
 * `-d`. Node cannot fork a running process, so the foreground process starts the program again in a
 * new session, with the null device as stdin, stdout and stderr and in the same working directory.
 * It waits until the daemon serves or has failed, because scripts continue when it ends, and check
 * its exit code. Called by `index.ts` on the primary thread, once the log file is known to open.
 *
 *     foreground ── spawn ──▶ daemon: configuration, listeners, pid file
 *         ◀── "serving", or why not, through a pipe ──┘
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, writeSync } from 'node:fs'
import { isSea } from 'node:sea'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { strerror } from '../../shared/strerror.ts'

/**
 * Environment variable that tells the second process that it is the daemon, which removes it before
 * anything else starts.
 */
const MARK = 'PISTACHIO_DAEMON'
/** Descriptor of the daemon's end of the pipe; the first one after stderr. */
const REPORT_FD = 3
const SERVING = 'serving\n'

/** What the daemon tells the process that started it, once. */
export interface StartReport {
  /** The pools listen and the pid file is written. */
  serving(): void
  /** @param reason lines for the terminal. */
  failed(reason: string): void
}

/** For a process whose start no other process waits for. */
export const NO_REPORT: StartReport = { serving: () => {}, failed: () => {} }

export type DaemonRole =
  /** The caller is the daemon and goes on. */
  | { readonly role: 'daemon'; readonly report: StartReport }
  /** The daemon serves; the caller exits 0. */
  | { readonly role: 'foreground'; readonly pid: number }
  /** There is no daemon; the caller says why and exits 1. */
  | { readonly role: 'failed'; readonly message: string }

/**
 * Starts the daemon; called in both processes, it tells each its role. In the daemon it also clears
 * the file mode mask, as nutcracker does.
 */
export async function daemonize(): Promise<DaemonRole> {
  if (process.env[MARK] !== undefined) {
    delete process.env[MARK]
    process.umask(0)
    return { role: 'daemon', report: pipeReport() }
  }
  const { args, argv0 } = ownCommandLine()
  const child = spawn(process.execPath, args, {
    argv0,
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
    env: { ...process.env, [MARK]: '1' },
  })
  try {
    await once(child, 'spawn')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return { role: 'failed', message: `starting the daemon failed: ${strerror(code ?? String(error))}` }
  }
  return outcomeOf(child)
}

/**
 * Waits for the daemon's report. There is no time limit, because the start has none either (tables
 * of large rings, a slow resolver).
 */
async function outcomeOf(child: ChildProcess): Promise<DaemonRole> {
  const ended = once(child, 'exit')
  const told = await text(child.stdio[REPORT_FD] as Readable)
  if (told === SERVING) {
    child.unref()
    return { role: 'foreground', pid: child.pid! }
  }
  const [code, signal] = await ended
  const how = signal === null ? `with exit code ${code}` : `by ${signal}`
  return { role: 'failed', message: told === '' ? `the daemon ended ${how} before it served` : told.trimEnd() }
}

function pipeReport(): StartReport {
  let isOpen = true
  const tell = (message: string): void => {
    if (!isOpen) return
    isOpen = false
    try {
      writeSync(REPORT_FD, message)
      closeSync(REPORT_FD)
    } catch {
      // The process that started this one has ended.
    }
  }
  return { serving: () => tell(SERVING), failed: reason => tell(`${reason}\n`) }
}

/**
 * Arguments that start this program again. `ps` must show the daemon's command line as it was
 * given, and the one-file executable takes no script as an argument.
 */
function ownCommandLine(): { readonly args: readonly string[]; readonly argv0: string } {
  if (isSea()) return { args: process.argv.slice(2), argv0: process.argv0 }
  return { args: [...process.execArgv, ...process.argv.slice(1)], argv0: process.execPath }
}
