/**
 * The loads, as data: what `run.ts` selects from, `measure.ts` runs and the document explains. The order is that of the
 * reports.
 */

import type { Operation, Protocol, Workload } from './workload.ts'

/**
 * `load`: the driver of our own, every reply compared. `redis-benchmark`: the tool everybody knows, as a second
 * witness. `connect`: it again, with a new connection for each request. `idle`: connections without traffic. `start`:
 * from the start of the process to its first reply.
 */
export type ScenarioKind = 'load' | 'redis-benchmark' | 'connect' | 'idle' | 'start'

export interface Scenario {
  readonly name: string
  readonly kind: ScenarioKind
  /** Heading under which the reports put it. */
  readonly group: string
  readonly workload: Workload
  readonly clients: number
  /** Requests a second; 0 = as many as can be. */
  readonly ratePerSecond: number
  /** Shortest measured window, s: what takes seconds itself needs more of them. */
  readonly secondsMin: number
  /** Part of the short form. */
  readonly short: boolean
}

const SMALL_BYTES = 32
const CLIENTS = 50
const LARGE_CLIENTS = 20
const IDLE_CLIENTS = 10_000
/** A load that the slowest contender carries with room to spare on two cores. */
const FIXED_RATE = 10_000

/** In the order of the reports. */
export const SCENARIOS: readonly Scenario[] = [
  ...[1, 16, 100].flatMap(pipeline => [
    redis(`get-p${pipeline}`, 'Redis, 32-byte values', 'get', { pipeline, short: true }),
    redis(`set-p${pipeline}`, 'Redis, 32-byte values', 'set', { pipeline, short: pipeline === 16 }),
  ]),
  ...[
    ['1k', 1024],
    ['16k', 16 << 10],
    ['1m', 1 << 20],
  ].flatMap(([label, bytes]) => [
    redis(`get-${label}`, 'Redis, larger values', 'get', { valueBytes: Number(bytes) }),
    redis(`set-${label}`, 'Redis, larger values', 'set', { valueBytes: Number(bytes) }),
  ]),
  ...[
    ['1m', 1 << 20, 1],
    ['16m', 16 << 20, 4],
    ['100m', 100 << 20, 12],
  ].flatMap(([label, bytes, secondsMin]) => {
    const variation = { valueBytes: Number(bytes), clients: LARGE_CLIENTS, secondsMin: Number(secondsMin) }
    const group = `Redis, large values, ${LARGE_CLIENTS} clients`
    return [redis(`get-${label}-c20`, group, 'get', variation), redis(`set-${label}-c20`, group, 'set', variation)]
  }),
  ...[10, 20].flatMap(keysPerRequest => [
    redis(`mget-${keysPerRequest}`, 'Redis, many keys over four servers, pipeline 16', 'mget', {
      keysPerRequest,
      pipeline: 16,
      short: keysPerRequest === 20,
    }),
    redis(`mset-${keysPerRequest}`, 'Redis, many keys over four servers, pipeline 16', 'mset', {
      keysPerRequest,
      pipeline: 16,
    }),
  ]),
  ...[1, 200, 1000].map(clients => redis(`get-c${clients}`, 'Redis, other numbers of clients', 'get', { clients })),
  redis('get-fixed', `Redis, ${FIXED_RATE.toLocaleString('en')} requests a second whatever happens`, 'get', {
    ratePerSecond: FIXED_RATE,
  }),
  ...[1, 16, 100].map(pipeline =>
    redis(`rb-get-p${pipeline}`, 'The same by redis-benchmark', 'get', { kind: 'redis-benchmark', pipeline }),
  ),
  redis('connect', 'A new connection for each request', 'get', { kind: 'connect' }),
  memcached('mc-get-p1', 'get', { short: true }),
  memcached('mc-set-p1', 'set', {}),
  memcached('mc-mix-p1', 'mix', {}),
  memcached('mc-get-p16', 'get', { pipeline: 16, short: true }),
  memcached('mc-set-p16', 'set', { pipeline: 16 }),
  memcached('mc-mix-p16', 'mix', { pipeline: 16 }),
  memcached('mc-mget-20', 'mget', { keysPerRequest: 20, short: true }),
  memcached('mc-mget-20-p16', 'mget', { keysPerRequest: 20, pipeline: 16 }),
  redis('idle', 'Idle connections and start', 'get', { kind: 'idle', clients: IDLE_CLIENTS }),
  redis('start', 'Idle connections and start', 'get', { kind: 'start', clients: 1, short: true }),
]

interface Variation {
  readonly kind?: ScenarioKind
  readonly valueBytes?: number
  readonly pipeline?: number
  readonly keysPerRequest?: number
  readonly clients?: number
  readonly ratePerSecond?: number
  readonly secondsMin?: number
  readonly short?: boolean
}

function redis(name: string, group: string, operation: Operation, variation: Variation): Scenario {
  return scenario('redis', name, group, operation, variation)
}

function memcached(name: string, operation: Operation, variation: Variation): Scenario {
  return scenario('memcached', name, 'Memcached, 32-byte values', operation, variation)
}

function scenario(
  protocol: Protocol,
  name: string,
  group: string,
  operation: Operation,
  variation: Variation,
): Scenario {
  const { kind = 'load', valueBytes = SMALL_BYTES, pipeline = 1, keysPerRequest = 1 } = variation
  const { clients = CLIENTS, ratePerSecond = 0, secondsMin = 0, short = false } = variation
  const workload = { protocol, operation, keysPerRequest, valueBytes, pipeline, keyspace: keyspaceFor(valueBytes) }
  return { name, kind, group, workload, clients, ratePerSecond, secondsMin, short }
}

/** Four servers hold all keys each: at most 16 MB of values a server, or four values. */
function keyspaceFor(valueBytes: number): number {
  return Math.max(4, Math.min(10_000, (16 << 20) / valueBytes))
}

/** What the load is, in a few words for people. */
export function describeScenario({ kind, workload, clients }: Scenario): string {
  if (kind === 'start') return 'from the start of the process to the first right reply'
  if (kind === 'idle') return `${clients.toLocaleString('en')} clients that have had one reply each and wait`
  const keys = workload.keysPerRequest > 1 ? ` of ${workload.keysPerRequest} keys` : ''
  const what = workload.operation === 'mix' ? 'nine GET to one SET' : workload.operation.toUpperCase() + keys
  const connection = kind === 'connect' ? ', each on a new connection' : `, pipeline ${workload.pipeline}`
  return `${what}, ${sizeText(workload.valueBytes)}${connection}, ${clients.toLocaleString('en')} client${clients === 1 ? '' : 's'}`
}

function sizeText(bytes: number): string {
  if (bytes >= 1 << 20) return `${bytes >> 20} MB`
  return bytes >= 1024 ? `${bytes >> 10} KB` : `${bytes} B`
}
