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
  /** Time limit for a reply to a request, ms; 0 = none. */
  readonly timeoutMs: number
  readonly backlog: number
  /** Limit on clients over all workers; 0 = none. */
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
  /**
   * nutcracker's behaviour where pistachio's differs: unsupported commands close the client, and so
   * on.
   */
  readonly strict: boolean
  /** Time limit for connecting, ms; 0 = only `timeoutMs` applies. */
  readonly serverConnectTimeoutMs: number
  /**
   * The worker closes a client that has sent nothing and waits for no reply for this long, ms; 0 =
   * never.
   */
  readonly clientIdleTimeoutMs: number
  /**
   * Keepalive idle time before the first probe, seconds, both for `tcpkeepalive` and
   * `server_tcpkeepalive`; 0 = system default.
   */
  readonly tcpKeepaliveIdleSec: number
  readonly serverTcpKeepalive: boolean
  /** Clients of this listener begin with a PROXY protocol v1 or v2 header. */
  readonly proxyProtocol: boolean
  /** The proxy answers PING also before AUTH. */
  readonly pingBeforeAuth: boolean
  /**
   * Reads over several keys (SINTER, ZUNION …) that lie on several servers: rejected, or computed
   * by the proxy.
   */
  readonly crossServer: CrossServerName
  /**
   * Scripts whose text uses keys that it does not declare, in a pool of several servers: logged,
   * rejected, or run.
   */
  readonly undeclaredKeys: UndeclaredKeysName
  /**
   * Databases of a Redis pool that clients may SELECT, from 0 on. 1 where the pool is strict or has
   * a `redisDb`.
   */
  readonly databases: number
  /** The proxy forwards CONFIG SET, RESETSTAT and REWRITE to all servers; else it rejects them. */
  readonly configSet: boolean
  /** true: an ejected server stays in the ring, and requests for its keys fail at once. */
  readonly ejectKeepRing: boolean
  /**
   * What happens to a client when the server for its request fails: it gets an error reply, or the
   * worker closes it.
   */
  readonly serverLoss: ServerLossName
  /** A MULTI whose keys lie on several servers: rejected, or one MULTI for each server. */
  readonly multi: MultiName
  /**
   * Time from the loss of a server for which requests for it stay queued, ms; 0 = they fail at
   * once.
   */
  readonly serverLossWaitMs: number
  /**
   * Limit on one client's requests in flight; at the limit the worker stops reading from the
   * client.
   */
  readonly clientMaxPending: number
  /**
   * Reply bytes queued for one client at which the worker stops reading from it; at four times this
   * many the worker closes it. 0 = derived from the memory limit.
   */
  readonly clientQueueBytes: number
  /** Unsent request bytes for one server in one worker above which further requests fail. */
  readonly serverQueueBytes: number
  /** Largest request or reply, bytes; 0 = no limit. */
  readonly maxMessageBytes: number
}

export interface Config {
  /** Sorted: shorter name first, then bytes. */
  readonly pools: readonly PoolConfig[]
}
