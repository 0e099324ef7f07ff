/**
 * The form of log lines. `log.ts` makes one sink a thread and hands it every line that the level
 * lets through. Here: nutcracker's text; pino's JSON is in `json-sink.ts`.
 */

import type { Severity } from './level.ts'
import { formatLine, formatSignalLine } from './line.ts'
import type { LogFile } from './log-file.ts'

export interface Sink {
  /** @param cause an error whose stack belongs to the line, or null. */
  write(severity: Severity, component: string, message: string, cause: Error | null): void
  /** A line about a signal: it has dots in place of the time, as nutcracker's lines have. */
  signal(message: string): void
}

/**
 * nutcracker's text. A stack takes one line for each frame, so that every line keeps the format.
 */
export class LineSink implements Sink {
  readonly #file: LogFile

  constructor(file: LogFile) {
    this.#file = file
  }

  write(_severity: Severity, component: string, message: string, cause: Error | null): void {
    const time = new Date()
    this.#file.write(formatLine(time, component, message))
    if (cause === null) return
    for (const line of (cause.stack ?? String(cause)).split('\n')) {
      this.#file.write(formatLine(time, component, line.trimEnd()))
    }
  }

  signal(message: string): void {
    this.#file.write(formatSignalLine(message))
  }
}
