/**
 * The version of pistachio, and the version of nutcracker that it replaces. Primary thread: command
 * line and log banner.
 */

import manifest from '../../../package.json' with { type: 'json' }

/**
 * The version of nutcracker that pistachio is compatible with, and reports to nutcracker's tools.
 */
export const NUTCRACKER_VERSION = '0.5.0'

/**
 * pistachio's version, from package.json. The bundles contain it, because the one-file executable
 * has no file to read.
 */
export function pistachioVersion(): string {
  return manifest.version
}
