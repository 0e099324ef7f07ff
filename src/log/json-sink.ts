/** Log lines as JSON, by pino. Made by `log.ts`, one a thread, for `--log-format json`. */

import { createRequire } from 'node:module'
import type { Logger, pino as Pino } from 'pino'
import type { Severity } from './level.ts'
import { cutMessage } from './line.ts'
import type { LogFile } from './log-file.ts'
import type { Sink } from './sink.ts'

/** Numbers as pino's tools expect them; alarms go by level, so `banner` is plain information. */
const PINO_LEVELS = { debug: 20, info: 30, banner: 31, notice: 35, warn: 40, error: 50, alert: 60 }

/**
 * `{"level":"warn","time":"2026-…Z","pid":1,"component":"listener","msg":"…"}`, with `err` (type,
 * message, stack) where there is one.
 */
export class JsonSink implements Sink {
  readonly #pino: Logger<Severity, true>

  constructor(file: LogFile) {
    // Loaded only for this format: it takes 15 ms of CPU in each thread.
    const { pino } = createRequire(import.meta.url)('pino') as { pino: typeof Pino }
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
