/** Types of `test-servers.mjs` for tests. */

/** @returns those of these Debian packages that are not on this machine. */
export function missingPackages(names: readonly string[]): string[]
