/** Who we are and whom we stand for. Primary thread: command line and log banner. */

import manifest from '../../../package.json' with { type: 'json' }

/** The version of nutcracker that we are compatible with and report to its tools. */
export const NUTCRACKER_VERSION = '0.5.0'

/**
 * Our own version, from package.json. The bundles hold it: the one-file executable has no file to
 * read.
 */
export function pistachioVersion(): string {
  return manifest.version
}
