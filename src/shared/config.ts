/**
 * The validated configuration: what `nutcracker.yml` means after parsing, checking, defaulting and
 * sorting. Built once by `parse.ts`/`validate.ts` on the primary thread, frozen, and cloned to
 * every worker. Field meaning, units, ranges and defaults: `directives.ts` (one table), which also
 * feeds the README.
 */

export const HASH_NAMES = [
  'one_at_a_time',
  'md5',
  'crc16',
  'crc32',
  'crc32a',
  'fnv1_64',
  'fnv1a_64',
  'fnv1_32',
  'fnv1a_32',
  'hsieh',
  'murmur',
  'jenkins',
  'crc32c',
] as const
export type HashName = (typeof HASH_NAMES)[number]

export const DISTRIBUTION_NAMES = ['ketama', 'modula', 'random'] as const
export type DistributionName = (typeof DISTRIBUTION_NAMES)[number]

export const CROSS_SERVER_NAMES = ['refuse', 'gather'] as const
export type CrossServerName = (typeof CROSS_SERVER_NAMES)[number]

export const MULTI_NAMES = ['atomic', 'split'] as const
export type MultiName = (typeof MULTI_NAMES)[number]

export const SERVER_LOSS_NAMES = ['error', 'close'] as const
export type ServerLossName = (typeof SERVER_LOSS_NAMES)[number]
export const UNDECLARED_KEYS_NAMES = ['warn', 'refuse', 'allow'] as const
export type UndeclaredKeysName = (typeof UNDECLARED_KEYS_NAMES)[number]

/** Most servers of a pool: routing tables hold server indexes in 16 bits. */
export const MAX_SERVERS = 65_536

/**
 * An address to listen on. Exactly one of `path` (unix socket, starts with `/`) and `host` is
 * non-empty.
 */
export interface ListenAddress {
  /** As written in the file; equality of listeners is equality of this text. */
  readonly text: string
  /** Numeric address to bind: what the host in `text` resolved to when the file was checked. */
  readonly host: string
  readonly port: number
  readonly path: string
  /** Octal mode for a unix socket; 0 means no chmod. */
  readonly permission: number
}

export interface ServerConfig {
  /**
   * Name: ring input, stats key, sort key (see the config documentation for unnamed servers).
   * Latin-1 text, one char a byte.
   */
  readonly name: string
  /** `host:port:weight` or `/path:weight`, as written: used in log lines. */
  readonly pname: string
  readonly host: string
  readonly port: number
  /** Unix socket path, or '' for TCP. */
  readonly path: string
  readonly weight: number
}

export interface PoolConfig {
  /** Latin-1 text, one char a byte. */
  readonly name: string
  readonly listen: ListenAddress
  readonly hash: HashName
  /** Two bytes [open, close], or null. */
  readonly hashTag: readonly [number, number] | null
  readonly distribution: DistributionName
  /** Reply timeout of a request in ms; 0 = wait for ever. */
  readonly timeoutMs: number
  readonly backlog: number
  /** Most clients at once over all workers; 0 = unlimited. */
  readonly clientConnections: number
  readonly redis: boolean
  readonly tcpKeepalive: boolean
  readonly reuseport: boolean
  /** Latin-1 text, one char a byte; '' = none. */
  readonly redisAuth: string
  readonly redisDb: number
  readonly preconnect: boolean
  readonly autoEjectHosts: boolean
  /** Connections per worker and server. */
  readonly serverConnections: number
  readonly serverRetryTimeoutMs: number
  /** At least 1. */
  readonly serverFailureLimit: number
  /** Sorted: shorter name first, then bytes. The position is the server index everywhere. */
  readonly servers: readonly ServerConfig[]

  // Keys that nutcracker does not have. Their defaults never change what an old file means.
  /** Original behaviour where it differs: close on unsupported commands, and so on. */
  readonly strict: boolean
  /** Time for a connect to complete, ms; 0 = only `timeoutMs` counts. */
  readonly serverConnectTimeoutMs: number
  /** A client that sends nothing and awaits nothing for this long is closed, ms; 0 = never. */
  readonly clientIdleTimeoutMs: number
  /**
   * Keepalive idle time before the first probe, seconds, both for `tcpkeepalive` and
   * `server_tcpkeepalive`; 0 = system default.
   */
  readonly tcpKeepaliveIdleSec: number
  readonly serverTcpKeepalive: boolean
  /** Clients of this listener begin with a PROXY protocol v1 or v2 header. */
  readonly proxyProtocol: boolean
  /** PING is answered to clients that have not authenticated yet. */
  readonly pingBeforeAuth: boolean
  /** What becomes of reads over several keys (SINTER, ZUNION …) whose keys several servers have. */
  readonly crossServer: CrossServerName
  /**
   * What becomes of scripts whose text uses keys that it does not declare, in a pool of several
   * servers.
   */
  readonly undeclaredKeys: UndeclaredKeysName
  /**
   * Databases of a Redis pool that clients may SELECT, from 0 on. 1 where the pool is strict or has
   * a `redisDb`.
   */
  readonly databases: number
  /** CONFIG SET, RESETSTAT and REWRITE go to all servers. */
  readonly configSet: boolean
  /** true: an ejected server's keys answer an error at once and the ring stays as it is. */
  readonly ejectKeepRing: boolean
  /**
   * What a client has in place of a reply when its server fails: an error, or the end of its
   * connection.
   */
  readonly serverLoss: ServerLossName
  /** What becomes of a MULTI whose keys several servers have. */
  readonly multi: MultiName
  /**
   * Requests wait this long for a server that is lost, from its loss on, ms; 0 = they fail at once.
   */
  readonly serverLossWaitMs: number
  /** Most requests of one client without a reply; reading pauses at the mark. */
  readonly clientMaxPending: number
  /**
   * Reply bytes queued for one client at which its reading pauses; at four times this it is closed.
   * 0 = by the memory limit.
   */
  readonly clientQueueBytes: number
  /** Request bytes queued for one server in one worker at which requests to it are refused. */
  readonly serverQueueBytes: number
  /** Largest request or reply in bytes; 0 = unlimited. */
  readonly maxMessageBytes: number
}

export interface Config {
  /** Sorted: shorter name first, then bytes. */
  readonly pools: readonly PoolConfig[]
}
