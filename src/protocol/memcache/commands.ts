/**
 * The memcached command table: data, and a lookup by the bytes of a name that makes no string. Data
 * plane.
 *
 * Argument counts are memcached's own (1.6.18); `test/integration/memcache/commands.test.ts` checks
 * the table against a running server. `nutcracker` marks what nutcracker knows: with `strict: true`
 * the rest closes the connection.
 */

import { encodeText } from '../../bytes/ascii.ts'
import { CLASSIC_KINDS, ERROR_KINDS, kindSet, META_KINDS, ReplyKind } from './reply-kind.ts'

/** Arguments of a command, and what follows the line. */
export const Form = {
  /** `key+` */
  keys: 0,
  /** `exptime key+` */
  touchKeys: 1,
  /** `key flags exptime bytes [noreply]`, data */
  store: 2,
  /** `key flags exptime bytes casunique [noreply]`, data */
  storeCas: 3,
  /** `key argument* [noreply]` */
  key: 4,
  /** `key flag*` */
  meta: 5,
  /** `key b?`: the binary flag counts only in that place. */
  metaDebug: 6,
  /** `key bytes flag*`, data */
  metaStore: 7,
  /** `argument* [noreply]`, no key */
  admin: 8,
  /** `argument*`, no key and no `noreply` */
  plain: 9,
} as const
export type FormCode = (typeof Form)[keyof typeof Form]

/** How the proxy treats a command. */
export const Action = {
  /** Answered with `ERROR`. */
  refuse: 0,
  /** To the server of its key. */
  forward: 1,
  /** Split by server when it has more than one key; values gathered by key. */
  gatherValues: 2,
  /**
   * To any server: the one of the key `placeholder`, as nutcracker does, and another one where that
   * cannot answer.
   */
  forwardKeyless: 3,
  /** To every server; one status for all. */
  broadcastStatus: 4,
  /** To every server; statistics merged. */
  broadcastStats: 5,
  /** `mn`: answered by the proxy when everything before it has been. */
  barrier: 6,
  quit: 7,
} as const
export type ActionCode = (typeof Action)[keyof typeof Action]

export interface Command {
  readonly name: string
  /** Position in `COMMANDS`; UNKNOWN_COMMAND has the last. */
  readonly index: number
  readonly form: FormCode
  readonly action: ActionCode
  /** Least and most arguments, without the name. `max` -1 = no limit. */
  readonly min: number
  readonly max: number
  /** Set of `ReplyKind` that may answer it; any other breaks the server connection. */
  readonly replies: number
  /** Set of `ReplyKind` that the flag `q` suppresses (memcached 1.6.18). */
  readonly quiet: number
  readonly nutcracker: boolean
  /**
   * Why the proxy does not serve it, as its reply; null for commands that it serves or does not
   * know.
   */
  readonly refusal: Uint8Array | null
  readonly bytes: Uint8Array
}

type Row = Omit<Command, 'index' | 'bytes'>

const STATUS_KINDS = ERROR_KINDS | kindSet(ReplyKind.ok)
const STATS_KINDS = STATUS_KINDS | kindSet(ReplyKind.stats, ReplyKind.end, ReplyKind.reset)
const DONE_KINDS = kindSet(ReplyKind.metaDone, ReplyKind.ok)

function classic(name: string, form: FormCode, action: ActionCode, min: number, max: number): Row {
  return { name, form, action, min, max, replies: CLASSIC_KINDS, quiet: 0, nutcracker: true, refusal: null }
}

/** Like `classic`, for what nutcracker does not know. */
function added(name: string, form: FormCode, action: ActionCode, min: number, max: number, replies: number): Row {
  return { name, form, action, min, max, replies, quiet: 0, nutcracker: false, refusal: null }
}

function meta(name: string, form: FormCode, min: number, quiet: number): Row {
  return {
    name,
    form,
    action: Action.forward,
    min,
    max: -1,
    replies: META_KINDS,
    quiet,
    nutcracker: false,
    refusal: null,
  }
}

/** A command that memcached has and the proxy does not serve. @param why the text of the reply. */
function refused(name: string, why: string): Row {
  const refusal = encodeText(`SERVER_ERROR ${name} is not supported by this proxy: ${why}\r\n`)
  return { ...added(name, Form.plain, Action.refuse, 0, -1, ERROR_KINDS), refusal }
}

const ONE_SERVER = 'it applies to a single server'

