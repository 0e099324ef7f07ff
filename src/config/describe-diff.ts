/** What a reload changed, in words for the log. Primary thread; called by `primary.ts`. */

import type { Config, ServerConfig } from '../shared/config.ts'
import type { ConfigDiff, PoolChange } from '../shared/config-diff.ts'

/**
 * One line for each pool that has changed, and for each address that is no longer listened on.
 * @param previous the configuration before.
 * @param next the one in force now.
 */
export function describeDiff(diff: ConfigDiff, previous: Config, next: Config): string[] {
  const lines = diff.added.map(index => {
    const { name, listen, servers } = next.pools[index]
    return `pool '${name}' added, listening on '${listen.text}', with ${servers.length} servers`
  })
  for (const pool of diff.common) {
    if (!pool.unchanged) lines.push(`pool '${pool.name}': ${describePool(pool, next).join('; ')}`)
  }
  for (const index of diff.removed) lines.push(`pool '${previous.pools[index].name}' removed`)
  for (const { action, listen } of diff.listeners) {
    if (action === 'close') lines.push(`'${listen.text}' closed`)
  }
  return lines
}

function describePool({ settings, listenChanged, servers, after }: PoolChange, next: Config): string[] {
  const parts: string[] = []
  if (listenChanged) parts.push(`listens on '${next.pools[after].listen.text}'`)
  if (settings.length > 0) parts.push(`changed ${settings.join(', ')}`)
  for (const [what, list] of [
    ['added', servers.added],
    ['removed', servers.removed],
    ['reweighted', servers.reweighted],
    ['moved', servers.moved],
  ] as const) {
    if (list.length > 0) parts.push(`${what} ${list.map(described).join(', ')}`)
  }
  return parts
}

function described({ pname, name }: ServerConfig): string {
  return `'${pname} ${name}'`
}
