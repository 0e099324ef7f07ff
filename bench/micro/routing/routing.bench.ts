/**
 * From key to server: the whole decision for each distribution, with and without a tag, over small
 * and large tables; then what a turn pays to follow the epoch, what a worker pays for a new table,
 * and what the table thread pays to make it.
 */

import { RingRouter } from '../../../src/routing/ring-router.ts'
import { fillTable, shapeOf, tableInput } from '../../../src/routing/ring-table.ts'
import type { PoolConfig } from '../../../src/shared/config.ts'
import { SharedLayout } from '../../../src/shared/memory-layout.ts'
import { poolOf, serverAt } from '../../../test/support/generation.ts'

const BATCH = 1024
const KEYS = Array.from({ length: BATCH }, (_, i) => Buffer.from(`user:session:${1000 + i}`))
const TAGGED_KEYS = KEYS.map(key => Buffer.from(`{${key.toString()}}:profile`))

/** Keeps the results in use, so that no call is optimised away. */
export const sink = { value: 0 }

function poolWith(servers: number, overrides: Partial<PoolConfig> = {}, weightStep = 0): PoolConfig {
  const list = Array.from({ length: servers }, (_, i) => ({
    ...serverAt(`10.0.0.${i}:6379`),
    weight: 1 + i * weightStep,
  }))
  return poolOf('bench', { ...overrides, servers: list })
}

/** Half 0 is the current one of fresh memory. */
function routerOf(pool: PoolConfig): RingRouter {
  const layout = new SharedLayout(1, [shapeOf(pool)])
  const shared = layout.allocate()
  fillTable(allLive(pool), layout.table(shared, 0, 0))
  return new RingRouter(pool, layout, shared, 0)
}

function allLive(pool: PoolConfig) {
  return tableInput(pool, Array.from(pool.servers.keys()))
}

function routeAll(router: RingRouter, keys: readonly Buffer[]): void {
  let sum = 0
  for (const key of keys) sum += router.route(key, 0, key.length)
  sink.value += sum
}

function routing(name: string, pool: PoolConfig, keys = KEYS) {
  const router = routerOf(pool)
  return { name: `route, ${name}`, batch: BATCH, fn: () => routeAll(router, keys) }
}

function refreshing() {
  const router = routerOf(poolWith(4))
  const fn = () => {
    for (let i = 0; i < BATCH; i++) router.refresh()
  }
  return { name: 'refresh, nothing new', batch: BATCH, fn }
}

function copying(servers: number) {
  const router = routerOf(poolWith(servers))
  return { name: `take the new table of ${servers} servers`, batch: 1, fn: () => router.copyTable() }
}

function filling(servers: number) {
  const pool = poolWith(servers)
  const layout = new SharedLayout(0, [shapeOf(pool)])
  const half = layout.table(layout.allocate(), 0, 0)
  return { name: `fill the table of ${servers} servers`, batch: 1, fn: () => fillTable(allLive(pool), half) }
}

export const suite = {
  name: 'routing',
  tasks: [
    routing('ketama, 1 server', poolWith(1)),
    routing('ketama, 4 servers', poolWith(4)),
    routing('ketama, 500 servers', poolWith(500)),
    routing('ketama, 4 servers, tag', poolWith(4, { hashTag: [0x7b, 0x7d] }), TAGGED_KEYS),
    routing('ketama, 4 servers, no tag in the key', poolWith(4, { hashTag: [0x7b, 0x7d] })),
    routing('modula, 4 servers', poolWith(4, { distribution: 'modula' })),
    routing('modula, 4 servers, weighted', poolWith(4, { distribution: 'modula' }, 3)),
    routing('random, 4 servers', poolWith(4, { distribution: 'random' })),
    routing('ketama, 4 servers, murmur', poolWith(4, { hash: 'murmur' })),
    refreshing(),
    copying(4),
    copying(500),
    filling(4),
    filling(500),
  ],
}
