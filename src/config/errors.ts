/**
 * Errors of a configuration file, in nutcracker's words and in pistachio's. Thrown by the passes
 * (`source.ts`, `parse.ts`, `structure.ts`, `validate.ts`) on the primary thread, and caught once,
 * in `load.ts`; the first error ends the check.
 */

/** libyaml's error numbers that the passes report. */
export const LibyamlError = { reader: 2, scanner: 3, parser: 4, composer: 5 } as const

/** A position in the file. Both numbers count from 1; `column` counts characters. */
export interface Position {
  readonly line: number
  readonly column: number
}

export class ConfigError extends Error {
  /** nutcracker's log lines about it, byte for byte; empty where nutcracker logs nothing. */
  readonly lines: readonly string[]
  /** Where it is; null = the whole file. */
  readonly position: Position | null

  /**
   * @param reason pistachio's text: what is wrong, the bad value, the remedy; without file name and
   * full stop.
   */
  constructor(lines: readonly string[], position: Position | null, reason: string) {
    super(reason)
    this.name = 'ConfigError'
    this.lines = lines
    this.position = position
  }
}

/**
 * A value that its directive does not accept. `validate.ts` adds the directive's name and the
 * position.
 */
export class BadValue extends Error {
  /** What to write instead. */
  readonly remedy: string
  /** Log lines that come before nutcracker's line about the directive. */
  readonly before: readonly string[]

  /** @param problem nutcracker's text after `conf: directive "KEY" `. */
  constructor(problem: string, remedy: string, before: readonly string[] = []) {
    super(problem)
    this.name = 'BadValue'
    this.remedy = remedy
    this.before = before
  }
}

/** nutcracker's log line for every failure to load the YAML. @param error one of `LibyamlError`. */
export function yamlFailure(error: number): string {
  return `conf: failed (err ${error}) to get the next yaml document`
}

const SHOWN_CHARACTERS = 80

/**
 * A scalar in a message.
 * @param value Latin-1 text, one char a byte.
 * @returns the text of these bytes, read as UTF-8.
 */
export function showValue(value: string): string {
  return Buffer.from(value, 'latin1').toString('utf8')
}

/**
 * A scalar for pistachio's own messages: quoted, control characters escaped, cut when long.
 * @param value Latin-1 text, one char a byte.
 */
export function quoteValue(value: string): string {
  const text = showValue(value)
  return JSON.stringify(text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text)
}
