/** Who we are and whom we stand for. Primary thread: command line and log banner. */

import { readFileSync } from 'node:fs'

/** The version of nutcracker that we are compatible with and report to its tools. */
export const NUTCRACKER_VERSION = '0.5.0'

/** Our own version, from package.json, which lies two folders above both `src/main` and `dist/main`. */
export function pistachioVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
