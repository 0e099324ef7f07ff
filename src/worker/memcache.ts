/** Placeholder of the seam while the memcached path is being written: see `protocol.ts`. */
import type { Pool } from './pool.ts'
import { RedisProtocol } from './redis.ts'

export class MemcacheProtocol extends RedisProtocol {
  readonly memcached: Pool

  constructor(pool: Pool) {
    super(pool)
    this.memcached = pool
  }
}
