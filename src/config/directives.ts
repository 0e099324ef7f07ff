/**
 * Every directive of nutcracker.yml in one table: what it accepts, its default, the field of
 * `PoolConfig` that it sets, its help text. `validate.ts` checks and fills pools from it on the
 * primary thread; the tables of the README are written from it
 * (`test/unit/config/directive-table.ts`).
 */

import {
  CROSS_SERVER_NAMES,
  DISTRIBUTION_NAMES,
  HASH_NAMES,
  MULTI_NAMES,
  SERVER_LOSS_NAMES,
  UNDECLARED_KEYS_NAMES,
} from '../shared/config.ts'
import { type Directive, isSetting, type PoolSettings } from './directive.ts'

const INT_MAX = 2147483647
const KIB = 1024
const MIB = 1024 * KIB

const nutcrackerDirectives = [
  {
    key: 'listen',
    type: 'listen',
    field: 'listen',
    own: false,
    help: 'Address for clients: `host:port`, or `/path/of.sock` with an optional octal permission after a space.',
  },
  {
    key: 'hash',
    type: 'name',
    field: 'hash',
    names: HASH_NAMES,
    default: 'fnv1a_64',
    own: false,
    help: 'Hash function for keys. nutcracker does not have `crc32c`.',
  },
  {
    key: 'hash_tag',
    type: 'hash-tag',
    field: 'hashTag',
    default: null,
    own: false,
    help: 'Two characters, for instance `"{}"`. The proxy hashes only the part of a key between them.',
  },
  {
    key: 'distribution',
    type: 'name',
    field: 'distribution',
    names: DISTRIBUTION_NAMES,
    default: 'ketama',
    own: false,
    help: 'How hash values are assigned to servers.',
  },
  {
    key: 'timeout',
    type: 'number',
    field: 'timeoutMs',
    unit: 'ms',
    min: 0,
    max: INT_MAX,
    default: 0,
    own: false,
    help: 'Time limit for a server’s reply to a request. 0: no limit.',
  },
  {
    key: 'backlog',
    type: 'number',
    field: 'backlog',
    unit: 'connections',
    min: 0,
    max: INT_MAX,
    default: 512,
    own: false,
    help:
      'Length of the kernel’s queue of connections to accept. The kernel has an upper limit of its own ' +
      '(`net.core.somaxconn`).',
  },
  {
    key: 'client_connections',
    type: 'number',
    field: 'clientConnections',
    unit: 'connections',
    min: 0,
    max: INT_MAX,
    default: 0,
    own: false,
    help:
      'Limit on the pool’s clients, over all workers. The proxy sends an error to a client above the limit and ' +
      'disconnects it. 0: no limit.',
  },
  {
    key: 'redis',
    type: 'bool',
    field: 'redis',
    default: false,
    own: false,
    help: 'Protocol of the pool: Redis when `true`, memcached ASCII when `false`.',
  },
  {
    key: 'tcpkeepalive',
    type: 'bool',
    field: 'tcpKeepalive',
    default: false,
    own: false,
    help: 'TCP keepalive on client connections.',
  },
  {
    key: 'reuseport',
    type: 'bool',
    field: 'reuseport',
    default: false,
    own: false,
    help:
      'Each worker opens listening sockets of its own with SO_REUSEPORT. A second process may listen on the ' +
      'same port.',
  },
  {
    key: 'redis_auth',
    type: 'text',
    field: 'redisAuth',
    default: '',
    own: false,
    help: 'Password that the proxy sends to every server and requires from every client. Redis pools only.',
  },
  {
    key: 'redis_db',
    type: 'number',
    field: 'redisDb',
    unit: 'database',
    min: 0,
    max: INT_MAX,
    default: 0,
    own: false,
    help: 'Database that the proxy selects on every server connection.',
  },
  {
    key: 'preconnect',
    type: 'bool',
    field: 'preconnect',
    default: false,
    own: false,
    help: 'Connect to every server at start, not at the first request for it.',
  },
  {
    key: 'auto_eject_hosts',
    type: 'bool',
    field: 'autoEjectHosts',
    default: false,
    own: false,
    help: 'Take a server out of the ring after `server_failure_limit` failures, until it answers a probe.',
  },
  {
    key: 'server_connections',
    type: 'number',
    field: 'serverConnections',
    unit: 'connections',
    min: 1,
    max: INT_MAX,
    default: 1,
    own: false,
    help: 'Limit on connections to each server, per worker.',
  },
  {
    key: 'server_retry_timeout',
    type: 'number',
    field: 'serverRetryTimeoutMs',
    unit: 'ms',
    min: 0,
    max: INT_MAX,
    default: 30000,
    own: false,
    help: 'Time from the ejection of a server to its first probe.',
  },
  {
    key: 'server_failure_limit',
    type: 'number',
    field: 'serverFailureLimit',
    unit: 'failures',
    min: 0,
    max: INT_MAX,
    default: 2,
    own: false,
    help: 'Consecutive failures after which a server is ejected. 0 acts as 1.',
  },
  {
    key: 'servers',
    type: 'servers',
    field: 'servers',
    own: false,
    help: 'List of `host:port:weight` or `/path/of.sock:weight`, each with an optional name after a space.',
  },
] as const satisfies readonly Directive[]

