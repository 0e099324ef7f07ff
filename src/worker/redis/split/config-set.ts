/**
 * CONFIG SET through a pool with `config_set: true`: what would cut the pool off from its servers
 * is refused. Data plane, for rare requests.
 */

import { errorLine } from '../../../protocol/redis/replies.ts'
import type { Pool } from '../../server/pool.ts'

/**
 * Connections of one worker to one server beside shared ones: large requests, slow readers, some
 * for blocking commands.
 */
const OTHER_CONNECTIONS = 100

const ADDRESS = 'the pool connects to the address and port in its configuration'
const TLS = 'the pool connects without TLS client certificates'

/** Why a parameter cannot be set; the value does not matter. */
const NEVER: Readonly<Record<string, string>> = {
  bind: ADDRESS,
  port: ADDRESS,
  unixsocket: ADDRESS,
  'tls-port': ADDRESS,
  'tls-auth-clients': TLS,
  'tls-ca-cert-file': TLS,
  'tls-ca-cert-dir': TLS,
  'protected-mode': 'servers without a password would accept only local connections',
  aclfile: "users, and with them the pool's login, would come from another place",
}

/**
 * @param args the request's words, `CONFIG SET` first, then parameters and values in turn.
 * @returns the client's error, or null when the servers may have it.
 */
export function configSetRefusal(pool: Pool, args: readonly string[]): Uint8Array | null {
  for (let i = 2; i + 1 < args.length; i += 2) {
    const name = args[i].toLowerCase()
    const why = reasonAgainst(pool, name, args[i + 1])
    if (why !== '') return errorLine(`CONFIG SET ${name} would disconnect this pool from its servers: ${why}`)
  }
  return null
}

/** @returns '' = none. */
function reasonAgainst(pool: Pool, name: string, value: string): string {
  const { redisAuth, serverConnections } = pool.config
  if (name === 'requirepass') return value === redisAuth ? '' : "it is not the pool's redis_auth"
  if (name === 'maxclients') {
    const needed = pool.context.workers * (serverConnections * 2 + OTHER_CONNECTIONS)
    return Number(value) < needed ? `the pool needs up to ${needed} connections to each server` : ''
  }
  return Object.hasOwn(NEVER, name) ? NEVER[name] : ''
}
