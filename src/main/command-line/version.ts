/** Who we are and whom we stand for. Primary thread: command line and log banner. */

import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** The version of nutcracker that we are compatible with and report to its tools. */
export const NUTCRACKER_VERSION = '0.5.0'

/** Our own version, from the package.json of the nearest folder above this file: `src` and `dist` lie at different depths below it. */
export function pistachioVersion(): string {
  let folder = import.meta.dirname
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder)
  const text = readFileSync(join(folder, 'package.json'), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
