/**
 * nutcracker.yml from disk to a frozen `Config`, and the report of `-t`. Called on the primary
 * thread: at start, by `--test-conf`, and by a reload. Nothing here logs or exits; that is the
 * caller's part.
 *
 *     bytes ─ source.ts ─▶ text ─ parse.ts ─▶ nodes ─ structure.ts ─▶ entries ─ validate.ts ─▶ Config
 *                                passes 1, 2              pass 3           passes 4, 5
 */

import { type FileHandle, open } from 'node:fs/promises'
import type { Config } from '../shared/config.ts'
import { strerror } from '../shared/strerror.ts'
import { ConfigError } from './errors.ts'
import { type Resolve, resolveBySystem } from './listen.ts'
import { parseDocument } from './parse.ts'
import { decodeSource, unreadableFile } from './source.ts'
import { readStructure } from './structure.ts'
import { validate } from './validate.ts'

export interface ConfigProblem {
  readonly ok: false
  /** nutcracker's log lines, byte for byte; none for an empty value. */
  readonly lines: readonly string[]
  /**
   * `FILE:LINE:COLUMN: what is wrong, the bad value; the remedy`, without line and column where the
   * whole file is meant.
   */
  readonly reason: string
  /** false: the file could not be opened. */
  readonly opened: boolean
}

export type ConfigResult = { readonly ok: true; readonly config: Config } | ConfigProblem

export interface ConfigDependencies {
  /** Finds the address of a `listen` host; by default the system's resolver. */
  readonly resolve?: Resolve
}

/**
 * Reads and checks a configuration file. Never rejects: a bad or unreadable file is a result too.
 */
export async function loadConfig(file: string, dependencies: ConfigDependencies = {}): Promise<ConfigResult> {
  let handle: FileHandle
  try {
    handle = await open(file)
  } catch (error) {
    const cause = causeOf(error as NodeJS.ErrnoException)
    const line = `conf: failed to open configuration '${file}': ${cause}`
    return {
      ok: false,
      lines: [line],
      reason: `${file}: cannot be opened: ${cause}; name the file with -c`,
      opened: false,
    }
  }
  let bytes: Uint8Array
  try {
    bytes = await handle.readFile()
  } catch (error) {
    return problem(unreadableFile(causeOf(error as NodeJS.ErrnoException)), file)
  } finally {
    await handle.close()
  }
  return parseConfig(bytes, file, dependencies)
}

/**
 * Checks the content of a configuration file.
 * @param file its name, for messages only. Never rejects.
 * @testOnly
 */
export async function parseConfig(
  bytes: Uint8Array,
  file: string,
  dependencies: ConfigDependencies = {},
): Promise<ConfigResult> {
  try {
    const pools = readStructure(parseDocument(decodeSource(bytes), file), file)
    return { ok: true, config: await validate(pools, file, dependencies.resolve ?? resolveBySystem) }
  } catch (error) {
    if (error instanceof ConfigError) return problem(error, file)
    throw error
  }
}

/**
 * What `-t` prints, and its exit code: pistachio's reason, then nutcracker's lines, byte for byte.
 * `stderr` ends with a line break.
 */
export function testConfigReport(result: ConfigResult, file: string): { stderr: string; exitCode: number } {
  if (result.ok) return { stderr: `${syntaxLine(file, true)}\n`, exitCode: 0 }
  const summary = syntaxLine(file, false)
  // nutcracker prints it twice for a file that it could open.
  const lines = result.opened ? [result.reason, summary, summary] : [result.reason, summary]
  return { stderr: `${lines.join('\n')}\n`, exitCode: 1 }
}

/** nutcracker's summary, which goes to stderr and never to the log file. */
export function syntaxLine(file: string, ok: boolean): string {
  return `nutcracker: configuration file '${file}' syntax is ${ok ? 'ok' : 'invalid'}`
}

function problem(error: ConfigError, file: string): ConfigProblem {
  const place = error.position === null ? file : `${file}:${error.position.line}:${error.position.column}`
  return { ok: false, lines: error.lines, reason: `${place}: ${error.message}`, opened: true }
}

/** Text of the errno. Only a name with a NUL, which no file can have, fails without one. */
function causeOf(error: NodeJS.ErrnoException): string {
  return error.errno === undefined ? error.message : strerror(error.errno)
}
