/** What a memcached reply is, by its first word, and sets of kinds as bit masks. Data plane. */

export const ReplyKind = {
  /** A list `VALUE …` ended by `END`. */
  values: 0,
  /** `END` alone: no value, no statistic. */
  end: 1,
  stored: 2,
  notStored: 3,
  exists: 4,
  notFound: 5,
  deleted: 6,
  touched: 7,
  number: 8,
  version: 9,
  error: 10,
  clientError: 11,
  serverError: 12,
  ok: 13,
  reset: 14,
  /** A list of `STAT`, `ITEM` or `PREFIX` lines ended by `END`. */
  stats: 15,
  /** Meta replies: `HD`, `VA` with data, `EN`, `NS`, `EX`, `NF`, `MN`, `ME`. */
  metaDone: 16,
  metaValue: 17,
  metaMiss: 18,
  metaNotStored: 19,
  metaExists: 20,
  metaNotFound: 21,
  metaNoop: 22,
  metaDebug: 23,
} as const
export type ReplyKindCode = (typeof ReplyKind)[keyof typeof ReplyKind]

/** The set of these kinds: bit `1 << kind`. */
export function kindSet(...kinds: ReplyKindCode[]): number {
  let set = 0
  for (const kind of kinds) set |= 1 << kind
  return set
}

/** `ERROR`, `CLIENT_ERROR …`, `SERVER_ERROR …`: possible after any request. */
export const ERROR_KINDS: number = kindSet(ReplyKind.error, ReplyKind.clientError, ReplyKind.serverError)

/** What nutcracker forwards in answer to any command; other replies break the connection. */
export const CLASSIC_KINDS: number =
  ERROR_KINDS |
  kindSet(
    ReplyKind.values,
    ReplyKind.end,
    ReplyKind.stored,
    ReplyKind.notStored,
    ReplyKind.exists,
    ReplyKind.notFound,
    ReplyKind.deleted,
    ReplyKind.touched,
    ReplyKind.number,
    ReplyKind.version,
  )

/** `OK` stands for `HD` on a server that runs with `meta_response_old`. */
export const META_KINDS: number =
  ERROR_KINDS |
  kindSet(
    ReplyKind.ok,
    ReplyKind.metaDone,
    ReplyKind.metaValue,
    ReplyKind.metaMiss,
    ReplyKind.metaNotStored,
    ReplyKind.metaExists,
    ReplyKind.metaNotFound,
    ReplyKind.metaNoop,
    ReplyKind.metaDebug,
  )
