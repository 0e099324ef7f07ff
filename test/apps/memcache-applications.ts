/** Applications and client libraries of memcached. A pool speaks the ASCII protocol; the binary one is answered with an error and closed. */

import type { Application, Remedy } from './application.ts'

const BINARY = 'the binary protocol only'

/** What makes a program ask for the ASCII protocol. */
function ascii(text: string, env: Readonly<Record<string, string>>): Remedy {
  return { text, env }
}

/** Over the project's own packages: short enough for `npm test`. */
export const MEMCACHE_SHORT: readonly Application[] = (
  [
    { name: 'memcached (npm)', tried: '2.2', program: 'memcached_npm.mjs', packages: [] },
    { name: 'memcache-client (npm)', tried: '1.0', program: 'memcache_client.mjs', packages: [] },
  ] satisfies Omit<Application, 'protocol'>[]
).map(application => ({ ...application, protocol: 'memcache' }))

export const MEMCACHE_APPLICATIONS: readonly Application[] = (
  [
    {
      name: 'PHP sessions, `session.save_handler = memcached`',
      tried: '8.2, 3.2',
      program: 'php_session.php',
      packages: ['php-memcached', 'php-cli'],
      env: { HANDLER: 'memcached' },
      oneFails: /UNKNOWN READ FAILURE/,
      severalFail: /UNKNOWN READ FAILURE/,
      remedy: ascii('`memcached.sess_binary_protocol = 0`', { HANDLER: 'memcached', BINARY: '0' }),
      why: 'its sessions ask for the binary protocol by default',
    },
    { name: 'php-memcached', tried: '3.2', program: 'php_memcached.php', packages: ['php-memcached', 'php-cli'] },
    {
      name: 'php-memcached, `OPT_BINARY_PROTOCOL`',
      tried: '3.2',
      program: 'php_memcached.php',
      packages: ['php-memcached', 'php-cli'],
      env: { BINARY: '1' },
      oneFails: /UNKNOWN READ FAILURE/,
      severalFail: /UNKNOWN READ FAILURE/,
      remedy: ascii('leave the option off', { BINARY: '0' }),
      why: 'the binary protocol',
    },
    {
      name: 'Symfony Cache, `MemcachedAdapter`',
      tried: '5.4',
      program: 'symfony_cache.php',
      packages: ['php-symfony-cache', 'php-memcached', 'php-redis', 'php-predis', 'php-cli'],
      env: { BACKEND: 'memcached' },
      oneFails: /READ FAILURE/i,
      severalFail: /READ FAILURE/i,
      remedy: ascii('`memcached://host:port?binary_protocol=0`', { DSN_OPTIONS: '?binary_protocol=0' }),
      why: 'it asks for the binary protocol by default',
    },
    {
      name: "Laravel's `MemcachedStore`",
      tried: '8.83',
      program: 'laravel.php',
      packages: ['php-illuminate-cache', 'php-illuminate-queue', 'php-illuminate-redis', 'php-memcached', 'php-predis'],
      env: { STORE: 'memcached' },
    },
    { name: 'pymemcache', tried: '3.5', program: 'pymemcache_client.py', packages: ['python3-pymemcache'] },
    { name: 'python-memcached', tried: '1.59', program: 'python_memcache.py', packages: ['python3-memcache'] },
    { name: 'pylibmc', tried: '1.6', program: 'pylibmc_client.py', packages: ['python3-pylibmc'] },
    {
      name: 'pylibmc, `binary=True`',
      tried: '1.6',
      program: 'pylibmc_client.py',
      packages: ['python3-pylibmc'],
      env: { BINARY: '1' },
      oneFails: /UNKNOWN READ FAILURE/,
      severalFail: /UNKNOWN READ FAILURE/,
      remedy: ascii('leave the option off', { BINARY: '0' }),
      why: 'the binary protocol',
    },
    {
      name: 'python-binary-memcached',
      tried: '0.31',
      program: 'bmemcached_client.py',
      packages: ['python3-binary-memcached'],
      oneFails: /does not speak the binary protocol/,
      severalFail: /does not speak the binary protocol/,
      why: BINARY,
    },
    ...['MemcachedCache', 'PyMemcacheCache', 'PyLibMCCache'].map(backend => ({
      name: `Django's \`${backend}\``,
      tried: '3.2',
      program: 'django_memcache.py',
      packages: ['python3-django-redis', 'python3-memcache', 'python3-pymemcache', 'python3-pylibmc'],
      env: { BACKEND: backend },
    })),
    {
      name: 'Dalli',
      tried: '3.0',
      program: 'dalli_client.rb',
      packages: ['ruby-dalli'],
      oneFails: /Unknown command/,
      severalFail: /Unknown command/,
      why: 'the binary protocol only. Dalli 3.2 and later have `protocol: :meta` (not tried)',
    },
    {
      name: "Rails' `MemCacheStore`",
      tried: '6.1',
      program: 'rails_cache.rb',
      packages: ['ruby-activesupport', 'ruby-dalli'],
      env: { STORE: 'memcached' },
      oneFails: /failed/,
      severalFail: /failed/,
      why: 'as Dalli',
    },
    {
      name: 'Cache::Memcached, Cache::Memcached::Fast (Perl)',
      tried: '1.30, 0.28',
      program: 'memcached_perl.pl',
      packages: ['libcache-memcached-perl', 'libcache-memcached-fast-perl'],
    },
    {
      name: 'gomemcache (Go)',
      tried: '2014-11-09',
      program: 'gomemcache.go',
      packages: ['golang-github-bradfitz-gomemcache-dev', 'golang-go'],
    },
    {
      name: 'spymemcached (Java)',
      tried: '2.12',
      program: 'SpyMemcached.java',
      packages: ['libspymemcached-java', 'default-jdk-headless'],
    },
    {
      name: 'MemJS',
      tried: '1.3',
      program: 'memjs.mjs',
      oneFails: /Unknown command/i,
      severalFail: /Unknown command/i,
      why: BINARY,
    },
    {
      name: '@keyv/memcache',
      tried: '2.0',
      program: 'keyv-memcache.mjs',
      oneFails: /Unknown command/i,
      severalFail: /Unknown command/i,
      why: 'as MemJS',
    },
  ] satisfies Omit<Application, 'protocol'>[]
).map(application => ({ ...application, protocol: 'memcache' }))
