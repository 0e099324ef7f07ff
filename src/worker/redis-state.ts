/**
 * What a Redis client's connection has been told, beyond the ordinary: name, library, CLIENT REPLY. Data plane. Most clients never have one.
 */

import type { Client } from './client.ts'
import type { RedisSession } from './redis-session.ts'

/** CLIENT REPLY. `skip`: this request and the next have no reply; `skipNext` follows it. */
export const ReplyMode = { on: 0, off: 1, skip: 2 } as const

export class RedisState {
  /** Latin-1 texts, one char a byte. */
  name = ''
  library = ''
  libraryVersion = ''
  /** One of `ReplyMode`: what becomes of the next reply. */
  replyMode: number = ReplyMode.on
  noEvict = false
  noTouch = false

  /** Nothing in it changes what a request means or whether it is answered. */
  get ordinary(): boolean {
    return this.replyMode === ReplyMode.on
  }
}

/** The client's state, made when it first has one. */
export function stateOf(client: Client): RedisState {
  client.redisState ??= new RedisState()
  return client.redisState
}

/** Opens or closes the fast path after a change of the client's state. @param authenticated what it is from now on. */
export function settle(client: Client, authenticated: boolean): void {
  client.authenticated = authenticated
  const session = client.session as RedisSession | null
  client.ordinary =
    authenticated && (client.redisState === null || client.redisState.ordinary) && (session === null || session.ordinary)
}
