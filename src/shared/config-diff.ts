/**
 * What a reload changes, as plain data. `config/diff.ts` computes it once on the primary; the
 * primary acts on it and sends it to every worker, so that no thread decides it again.
 */

import type { ListenAddress, PoolConfig, ServerConfig } from './config.ts'

/**
 * Whether two entries mean the same server. The same server keeps its connections and its ejection.
 * A server with another address is another server, also under the same name.
 */
export function isSameServer(a: ServerConfig, b: ServerConfig): boolean {
  return a.name === b.name && a.host === b.host && a.port === b.port && a.path === b.path
}

/** Index of a pool or server that does not exist on one of the two sides. */
export const ABSENT = -1

/**
 * What happens to a listener of the old or new configuration. Listeners are equal when their texts
 * are.
 */
export interface ListenerChange {
  /**
   * `open`: new; `close`: removed; `keep`: unchanged, perhaps for another pool; `reopen`: the same
   * address, but with a difference that needs a new socket (backlog, SO_REUSEPORT).
   */
  readonly action: 'open' | 'close' | 'keep' | 'reopen'
  readonly listen: ListenAddress
  /** Pool index before, or `ABSENT`. */
  readonly before: number
  /** Pool index after, or `ABSENT`. */
  readonly after: number
}

/** Changes by server name, and which server is the same as before (`isSameServer`). */
export interface ServerChanges {
  readonly added: readonly ServerConfig[]
  readonly removed: readonly ServerConfig[]
  /** New form; only the weight differs. */
  readonly reweighted: readonly ServerConfig[]
  /**
   * New form; the address differs (and perhaps the weight): open connections lead to the old
   * address.
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
  /** Redis became memcached or the reverse: the pool's clients must be closed. */
  readonly protocolChanged: boolean
  /** Keys may map to other servers: the table must be built again. */
  readonly ringChanged: boolean
  /**
   * A setting differs that is applied when a server connection opens (password, database,
   * keepalive): all of them must be opened again.
   */
  readonly connectionsChanged: boolean
  /** Nothing at all differs. */
  readonly unchanged: boolean
}

export interface ConfigDiff {
  /** Indexes of new pools, in the new configuration. */
  readonly added: readonly number[]
  /** Indexes of removed pools, in the old configuration. */
  readonly removed: readonly number[]
  /** Every pool that both sides have, in the new order, changed or not. */
  readonly common: readonly PoolChange[]
  /** Listeners to close come first, so that their addresses are free. */
  readonly listeners: readonly ListenerChange[]
  /** Nothing at all differs. */
  readonly unchanged: boolean
}
