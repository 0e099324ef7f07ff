/**
 * What a reload changes: two checked configurations → plain data that says which pools, listeners and servers come,
 * go or change, and what of a pool's work must begin anew. Called on the primary thread, which acts on it.
 */

import type { Config, ListenAddress, PoolConfig, ServerConfig } from '../shared/config.ts'

/** Position of a pool or server that does not exist on one of the two sides. */
export const ABSENT = -1

/** Where a listener of the new or old configuration stands. Listeners are equal when their texts are. */
export interface ListenerChange {
  /**
   * `open`: new; `close`: gone; `keep`: goes on as it is, perhaps for another pool; `reopen`: the same address, but
   * what only a new socket can have (backlog, SO_REUSEPORT) is different.
   */
  readonly action: 'open' | 'close' | 'keep' | 'reopen'
  readonly listen: ListenAddress
  /** Pool index before, or `ABSENT`. */
  readonly before: number
  /** Pool index after, or `ABSENT`. */
  readonly after: number
}

/** Servers are the same server when their names are equal. */
export interface ServerChanges {
  readonly added: readonly ServerConfig[]
  readonly removed: readonly ServerConfig[]
  /** New form; only the weight differs. */
  readonly reweighted: readonly ServerConfig[]
  /** New form; the address differs (and perhaps the weight): open connections lead to the wrong place. */
  readonly moved: readonly ServerConfig[]
  /** For each new server index, its index before, or `ABSENT`. */
  readonly previous: readonly number[]
}

/** A pool on both sides, by name. */
export interface PoolChange {
  readonly name: string
  readonly before: number
  readonly after: number
  /**
   * Fields that differ, in the order of the type; neither `listen` nor `servers`. Empty for a pool whose settings are
   * the same.
   */
  readonly settings: readonly (keyof PoolConfig)[]
  readonly listenChanged: boolean
  readonly servers: ServerChanges
  /** Redis became memcached or the other way round: clients of the pool cannot stay. */
  readonly protocolChanged: boolean
  /** Keys may map to other servers: the table must be built anew. */
  readonly ringChanged: boolean
  /**
   * What is done once to a server connection (password, database, keepalive) differs: all of them must be made anew.
   */
  readonly connectionsChanged: boolean
  /** Nothing at all differs. */
  readonly unchanged: boolean
}

export interface ConfigDiff {
  /** Indexes of new pools, in the new configuration. */
  readonly added: readonly number[]
  /** Indexes of pools that are gone, in the old configuration. */
  readonly removed: readonly number[]
  /** Every pool that both sides have, in the new order, changed or not. */
  readonly common: readonly PoolChange[]
  /** Listeners to close come first, so that their addresses are free. */
  readonly listeners: readonly ListenerChange[]
  /** Nothing at all differs. */
  readonly unchanged: boolean
}

const RING_SETTINGS: readonly (keyof PoolConfig)[] = ['hash', 'hashTag', 'distribution']
const CONNECTION_SETTINGS: readonly (keyof PoolConfig)[] = [
  'redis',
  'redisAuth',
  'redisDb',
  'serverTcpKeepalive',
  'tcpKeepaliveIdleSec',
]
const SOCKET_SETTINGS: readonly (keyof PoolConfig)[] = ['backlog', 'reuseport']

/** Compares two checked configurations. Neither is changed; the result refers to parts of both. */
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
    // Without a name of its own a server that moves has another name, so a move alone leaves the ring as it is.
    ringChanged:
      includesAny(settings, RING_SETTINGS) ||
      added.length + removed.length + reweighted.length > 0 ||
      reweighs(before, moved),
    connectionsChanged: includesAny(settings, CONNECTION_SETTINGS),
    unchanged:
      settings.length + added.length + removed.length + reweighted.length + moved.length === 0 && !listenChanged,
  }
}

function changedSettings(before: PoolConfig, after: PoolConfig): readonly (keyof PoolConfig)[] {
  const keys = Object.keys(after) as (keyof PoolConfig)[]
  // A hash tag is a pair of bytes; everything else compares by itself.
  return keys.filter(key => !['name', 'listen', 'servers'].includes(key) && String(before[key]) !== String(after[key]))
}

function compareServers(before: readonly ServerConfig[], after: readonly ServerConfig[]): ServerChanges {
  const oldIndexes = new Map(before.map((server, index) => [server.name, index]))
  const newNames = new Set(after.map(server => server.name))
  const previous = after.map(server => oldIndexes.get(server.name) ?? ABSENT)
  const moved = after.filter(
    (server, index) => previous[index] !== ABSENT && !sameAddress(before[previous[index]!]!, server),
  )
  return {
    added: after.filter((_, index) => previous[index] === ABSENT),
    removed: before.filter(server => !newNames.has(server.name)),
    reweighted: after.filter((server, index) => {
      const old = before[previous[index]!]
      return old !== undefined && sameAddress(old, server) && old.weight !== server.weight
    }),
    moved,
    previous,
  }
}

function reweighs(before: PoolConfig, moved: readonly ServerConfig[]): boolean {
  return moved.some(server => before.servers.some(old => old.name === server.name && old.weight !== server.weight))
}

function sameAddress(a: ServerConfig, b: ServerConfig): boolean {
  return a.host === b.host && a.port === b.port && a.path === b.path
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
    // What is kept was bound to the old address, whatever the name resolves to today.
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
