/**
 * The two forms of a log line: nutcracker's text, and pino's JSON. `log.ts` makes one sink a thread and hands it every line that the level
 * lets through.
 */

import { pino } from 'pino'
import type { Severity } from './level.ts'
import { cutMessage, formatLine, formatSignalLine } from './line.ts'
import type { LogFile } from './log-file.ts'

export interface Sink {
  /** @param cause an error whose stack belongs to the line, or null. */
  write(severity: Severity, component: string, message: string, cause: Error | null): void
  /** A line about a signal: nutcracker gives it dots for a time. */
  signal(message: string): void
}

/** A stack takes a line of its own for each frame, so that every line keeps the format. */
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

/** Numbers as pino's tools expect them; `banner` is no more than information to whoever raises alarms by level. */
const PINO_LEVELS = { debug: 20, info: 30, banner: 31, notice: 35, warn: 40, error: 50, alert: 60 }

/** `{"level":"warn","time":"2026-…Z","pid":1,"component":"listener","msg":"…"}`, with `err` (type, message, stack) where there is one. */
export class JsonSink implements Sink {
  readonly #pino: pino.Logger<Severity, true>

  constructor(file: LogFile) {
    const options = {
      level: 'debug',
      customLevels: PINO_LEVELS,
      useOnlyCustomLevels: true,
      base: { pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label: string) => ({ level: label === 'banner' ? 'info' : label }) },
    } as const
    this.#pino = pino<Severity, true>(options, { write: text => file.write(text) })
  }

  write(severity: Severity, component: string, message: string, cause: Error | null): void {
    this.#pino[severity](cause === null ? { component } : { component, err: cause }, cutMessage(message))
  }

  signal(message: string): void {
    this.write('banner', 'signals', message, null)
  }
}
