/** A pool whose tables lie in real shared memory, published by the protocol of `shared/memory-layout.ts` on the test's own thread. */

import { RingRouter } from '../../../src/routing/ring-router.ts'
import { fillTable, shapeOf, tableInput } from '../../../src/routing/ring-table.ts'
import type { PoolConfig } from '../../../src/shared/config.ts'
import { PoolHead, SharedLayout, type TableHalf } from '../../../src/shared/memory-layout.ts'
import { poolOf, serverAt } from '../../support/generation.ts'

/** @param weights one for each name; 1 where it is missing. The names must be in the order of the configuration. */
export function poolWith(
  names: readonly string[],
  weights: readonly number[],
  overrides: Partial<PoolConfig>,
): PoolConfig {
  const servers = names.map((name, server) => ({ ...serverAt(name), weight: weights[server] ?? 1 }))
  return poolOf('pool', { ...overrides, servers })
}

/** n servers of weight 1. */
export function equalPool(n: number, overrides: Partial<PoolConfig> = {}): PoolConfig {
  const names = Array.from({ length: n }, (_, server) => `10.0.${server >> 8}.${server & 255}:6379`)
  return poolWith(names, [], overrides)
}

export class PublishedPool {
  readonly pool: PoolConfig
  readonly layout: SharedLayout
  readonly shared: SharedArrayBuffer

  constructor(pool: PoolConfig, shared?: SharedArrayBuffer) {
    this.pool = pool
    this.layout = new SharedLayout(1, [shapeOf(pool)])
    this.shared = shared ?? this.layout.allocate()
  }

  router(): RingRouter {
    return new RingRouter(this.pool, this.layout, this.shared, 0)
  }

  /** @returns the half that was filled and is now the current one. */
  publish(live: readonly number[] = this.pool.servers.map((_, server) => server)): TableHalf {
    const half = this.claim()
    fillTable(tableInput(this.pool, live), half)
    Atomics.add(this.head, PoolHead.epoch, 1)
    return half
  }

  /** Announces the next table. @returns the half that it will be written to. */
  claim(): TableHalf {
    const next = Atomics.load(this.head, PoolHead.epoch) + 1
    Atomics.exchange(this.head, PoolHead.building, next)
    return this.layout.table(this.shared, 0, next & 1)
  }

  get head(): Int32Array {
    return this.layout.poolHead(this.shared, 0)
  }
}
