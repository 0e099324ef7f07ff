/**
 * `npm run test:versions`: what a server or a balancer of another version can change, once with each. The roots that they lie in are made by
 * `scripts/server-roots.mjs`; releases that are not there are left out, and it says so.
 */

import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config'
import { hasRoot, program, versionsOf } from './scripts/server-roots.mjs'

const REDIS_TESTS = [
  'test/conformance/*.test.ts',
  'test/fuzz/real-replies-redis.test.ts',
  'test/integration/clients/redis-clients.test.ts',
]
const MEMCACHE_TESTS = [
  'test/fuzz/real-replies-memcache.test.ts',
  'test/integration/memcache/*.test.ts',
  'test/integration/clients/memcache-*.test.ts',
]
const HAPROXY_TESTS = ['test/integration/operations/haproxy.test.ts']

/** Release, package, program, variable of `test/support/processes/programs.ts`, tests. */
const VERSIONS = [
  ['sid', 'redis-server', 'REDIS_COMMAND', REDIS_TESTS],
  ['trixie', 'valkey-server', 'REDIS_COMMAND', REDIS_TESTS],
  ['sid', 'valkey-server', 'REDIS_COMMAND', REDIS_TESTS],
  ['trixie', 'memcached', 'MEMCACHED_COMMAND', MEMCACHE_TESTS],
  ['sid', 'memcached', 'MEMCACHED_COMMAND', MEMCACHE_TESTS],
  ['trixie', 'haproxy', 'HAPROXY_COMMAND', HAPROXY_TESTS],
  ['sid', 'haproxy', 'HAPROXY_COMMAND', HAPROXY_TESTS],
] as const

const projects: TestProjectInlineConfiguration[] = VERSIONS.filter(([release]) => hasRoot(release)).map(
  ([release, name, variable, include]) => {
    const { command, args } = program(release, name)
    return {
      test: {
        testTimeout: 60_000,
        hookTimeout: 60_000,
        retry: process.env.CI === undefined ? 0 : 2,
        name: `${name} ${versionsOf(release)[name]}`,
        include: [...include],
        env: { [variable]: JSON.stringify([command, ...args]) },
      },
    }
  },
)

export default defineConfig({ test: { pool: 'forks', maxWorkers: 2, projects } })
