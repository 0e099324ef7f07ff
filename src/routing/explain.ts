/**
 * Which server a key belongs to, and why. For the control plane: answers to operators, checks of a
 * planned configuration. It uses the workers' own router over the same kind of table, so its
 * answers cannot differ from theirs. Not for the request path.
 */

import type { PoolConfig, ServerConfig } from '../shared/config.ts'
import { SharedLayout } from '../shared/memory-layout.ts'
import { RingRouter } from './ring-router.ts'
import { fillTable, shapeOf, tableInput } from './ring-table.ts'

export interface KeyOwner {
  /** Position in the pool; -1 when no server is live, or when each request draws one. */
  readonly index: number
  /** null when `index` is -1. */
  readonly server: ServerConfig | null
  /**
   * Hash of the key or of its tag, uint32; 0 for an empty key. not used for a pool of one server,
   * nor for `random`.
   */
  readonly hash: number
  /** How the server is found. */
  readonly by: 'only-server' | 'hash' | 'draw' | 'no-live-server'
}

/**
 * Explains keys of one pool with one set of live servers. The constructor fills a table (0.2 ms for
 * 4 servers, 20 ms for 500).
 */
export class KeyExplainer {
  readonly #pool: PoolConfig
  readonly #router: RingRouter
  readonly #liveServers: number

  /** @param live ascending indexes of the live servers; all by default. */
  constructor(pool: PoolConfig, live: readonly number[] = pool.servers.map((_, server) => server)) {
    const layout = new SharedLayout(0, [shapeOf(pool)])
    const memory = layout.allocate()
    // Half 0 is the current one of fresh memory.
    fillTable(tableInput(pool, live), layout.table(memory, 0, 0))
    this.#pool = pool
    this.#router = new RingRouter(pool, layout, memory, 0)
    this.#liveServers = live.length
  }

  explain(key: Uint8Array): KeyOwner {
    const hash = this.#router.hashOf(key, 0, key.length) >>> 0
    if (this.#liveServers === 0) return { index: -1, server: null, hash, by: 'no-live-server' }
    if (this.#pool.servers.length > 1 && this.#pool.distribution === 'random') {
      return { index: -1, server: null, hash, by: 'draw' }
    }
    const index = this.#router.route(key, 0, key.length)
    return {
      index,
      server: this.#pool.servers[index],
      hash,
      by: this.#pool.servers.length > 1 ? 'hash' : 'only-server',
    }
  }
}

/** Explains one key; for several keys of a pool, keep a `KeyExplainer`. @param live as there. */
export function explainKey(pool: PoolConfig, key: Uint8Array, live?: readonly number[]): KeyOwner {
  return new KeyExplainer(pool, live).explain(key)
}
