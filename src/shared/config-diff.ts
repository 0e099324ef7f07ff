/**
 * What a reload changes, as plain data: computed once by `config/diff.ts` on the primary, acted on
 * by the primary and sent to every worker, so that no thread decides it again.
 */

import type { ListenAddress, PoolConfig, ServerConfig } from './config.ts'

/**
 * Whether two entries mean the same server: it keeps its connections and its ejection then. A
 * server that moves to another address is another server, whatever its name.
 */
export function isSameServer(a: ServerConfig, b: ServerConfig): boolean {
  return a.name === b.name && a.host === b.host && a.port === b.port && a.path === b.path
}

/** Position of a pool or server that does not exist on one of the two sides. */
export const ABSENT = -1

/**
 * Where a listener of the new or old configuration stands. Listeners are equal when their texts
 * are.
 */
export interface ListenerChange {
  /**
   * `open`: new; `close`: gone; `keep`: goes on as it is, perhaps for another pool; `reopen`: the
   * same address, but what only a new socket can have (backlog, SO_REUSEPORT) is different.
   */
  readonly action: 'open' | 'close' | 'keep' | 'reopen'
  readonly listen: ListenAddress
  /** Pool index before, or `ABSENT`. */
  readonly before: number
  /** Pool index after, or `ABSENT`. */
  readonly after: number
}

/** Servers are told apart by name; whether one is still the same server, `isSameServer` says. */
export interface ServerChanges {
  readonly added: readonly ServerConfig[]
  readonly removed: readonly ServerConfig[]
  /** New form; only the weight differs. */
  readonly reweighted: readonly ServerConfig[]
  /**
   * New form; the address differs (and perhaps the weight): open connections lead to the wrong
   * place.
   */
  readonly moved: readonly ServerConfig[]
  /**
   * For each new server index, the index of the same server before (`isSameServer`), or `ABSENT`.
   */
  readonly previous: readonly number[]
}

/** A pool on both sides, by name. */
export interface PoolChange {
  readonly name: string
  readonly before: number
  readonly after: number
  /**
   * Fields that differ, in the order of the type; neither `listen` nor `servers`. Empty for a pool
   * whose settings are the same.
   */
  readonly settings: readonly (keyof PoolConfig)[]
  readonly listenChanged: boolean
  readonly servers: ServerChanges
  /** Redis became memcached or the other way round: clients of the pool cannot stay. */
  readonly protocolChanged: boolean
  /** Keys may map to other servers: the table must be built again. */
  readonly ringChanged: boolean
  /**
   * What is done once to a server connection (password, database, keepalive) differs: all of them
   * must be made again.
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
