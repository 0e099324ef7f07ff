/** A log that keeps its lines, for tests that look at what is said. */

import { LOG_LEVEL_MAX, type Severity } from '../../src/log/level.ts'
import { Logger } from '../../src/log/log.ts'
import { LogFile } from '../../src/log/log-file.ts'

export interface LogEntry {
  readonly severity: Severity | 'signal'
  readonly component: string
  readonly message: string
  readonly cause: Error | null
}

export interface RecordingLog {
  readonly log: Logger
  readonly entries: LogEntry[]
  /** Messages so far, oldest first. */
  messages(): string[]
}

export function recordingLog(): RecordingLog {
  const entries: LogEntry[] = []
  const sink = {
    write: (severity: Severity, component: string, message: string, cause: Error | null) =>
      void entries.push({ severity, component, message, cause }),
    signal: (message: string) => void entries.push({ severity: 'signal', component: '', message, cause: null }),
  }
  // All lines are let through: the first word of the control block is the level.
  const log = new Logger({ file: new LogFile(''), sink, control: Int32Array.of(LOG_LEVEL_MAX) }, 'test')
  return { log, entries, messages: () => entries.map(entry => entry.message) }
}
