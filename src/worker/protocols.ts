/** Which wire protocol a pool speaks: the only file that knows both. Data plane. */

import type { PoolConfig } from '../shared/config.ts'
import type { SharedLayout } from '../shared/memory-layout.ts'
import type { LoadNotice } from '../shared/messages.ts'
import type { ClientWatches } from './client/client-watches.ts'
import { PoolClients } from './client/pool-clients.ts'
import { MemcacheProtocol } from './memcache/memcache-protocol.ts'
import { RedisProtocol } from './redis/redis-protocol.ts'
import type { WorkerScope } from './request/worker-scope.ts'
import { Pool } from './server/pool.ts'

/** Makes a pool that is new in the configuration. */
export function newPoolClients(
  scope: WorkerScope,
  watches: ClientWatches,
  config: PoolConfig,
  index: number,
  layout: SharedLayout,
  shared: SharedArrayBuffer,
): PoolClients {
  const pool = new Pool(scope, config, index, layout, shared)
  const protocol = config.redis ? new RedisProtocol(pool) : new MemcacheProtocol(pool)
  pool.protocol = protocol
  return new PoolClients(pool, protocol, watches)
}

/**
 * Passes on what another worker says about a pool. A pool whose protocol has changed meanwhile
 * ignores it.
 */
export function heedNotice({ pool }: PoolClients, notice: LoadNotice): void {
  if (pool.protocol instanceof RedisProtocol) pool.protocol.loading.heed(notice)
}
