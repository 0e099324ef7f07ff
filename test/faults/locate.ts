/** Finds out which server has each key, from the servers themselves. */

import type { RestartableServer } from '../support/processes/restartable-server.ts'
import { encode } from '../support/wire/resp.ts'
import { Wire } from '../support/wire/wire.ts'
import type { Modelled } from './ledger.ts'

/** Notes in each key the name of its server. @returns the keys that no server has. */
export async function locate(keys: readonly Modelled[], servers: readonly RestartableServer[]): Promise<Modelled[]> {
  for (const server of servers) {
    const redis = server.kind === 'redis'
    const wire = await Wire.open({ port: server.port })
    for (const key of keys) wire.send(redis ? encode('EXISTS', key.name) : Buffer.from(`mg ${key.name}\r\n`))
    const replies = redis ? await wire.redisReplies(keys.length) : await wire.memcacheReplies(keys.length)
    for (const [i, reply] of replies.entries()) {
      if (`${reply}` === (redis ? ':1\r\n' : 'HD\r\n')) keys[i]!.server = server.name
    }
    wire.destroy()
  }
  return keys.filter(key => key.server === '')
}