const ROWS: readonly Row[] = [
  classic('get', Form.keys, Action.gatherValues, 1, -1),
  classic('gets', Form.keys, Action.gatherValues, 1, -1),
  added('gat', Form.touchKeys, Action.gatherValues, 1, -1, CLASSIC_KINDS),
  added('gats', Form.touchKeys, Action.gatherValues, 1, -1, CLASSIC_KINDS),
  classic('set', Form.store, Action.forward, 4, 5),
  classic('add', Form.store, Action.forward, 4, 5),
  classic('replace', Form.store, Action.forward, 4, 5),
  classic('append', Form.store, Action.forward, 4, 5),
  classic('prepend', Form.store, Action.forward, 4, 5),
  classic('cas', Form.storeCas, Action.forward, 5, 6),
  classic('incr', Form.key, Action.forward, 2, 3),
  classic('decr', Form.key, Action.forward, 2, 3),
  classic('touch', Form.key, Action.forward, 2, 3),
  classic('delete', Form.key, Action.forward, 1, 3),
  classic('version', Form.plain, Action.forwardKeyless, 0, -1),
  classic('quit', Form.plain, Action.quit, 0, -1),
  meta('mg', Form.meta, 1, kindSet(ReplyKind.metaMiss)),
  meta('ms', Form.metaStore, 2, DONE_KINDS),
  meta('md', Form.meta, 1, DONE_KINDS),
  meta('ma', Form.meta, 1, DONE_KINDS | kindSet(ReplyKind.metaValue)),
  meta('me', Form.metaDebug, 1, 0),
  added('mn', Form.plain, Action.barrier, 0, -1, META_KINDS),
  added('flush_all', Form.admin, Action.broadcastStatus, 0, 2, STATUS_KINDS),
  added('verbosity', Form.admin, Action.broadcastStatus, 1, 2, STATUS_KINDS),
  added('stats', Form.plain, Action.broadcastStats, 0, -1, STATS_KINDS),
  added('cache_memlimit', Form.admin, Action.broadcastStatus, 1, 2, STATUS_KINDS),
  refused('shutdown', 'it would stop a server'),
  refused('slabs', ONE_SERVER),
  refused('lru', ONE_SERVER),
  refused('lru_crawler', ONE_SERVER),
  refused('watch', 'it needs a server connection of its own'),
  refused('refresh_certs', ONE_SERVER),
  refused('extstore', ONE_SERVER),
]

export const COMMANDS: readonly Command[] = ROWS.map((row, index) => ({ ...row, index, bytes: encodeText(row.name) }))

/** What `lookupCommand` returns for a name that is not in the table. */
export const UNKNOWN_COMMAND: Command = {
  ...added('', Form.plain, Action.refuse, 0, -1, ERROR_KINDS),
  index: COMMANDS.length,
  bytes: encodeText(''),
}

const TABLE_SIZE = 256

/** Open addressing; 13 % full, so a miss ends at once. */
const table: readonly Command[] = buildTable()

function bucketOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = end - start
  for (let i = start; i < end; i++) hash = (Math.imul(hash, 31) + bytes[i]) | 0
  return (hash ^ (hash >>> 9)) & (TABLE_SIZE - 1)
}

function buildTable(): Command[] {
  const buckets: Command[] = new Array(TABLE_SIZE).fill(UNKNOWN_COMMAND)
  for (const command of COMMANDS) {
    let bucket = bucketOf(command.bytes, 0, command.bytes.length)
    while (buckets[bucket] !== UNKNOWN_COMMAND) bucket = (bucket + 1) & (TABLE_SIZE - 1)
    buckets[bucket] = command
  }
  return buckets
}

const LONGEST_NAME = COMMANDS.reduce((longest, command) => Math.max(longest, command.name.length), 0)

/**
 * The command named by bytes [start, end), lower case as memcached's are; `UNKNOWN_COMMAND` when
 * there is none.
 */
export function lookupCommand(buf: Uint8Array, start: number, end: number): Command {
  const length = end - start
  if (length > LONGEST_NAME) return UNKNOWN_COMMAND
  let bucket = bucketOf(buf, start, end)
  for (;;) {
    const command = table[bucket]
    if (command === UNKNOWN_COMMAND) return command
    const name = command.bytes
    if (name.length === length) {
      let i = 0
      while (i < length && buf[start + i] === name[i]) i++
      if (i === length) return command
    }
    bucket = (bucket + 1) & (TABLE_SIZE - 1)
  }
}
