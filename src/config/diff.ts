/**
 * Compares two checked configurations: which pools, listeners and servers are added, removed or
 * changed, and which connections and tables must be made again. Called on the primary thread.
 */

import type { Config, PoolConfig, ServerConfig } from '../shared/config.ts'
import {
  ABSENT,
  type ConfigDiff,
  isSameServer,
  type ListenerChange,
  type PoolChange,
  type ServerChanges,
} from '../shared/config-diff.ts'

const RING_SETTINGS: readonly (keyof PoolConfig)[] = ['hash', 'hashTag', 'distribution']
/** Settings that are applied when a server connection opens. */
const CONNECTION_SETTINGS: readonly (keyof PoolConfig)[] = ['redis', 'redisAuth', 'redisDb', 'serverTcpKeepalive']
const SOCKET_SETTINGS: readonly (keyof PoolConfig)[] = ['backlog', 'reuseport']

/** Compares two checked configurations. It changes neither; the result refers to parts of both. */
export function diffConfigs(before: Config, after: Config): ConfigDiff {
  const oldIndexes = new Map(before.pools.map((pool, index) => [pool.name, index]))
  const newNames = new Set(after.pools.map(pool => pool.name))
  const common = after.pools.flatMap((pool, index) => {
    const oldIndex = oldIndexes.get(pool.name)
    return oldIndex === undefined ? [] : [comparePools(before.pools[oldIndex]!, pool, oldIndex, index)]
  })
  const added = indexesOf(after.pools, pool => !oldIndexes.has(pool.name))
  const removed = indexesOf(before.pools, pool => !newNames.has(pool.name))
  return {
    added,
    removed,
    common,
    listeners: compareListeners(before.pools, after.pools),
    unchanged: added.length === 0 && removed.length === 0 && common.every(pool => pool.unchanged),
  }
}

function comparePools(before: PoolConfig, after: PoolConfig, oldIndex: number, newIndex: number): PoolChange {
  const settings = changedSettings(before, after)
  const listenChanged = before.listen.text !== after.listen.text
  const servers = compareServers(before.servers, after.servers)
  const { added, removed, reweighted, moved } = servers
  return {
    name: after.name,
    before: oldIndex,
    after: newIndex,
    settings,
    listenChanged,
    servers,
    protocolChanged: before.redis !== after.redis,
    // The ring depends on names, not on addresses. A server with a name of its own keeps its points
    // when its address changes; one without gets another name.
    ringChanged:
      includesAny(settings, RING_SETTINGS) ||
      added.length + removed.length + reweighted.length > 0 ||
      reweighs(before, moved),
    connectionsChanged:
      includesAny(settings, CONNECTION_SETTINGS) ||
      (after.serverTcpKeepalive && settings.includes('tcpKeepaliveIdleSec')),
    unchanged:
      settings.length + added.length + removed.length + reweighted.length + moved.length === 0 && !listenChanged,
  }
}

function changedSettings(before: PoolConfig, after: PoolConfig): readonly (keyof PoolConfig)[] {
  const keys = Object.keys(after) as (keyof PoolConfig)[]
  // A hash tag is a pair of bytes; all other settings are plain values.
  return keys.filter(key => !['name', 'listen', 'servers'].includes(key) && String(before[key]) !== String(after[key]))
}

function compareServers(before: readonly ServerConfig[], after: readonly ServerConfig[]): ServerChanges {
  const oldByName = new Map(before.map((server, index) => [server.name, { server, index }]))
  const newNames = new Set(after.map(server => server.name))
  const pairs = after.map(server => ({ server, old: oldByName.get(server.name) }))
  const isMoved = ({ server, old }: (typeof pairs)[number]): boolean =>
    old !== undefined && !isSameServer(old.server, server)
  return {
    added: pairs.filter(({ old }) => old === undefined).map(({ server }) => server),
    removed: before.filter(server => !newNames.has(server.name)),
    reweighted: pairs
      .filter(pair => !isMoved(pair) && pair.old !== undefined && pair.old.server.weight !== pair.server.weight)
      .map(({ server }) => server),
    moved: pairs.filter(isMoved).map(({ server }) => server),
    previous: pairs.map(pair => (pair.old === undefined || isMoved(pair) ? ABSENT : pair.old.index)),
  }
}

function reweighs(before: PoolConfig, moved: readonly ServerConfig[]): boolean {
  return moved.some(server => before.servers.some(old => old.name === server.name && old.weight !== server.weight))
}

function compareListeners(before: readonly PoolConfig[], after: readonly PoolConfig[]): readonly ListenerChange[] {
  const oldIndexes = new Map(before.map((pool, index) => [pool.listen.text, index]))
  const newTexts = new Set(after.map(pool => pool.listen.text))
  const closed: ListenerChange[] = before.flatMap((pool, index) =>
    newTexts.has(pool.listen.text) ? [] : [{ action: 'close', listen: pool.listen, before: index, after: ABSENT }],
  )
  const others = after.map((pool, index): ListenerChange => {
    const oldIndex = oldIndexes.get(pool.listen.text) ?? ABSENT
    const old = before[oldIndex]
    if (old === undefined) return { action: 'open', listen: pool.listen, before: ABSENT, after: index }
    const sameSocket = SOCKET_SETTINGS.every(key => old[key] === pool[key])
    // An open listener stays bound to the address that its name resolved to before.
    return sameSocket
      ? { action: 'keep', listen: old.listen, before: oldIndex, after: index }
      : { action: 'reopen', listen: pool.listen, before: oldIndex, after: index }
  })
  return [...closed, ...others]
}

function includesAny<T>(list: readonly T[], wanted: readonly T[]): boolean {
  return wanted.some(each => list.includes(each))
}

function indexesOf<T>(list: readonly T[], matches: (item: T) => boolean): readonly number[] {
  return list.flatMap((item, index) => (matches(item) ? [index] : []))
}
