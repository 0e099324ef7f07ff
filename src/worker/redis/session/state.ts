/**
 * What a Redis client's connection has been told, beyond its requests: name, library, CLIENT REPLY. Data plane. Most clients never have one.
 */

import { encodeText } from '../../../bytes/ascii.ts'
import { type Command, Flag } from '../../../protocol/redis/commands.ts'
import type { Client } from '../../client/client.ts'
import type { ClientState } from '../../client/client-protocol.ts'

/** Kinds of subscription. */
export const Topic = { channel: 0, pattern: 1, shard: 2 } as const

/** What the state of a client's session (`session.ts`) means to others: whether requests mean what they always do, and CLIENT LIST. */
export interface SessionState {
  readonly subscribed: boolean
  readonly transaction: {
    readonly open: boolean
    /** Queued so far. */
    readonly requests: number
    readonly watchedKeys: number
    readonly keptBytes: number
    /** A queued request may write. */
    readonly mayWrite: boolean
  } | null
  readonly blocking: {
    /** The command's name, lower case. */
    readonly command: string
    unblock(withError: boolean): void
  } | null
  /** MONITOR was said. */
  readonly monitoring: { leave(): void } | null
  /** @param topic one of `Topic`. */
  subscriptionsOf(topic: number): number
}

/** What a Redis client has under way beyond single requests; null = nothing. */
export function sessionStateOf(client: Client): SessionState | null {
  return client.session as unknown as SessionState | null
}

/** Redis takes a monitoring client for a kind of replica: it may not touch keys. */
export function isRefusedToMonitor(client: Client, command: Command): boolean {
  return (command.flags & (Flag.read | Flag.write)) !== 0 && sessionStateOf(client)?.monitoring != null
}

/** CLIENT REPLY. `skip`: the next request has no reply. */
export const ReplyMode = { on: 0, off: 1, skip: 2 } as const

export const NAME_REFUSED = encodeText('-ERR Client names cannot contain spaces, newlines or special characters.\r\n')

/** Whether Redis takes a text for a client's name, library or version: it appears in a list by words and lines. */
export function isClientText(text: string): boolean {
  return /^[!-~]*$/.test(text)
}

class RedisState implements ClientState {
  /** CLIENT ID: unique in the process. */
  readonly id: number
  /** Latin-1 texts, one char a byte. */
  name = ''
  library = ''
  libraryVersion = ''
  /** One of `ReplyMode`: what becomes of the next reply. */
  replyMode: number = ReplyMode.on
  /** The last SELECT was refused. Until one succeeds, so are requests. */
  withoutDatabase = false

  constructor(id: number) {
    this.id = id
  }

  /** RESET: what the client was told is forgotten; the library stays the same. */
  reset(): void {
    this.name = ''
    this.replyMode = ReplyMode.on
    this.withoutDatabase = false
  }

  /** True while nothing in it changes what a request means or whether it is answered. */
  get allowsFastPath(): boolean {
    return this.answers && !this.withoutDatabase
  }

  /** The next request has a reply. */
  get answers(): boolean {
    return this.replyMode === ReplyMode.on
  }
}

/** The client's state, made when it first has one. */
export function stateOf(client: Client): RedisState {
  client.protocolState ??= new RedisState(client.pool.context.takeClientId())
  return client.protocolState as RedisState
}

/** The client's state, or null as long as it has none. */
export function knownState(client: Client): RedisState | null {
  return client.protocolState as RedisState | null
}
