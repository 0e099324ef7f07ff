/**
 * What each signal does. `index.ts` installs the handlers on the primary thread as early as
 * possible, because until then SIGUSR1 starts Node's debugger.
 *
 *     SIGHUP            open the log file again      SIGINT, SIGTERM   drain and end; the second: end now
 *     SIGTTIN, SIGTTOU  log level up, down           SIGUSR1           read the configuration again
 *     SIGUSR2           nothing                      (SIGPIPE          ignored by Node)
 *     SIGQUIT, SIGABRT, SIGSYS, SIGALRM …                a line in the log, then the default: the process ends
 *
 * The lines are nutcracker's, which logs them at every level. It has none for SIGTERM, and ends at
 * once on SIGINT.
 */

import { constants } from 'node:os'
import type { Logger } from '../../log/log.ts'
import { strerror } from '../../shared/strerror.ts'

/**
 * Signals that end a process by default and that no fault of the program itself raises (SIGABRT by
 * abort() never reaches its handler).
 */
const FATAL: readonly NodeJS.Signals[] = [
  'SIGQUIT',
  'SIGABRT',
  'SIGSYS',
  'SIGXCPU',
  'SIGALRM',
  'SIGVTALRM',
  'SIGIO',
  'SIGPWR',
  'SIGSTKFLT',
]

export interface SignalOptions {
  readonly log: Logger
  /** Path of the log file as `-o` gave it, '' for stderr. */
  readonly logFile: string
  /**
   * Signals that were ignored when the program started. They stay ignored, except those that
   * nutcracker handles.
   */
  readonly ignored: ReadonlySet<NodeJS.Signals>
  /** Called for SIGHUP, after the primary has reopened its own log: the workers reopen theirs. */
  readonly onReopenLog: () => void
  /** Called for SIGUSR1. */
  readonly onReload: () => void
  /** Called for the first SIGINT or SIGTERM. */
  readonly onDrain: (signal: 'SIGINT' | 'SIGTERM') => void
  /** Called for every further SIGINT or SIGTERM; the process ends in this call. */
  readonly onExit: (signal: 'SIGINT' | 'SIGTERM') => void
}

/** Starts to handle signals. @returns a function that stops it. */
export function installSignals(options: SignalOptions): () => void {
  const { log } = options
  let ending = false
  const end = (signal: 'SIGINT' | 'SIGTERM') => {
    log.signal(received(signal, ending ? 'exiting at once' : 'exiting'))
    if (ending) options.onExit(signal)
    else {
      ending = true
      options.onDrain(signal)
    }
  }
  const handlers: readonly (readonly [NodeJS.Signals, () => void])[] = [
    ['SIGHUP', () => reopenLog(options)],
    ['SIGTTIN', () => shiftLevel(log, 'SIGTTIN', 1, 'up')],
    ['SIGTTOU', () => shiftLevel(log, 'SIGTTOU', -1, 'down')],
    [
      'SIGUSR1',
      () => {
        log.signal(received('SIGUSR1', ''))
        options.onReload()
      },
    ],
    ['SIGUSR2', () => log.signal(received('SIGUSR2', ''))],
    ['SIGINT', () => end('SIGINT')],
    ['SIGTERM', options.ignored.has('SIGTERM') ? () => {} : () => end('SIGTERM')],
    ...fatalHandlers(options),
  ]
  for (const [signal, handler] of handlers) process.on(signal, handler)
  return () => {
    for (const [signal, handler] of handlers) process.off(signal, handler)
  }
}

function fatalHandlers({ log, ignored }: SignalOptions): (readonly [NodeJS.Signals, () => void])[] {
  return FATAL.map(signal => {
    if (ignored.has(signal)) return [signal, () => {}]
    const die = (): void => {
      log.signal(received(signal, 'dying'))
      process.removeAllListeners(signal)
      process.kill(process.pid, signal)
    }
    return [signal, die]
  })
}

function reopenLog(options: SignalOptions): void {
  options.log.signal(received('SIGHUP', 'reopening log file'))
  try {
    options.log.reopen()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const reason = strerror(code ?? String(error))
    process.stderr.write(`reopening log file '${options.logFile}' failed, ignored: ${reason}\n`)
  }
  options.onReopenLog()
}

function shiftLevel(log: Logger, signal: NodeJS.Signals, step: 1 | -1, direction: 'up' | 'down'): void {
  log.signal(received(signal, `${direction} logging level`))
  const level = log.shiftLevel(step)
  if (level !== -1) log.signal(`${direction} log level to ${level}`)
}

function received(signal: NodeJS.Signals, action: string): string {
  const line = `signal ${constants.signals[signal]} (${signal}) received`
  return action === '' ? line : `${line}, ${action}`
}
