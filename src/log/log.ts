/**
 * The log of one thread. `createLogger` is called once a thread at its start (primary:
 * `main/index.ts`, workers: `worker/index.ts`); parts of the program get a child with their own
 * component name. The level lies in the shared control block, so that a signal to the primary
 * changes it for all threads at once.
 */

import { Control } from '../shared/memory-layout.ts'
import type { LogOptions } from '../shared/messages.ts'
import { JsonSink } from './json-sink.ts'
import { LOG_LEVEL_MAX, LOG_LEVEL_MIN, LogLevel, type Severity } from './level.ts'
import { LogFile } from './log-file.ts'
import { LineSink, type Sink } from './sink.ts'

export interface LoggerOptions extends LogOptions {
  /** Control block of the current generation (`shared/memory-layout.ts`); holds the level. */
  readonly control: Int32Array
  /** Short name of the part that writes the line: `main`, `worker 0`. */
  readonly component: string
}

/** What all loggers of a thread share. */
interface ThreadLog {
  readonly file: LogFile
  readonly sink: Sink
  control: Int32Array
}

/**
 * Opens the log. Throws Node's system error (`code` is the errno name) when the file cannot be
 * opened. Messages may hold bytes from peers (Latin-1 text): the log escapes control characters and
 * cuts very long messages.
 */
export function createLogger(options: LoggerOptions): Logger {
  const file = new LogFile(options.path)
  const sink = options.format === 'json' ? new JsonSink(file) : new LineSink(file)
  return new Logger({ file, sink, control: options.control }, options.component)
}

export class Logger {
  readonly component: string
  readonly #thread: ThreadLog

  constructor(thread: ThreadLog, component: string) {
    this.#thread = thread
    this.component = component
  }

  /** The same log under another component name. */
  child(component: string): Logger {
    return new Logger(this.#thread, component)
  }

  /** Written at every level: start and end of the process. */
  banner(message: string): void {
    this.#log('banner', message, null)
  }

  /** Level 1: the process cannot go on. */
  alert(message: string, cause: Error | null = null): void {
    this.#log('alert', message, cause)
  }

  /** Level 1. @param cause written with its stack. */
  error(message: string, cause: Error | null = null): void {
    this.#log('error', message, cause)
  }

  /** Level 4. */
  warn(message: string): void {
    this.#log('warn', message, null)
  }

  /** Level 5, the default: ejections, timeouts, rejected clients. */
  notice(message: string): void {
    this.#log('notice', message, null)
  }

  /** Level 6. */
  info(message: string): void {
    this.#log('info', message, null)
  }

  /** Level 7. */
  debug(message: string): void {
    this.#log('debug', message, null)
  }

  /** A line about a signal, written at every level. For `main/process/signals.ts`. */
  signal(message: string): void {
    this.#thread.sink.signal(message)
  }

  /** Whether a line of this severity would be written. Call it before building a costly message. */
  enabled(severity: Severity): boolean {
    return LogLevel[severity] <= this.level
  }

  /** The current level, 0..11. */
  get level(): number {
    return Atomics.load(this.#thread.control, Control.logLevel)
  }

  /**
   * Changes the level of all threads by one step within 0..11.
   * @returns the new level, or -1 when it was at the limit already.
   */
  shiftLevel(step: 1 | -1): number {
    const level = this.level + step
    if (level < LOG_LEVEL_MIN || level > LOG_LEVEL_MAX) return -1
    Atomics.store(this.#thread.control, Control.logLevel, level)
    return level
  }

  /**
   * Reads the level from this control block from now on: a reload made a new generation. The caller
   * must have copied the level into it.
   */
  follow(control: Int32Array): void {
    this.#thread.control = control
  }

  /**
   * Opens the file again, after a log rotation; does nothing on stderr. Throws Node's system error;
   * the old file then stays in use.
   */
  reopen(): void {
    this.#thread.file.reopen()
  }

  /** Closes the file. For a thread that ends before the process. */
  close(): void {
    this.#thread.file.close()
  }

  #log(severity: Severity, message: string, cause: Error | null): void {
    if (LogLevel[severity] > this.level) return
    this.#thread.sink.write(severity, this.component, message, cause)
  }
}
