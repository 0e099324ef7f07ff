/**
 * How long it takes to find a command by the bytes of its name, in both protocols. Run by `run.ts`.
 */

import { lookupCommand as lookupMemcache } from '../../../src/protocol/memcache/commands.ts'
import { lookupCommand as lookupRedis } from '../../../src/protocol/redis/commands.ts'
import { BATCH, type Suite, sink } from '../suite.ts'

type Lookup = (buf: Uint8Array, start: number, end: number) => { readonly bytes: Uint8Array }

/** Looks the names up in turn: one name alone would be predicted by the processor. */
function lookupTask(lookup: Lookup, ...names: string[]): () => void {
  const buf = Buffer.from(names.join(''), 'latin1')
  return () => {
    let sum = 0
    let start = 0
    for (let i = 0; i < BATCH; i++) {
      const end = start + names[i % names.length]!.length
      sum += lookup(buf, start, end).bytes.length
      start = end === buf.length ? 0 : end
    }
    sink.value += sum
  }
}

export const suite: Suite = {
  name: 'protocol/*/commands',
  tasks: [
    { name: 'redis GET', batch: BATCH, fn: lookupTask(lookupRedis, 'GET') },
    { name: 'redis get', batch: BATCH, fn: lookupTask(lookupRedis, 'get') },
    { name: 'redis ZREVRANGEBYSCORE', batch: BATCH, fn: lookupTask(lookupRedis, 'ZREVRANGEBYSCORE') },
    {
      name: 'redis, 8 names in turn',
      batch: BATCH,
      fn: lookupTask(lookupRedis, 'GET', 'SET', 'HGETALL', 'INCR', 'ZADD', 'EXPIRE', 'LPUSH', 'MGET'),
    },
    { name: 'redis unknown', batch: BATCH, fn: lookupTask(lookupRedis, 'NOSUCHCMD') },
    { name: 'memcached get', batch: BATCH, fn: lookupTask(lookupMemcache, 'get') },
    {
      name: 'memcached, 8 names in turn',
      batch: BATCH,
      fn: lookupTask(lookupMemcache, 'get', 'set', 'gets', 'delete', 'incr', 'touch', 'mg', 'append'),
    },
    { name: 'memcached unknown', batch: BATCH, fn: lookupTask(lookupMemcache, 'nosuchcmd') },
  ],
}
