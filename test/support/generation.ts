/**
 * Small configurations and generations for tests of the primary thread: every value defaulted as an
 * empty pool's would be.
 */

import type { Config, ListenAddress, PoolConfig, ServerConfig } from '../../src/shared/config.ts'
import { type PoolShape, SharedLayout } from '../../src/shared/memory-layout.ts'
import type { Generation } from '../../src/shared/messages.ts'

/** `HOST:PORT` or a unix path. */
export function listenAt(text: string): ListenAddress {
  if (text.startsWith('/')) return { text, host: '', port: 0, path: text, permission: 0 }
  const colon = text.lastIndexOf(':')
  return { text, host: text.slice(0, colon), port: Number(text.slice(colon + 1)), path: '', permission: 0 }
}

export function serverAt(name: string, port = 6379, host = '127.0.0.1'): ServerConfig {
  return { name, pname: `${host}:${port}:1`, host, port, path: '', weight: 1 }
}

export function poolOf(name: string, overrides: Partial<PoolConfig> = {}): PoolConfig {
  return {
    name,
    listen: listenAt('127.0.0.1:22121'),
    hash: 'fnv1a_64',
    hashTag: null,
    distribution: 'ketama',
    timeoutMs: 0,
    backlog: 512,
    clientConnections: 0,
    redis: true,
    tcpKeepalive: false,
    reuseport: false,
    redisAuth: '',
    redisDb: 0,
    preconnect: false,
    autoEjectHosts: false,
    serverConnections: 1,
    serverRetryTimeoutMs: 30_000,
    serverFailureLimit: 2,
    servers: [serverAt('a'), serverAt('b')],
    strict: false,
    serverConnectTimeoutMs: 0,
    clientIdleTimeoutMs: 0,
    tcpKeepaliveIdleSec: 0,
    serverTcpKeepalive: false,
    proxyProtocol: false,
    pingBeforeAuth: false,
    ejectKeepRing: false,
    serverLoss: 'error',
    multi: 'atomic',
    serverLossWaitMs: 0,
    crossServer: 'refuse',
    undeclaredKeys: 'warn',
    configSet: false,
    databases: 16,
    clientMaxPending: 1024,
    clientQueueBytes: 1 << 20,
    serverQueueBytes: 1 << 26,
    maxMessageBytes: 0,
    ...overrides,
  }
}

export function configOf(...pools: PoolConfig[]): Config {
  return { pools }
}

/** A generation with memory for `workers` workers and tables too small to route with. */
export function generationOf(config: Config, workers: number, id = 1): Generation {
  const shapes: PoolShape[] = config.pools.map(pool => ({ servers: pool.servers.length, points: 8, bucketBits: 1 }))
  return { id, config, shapes, shared: new SharedLayout(workers, shapes).allocate() }
}

export function layoutOf(generation: Generation, workers: number): SharedLayout {
  return new SharedLayout(workers, generation.shapes)
}