const ownDirectives = [
  {
    key: 'strict',
    type: 'bool',
    field: 'strict',
    default: false,
    own: true,
    help:
      'Behave as nutcracker where pistachio departs from it, for instance disconnect a client that sends an ' +
      'unsupported command.',
  },
  {
    key: 'server_connect_timeout',
    type: 'number',
    field: 'serverConnectTimeoutMs',
    unit: 'ms',
    min: 0,
    max: INT_MAX,
    default: 0,
    own: true,
    help: 'Time limit for connecting to a server. 0: only `timeout` applies.',
  },
  {
    key: 'client_idle_timeout',
    type: 'number',
    field: 'clientIdleTimeoutMs',
    unit: 'ms',
    min: 0,
    max: INT_MAX,
    default: 0,
    own: true,
    help: 'Disconnect a client that has sent nothing for this long and waits for no reply. 0: never.',
  },
  {
    key: 'tcpkeepalive_idle',
    type: 'number',
    field: 'tcpKeepaliveIdleSec',
    unit: 's',
    min: 0,
    // Linux's MAX_TCP_KEEPIDLE.
    max: 32767,
    default: 0,
    own: true,
    help:
      'Idle time before the first keepalive probe, for `tcpkeepalive` and `server_tcpkeepalive`. 0: the ' +
      'system’s default.',
  },
  {
    key: 'server_tcpkeepalive',
    type: 'bool',
    field: 'serverTcpKeepalive',
    default: false,
    own: true,
    help: 'TCP keepalive on server connections.',
  },
  {
    key: 'proxy_protocol',
    type: 'bool',
    field: 'proxyProtocol',
    default: false,
    own: true,
    help:
      'Require a PROXY protocol header (version 1 or 2) at the start of every client connection, as HAProxy’s ' +
      '`send-proxy` writes it.',
  },
  {
    key: 'ping_before_auth',
    type: 'bool',
    field: 'pingBeforeAuth',
    default: false,
    own: true,
    help: 'Answer PING before AUTH, for health checks without a password such as HAProxy’s `option redis-check`.',
  },
  {
    key: 'eject_keep_ring',
    type: 'bool',
    field: 'ejectKeepRing',
    default: false,
    own: true,
    help: 'Do not change the ring while a server is ejected. Requests for its keys fail at once with an error.',
  },
  {
    key: 'server_loss',
    type: 'name',
    field: 'serverLoss',
    names: SERVER_LOSS_NAMES,
    default: 'error',
    own: true,
    help:
      'What happens to a client when the server of its request fails. `error`: it gets nutcracker’s error ' +
      'reply. `close`: it is disconnected, as the server itself would disconnect it.',
  },
  {
    key: 'server_loss_wait',
    type: 'number',
    field: 'serverLossWaitMs',
    unit: 'ms',
    min: 0,
    max: 3_600_000,
    default: 0,
    own: true,
    help: 'How long requests for a lost server stay queued, in order, before they fail. 0: they fail at once.',
  },
  {
    key: 'databases',
    type: 'number',
    field: 'databases',
    unit: 'databases',
    min: 1,
    // Far more than any server has. Connection kinds, two for each database, stay small integers.
    max: 65536,
    default: 16,
    own: true,
    help:
      'Number of databases that clients may SELECT, as in `redis.conf`. With `redis_db` or `strict` the default ' +
      'is 1: only database 0.',
  },
  {
    key: 'cross_server',
    type: 'name',
    field: 'crossServer',
    names: CROSS_SERVER_NAMES,
    default: 'refuse',
    own: true,
    help:
      'Reads whose keys lie on several servers (SINTER, SUNION, ZUNION, PFCOUNT …). `refuse`: the proxy answers ' +
      '`-CROSSSLOT`. `gather`: it collects the values and computes the reply, which is not atomic.',
  },
  {
    key: 'multi',
    type: 'name',
    field: 'multi',
    names: MULTI_NAMES,
    default: 'atomic',
    own: true,
    help:
      'A MULTI without WATCH whose keys lie on several servers. `atomic`: the proxy answers `-CROSSSLOT`. ' +
      '`split`: it sends one MULTI to each server, which is not atomic over the servers.',
  },
  {
    key: 'undeclared_keys',
    type: 'name',
    field: 'undeclaredKeys',
    names: UNDECLARED_KEYS_NAMES,
    default: 'warn',
    own: true,
    help:
      'Scripts that use keys that they do not declare, in a pool of several servers. `warn`: the proxy runs the ' +
      'script and logs one warning. `refuse`: it answers an error. `allow`: it runs the script.',
  },
  {
    key: 'config_set',
    type: 'bool',
    field: 'configSet',
    default: false,
    own: true,
    help: 'Allow clients to send CONFIG SET, RESETSTAT and REWRITE, which the proxy forwards to all servers.',
  },
  {
    key: 'client_max_pending',
    type: 'number',
    field: 'clientMaxPending',
    unit: 'requests',
    min: 1,
    max: 16777216,
    default: 65536,
    own: true,
    help:
      'Limit on one client’s requests in flight. At the limit the proxy stops reading from the client until ' +
      'replies arrive.',
  },
  {
    key: 'client_queue_bytes',
    type: 'number',
    field: 'clientQueueBytes',
    unit: 'bytes',
    min: 4 * KIB,
    max: 256 * MIB,
    default: 0,
    own: true,
    help:
      'Limit on one client’s buffered reply bytes. At the limit the proxy stops reading from the client; at ' +
      'four times the limit it disconnects the client. 0: an eighth of `--memory-limit`, at most 1 GiB.',
  },
  {
    key: 'server_queue_bytes',
    type: 'number',
    field: 'serverQueueBytes',
    unit: 'bytes',
    min: 4 * KIB,
    max: 1024 * MIB,
    default: 64 * MIB,
    own: true,
    help:
      'Limit on one worker’s unsent request bytes for one server. Above it the proxy rejects further requests ' +
      'for this server.',
  },
  {
    key: 'max_message_bytes',
    type: 'number',
    field: 'maxMessageBytes',
    unit: 'bytes',
    min: 0,
    max: INT_MAX,
    default: 0,
    own: true,
    help:
      'Largest request or reply. The client gets an error in place of a larger one. 0: no limit but the ' +
      'servers’ own.',
  },
] as const satisfies readonly Directive[]

/** nutcracker's directives, then pistachio's own, both in the order of the documentation. */
export const DIRECTIVES: readonly Directive[] = [...nutcrackerDirectives, ...ownDirectives]

/** Directive of a key, if there is one. Keys are case-sensitive. */
export const DIRECTIVE_BY_KEY: ReadonlyMap<string, Directive> = new Map(DIRECTIVES.map(each => [each.key, each]))

type Covered = (typeof nutcrackerDirectives)[number]['field'] | (typeof ownDirectives)[number]['field']
// Fails to compile when a field of `PoolSettings` has no directive.
type Uncovered = Exclude<keyof PoolSettings, Covered>
const allFieldsCovered: [Uncovered] extends [never] ? true : Uncovered = true

/** The settings of a pool that names none. */
export function defaultSettings(): PoolSettings {
  const fields = DIRECTIVES.filter(isSetting).map(each => [each.field, each.default])
  return Object.fromEntries(allFieldsCovered ? fields : []) as PoolSettings
}
