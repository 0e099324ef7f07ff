/**
 * Installs the programs that tests, benchmarks and the demo run beside the proxy. Missing ones come from apt if the user is root; otherwise one
 * line says what to install. Prints nothing if no program is missing.
 *
 *     node scripts/test-servers.mjs            all that `npm test` and `npm run bench` need
 *     node scripts/test-servers.mjs demo       what `npm start` needs
 *     node scripts/test-servers.mjs package    what `npm run test:package` needs
 *     node scripts/test-servers.mjs clients    client libraries of other languages, for optional tests
 *     node scripts/test-servers.mjs apps       applications and client libraries that `npm run test:apps` tries
 *     node scripts/test-servers.mjs versions   what `npm run test:versions` needs to download newer servers
 *
 * Plain JavaScript for Node 20, without packages: it also runs where nothing is installed yet. `demo.mjs` imports it.
 */

import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Debian package → whether it is installed. */
const PACKAGES = {
  'redis-server': () => onPath('redis-server'),
  'redis-tools': () => onPath('redis-cli') && onPath('redis-benchmark'),
  memcached: () => onPath('memcached'),
  nutcracker: () => onPath('nutcracker'),
  haproxy: () => onPath('haproxy'),
  'libmemcached-tools': () => onPath('memccp'),
  lintian: () => onPath('lintian'),
  debootstrap: () => onPath('debootstrap'),
  'python3-redis': () => hasPython('redis'),
  'php-redis': () => hasPhpExtension('redis'),
  'python3-rq': () => hasPython('rq'),
  'python3-celery': () => hasPython('celery'),
  'python3-django-redis': () => hasPython('django_redis'),
  'python3-channels-redis': () => hasPython('channels_redis'),
  'python3-flask-limiter': () => hasPython('flask_limiter'),
  'python3-flask-caching': () => hasPython('flask_caching'),
  'python3-pymemcache': () => hasPython('pymemcache'),
  'python3-pylibmc': () => hasPython('pylibmc'),
  'python3-memcache': () => hasPython('memcache'),
  'python3-binary-memcached': () => hasPython('bmemcached'),
  'php-cli': () => onPath('php'),
  'php-memcached': () => hasPhpExtension('memcached'),
  'php-predis': () => existsSync('/usr/share/php/Predis/Autoloader.php'),
  'php-symfony-cache': () => existsSync('/usr/share/php/Symfony/Component/Cache/autoload.php'),
  'php-symfony-redis-messenger': () =>
    existsSync('/usr/share/php/Symfony/Component/Messenger/Bridge/Redis/autoload.php'),
  'php-illuminate-cache': () => existsSync('/usr/share/php/Illuminate/Cache/autoload.php'),
  'php-illuminate-queue': () => existsSync('/usr/share/php/Illuminate/Queue/autoload.php'),
  'php-illuminate-redis': () => existsSync('/usr/share/php/Illuminate/Redis/autoload.php'),
  'ruby-redis': () => hasRuby('redis'),
  'ruby-sidekiq': () => hasRuby('sidekiq'),
  'ruby-dalli': () => hasRuby('dalli'),
  'ruby-activesupport': () => hasRuby('active_support'),
  'libredis-perl': () => succeeds('perl', ['-MRedis', '-e', '1']),
  'libcache-memcached-perl': () => succeeds('perl', ['-MCache::Memcached', '-e', '1']),
  'libcache-memcached-fast-perl': () => succeeds('perl', ['-MCache::Memcached::Fast', '-e', '1']),
  'lua-redis': () => succeeds('lua5.1', ['-e', 'require "redis"']),
  'lua5.1': () => onPath('lua5.1'),
  'golang-go': () => onPath('go'),
  'golang-github-gomodule-redigo-dev': () => existsSync('/usr/share/gocode/src/github.com/gomodule/redigo'),
  'golang-github-bradfitz-gomemcache-dev': () => existsSync('/usr/share/gocode/src/github.com/bradfitz/gomemcache'),
  'libspymemcached-java': () => existsSync('/usr/share/java/spymemcached.jar'),
  // Not in a group: hundreds of megabytes for one client.
  'default-jdk-headless': () => onPath('javac'),
}

const GROUPS = {
  demo: ['redis-server'],
  tests: ['redis-server', 'redis-tools', 'memcached', 'nutcracker', 'haproxy', 'libmemcached-tools'],
  package: ['redis-server', 'debootstrap', 'lintian'],
  clients: ['python3-redis', 'php-redis'],
  apps: [
    'python3-redis',
    'python3-rq',
    'python3-celery',
    'python3-django-redis',
    'python3-channels-redis',
    'python3-flask-limiter',
    'python3-flask-caching',
    'python3-pymemcache',
    'python3-pylibmc',
    'python3-memcache',
    'python3-binary-memcached',
    'php-cli',
    'php-redis',
    'php-memcached',
    'php-predis',
    'php-symfony-cache',
    'php-symfony-redis-messenger',
    'php-illuminate-cache',
    'php-illuminate-queue',
    'php-illuminate-redis',
    'ruby-redis',
    'ruby-sidekiq',
    'ruby-dalli',
    'ruby-activesupport',
    'libredis-perl',
    'libcache-memcached-perl',
    'libcache-memcached-fast-perl',
    'libspymemcached-java',
    'golang-go',
    'golang-github-gomodule-redigo-dev',
    'golang-github-bradfitz-gomemcache-dev',
    'lua-redis',
    'lua5.1',
  ],
  versions: ['debootstrap'],
}

/** Debian keeps servers here, and leaves it out of an ordinary user's PATH. */
const SYSTEM_FOLDERS = ['/usr/sbin', '/usr/bin']
/** A script that forbids package scripts to start services; exit code 101 says so. */
const SERVICE_POLICY = '/usr/sbin/policy-rc.d'

/**
 * Installs what is missing of a group.
 * @param {keyof typeof GROUPS} group
 * @returns {string} '' when all is there, else one line that says what to do
 */
export function ensurePrograms(group) {
  const missing = missingOf(group)
  if (missing.length === 0) return ''
  const remedy = `install ${missing.join(', ')} (Debian, Ubuntu: sudo apt-get install ${missing.join(' ')})`
  if (process.getuid?.() !== 0 || !onPath('apt-get')) return `Missing on this machine: ${remedy}`
  console.log(`Installing ${missing.join(', ')} through apt`)
  const problem = install(missing)
  if (problem !== '') return `apt-get failed (${problem}): ${remedy}`
  const still = missingOf(group)
  return still.length === 0 ? '' : `Still missing after the installation: ${still.join(', ')}`
}

function missingOf(group) {
  return missingPackages(GROUPS[group])
}

/**
 * @param {readonly string[]} names of packages that this file knows
 * @returns {string[]} those that are not on this machine
 */
export function missingPackages(names) {
  return names.filter(name => !PACKAGES[name]())
}

/** @returns {string} '' or the last line of what apt said. */
function install(packages) {
  const policyIsOurs = !existsSync(SERVICE_POLICY)
  if (policyIsOurs) writeFileSync(SERVICE_POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  try {
    const command = ['install', '-y', '--no-install-recommends', ...packages]
    // The lists on the machine may be missing or name versions that are gone.
    if (apt(command) === '') return ''
    const problem = apt(['update']) || apt(command)
    if (problem === '' || packages.length === 1) return problem
    // A release may lack one of them: the others are of use.
    for (const name of packages) apt([...command.slice(0, 3), name])
    return ''
  } finally {
    if (policyIsOurs) rmSync(SERVICE_POLICY, { force: true })
  }
}

function apt(args) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const options = ['-o', 'DPkg::Lock::Timeout=300', '-o', 'Acquire::Retries=3']
  const { status, stdout, stderr } = spawnSync('apt-get', [...options, ...args], { env, encoding: 'utf8' })
  if (status === 0) return ''
  return `${stdout}\n${stderr}`.trim().split('\n').at(-1)
}

function onPath(program) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...SYSTEM_FOLDERS]
  return folders.some(folder => folder !== '' && isExecutable(join(folder, program)))
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

function hasPython(module) {
  return succeeds('/usr/bin/python3', [
    '-c',
    `import importlib.util as u, sys; sys.exit(u.find_spec("${module}") is None)`,
  ])
}

function hasPhpExtension(name) {
  return succeeds('php', ['-r', `exit(extension_loaded("${name}") ? 0 : 1);`])
}

function hasRuby(name) {
  return succeeds('ruby', ['-e', `require "${name}"`])
}

function succeeds(program, args) {
  return spawnSync(program, args, { stdio: 'ignore' }).status === 0
}

function main(group) {
  if (!Object.hasOwn(GROUPS, group)) return `Unknown group '${group}': one of ${Object.keys(GROUPS).join(', ')}`
  return ensurePrograms(group)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const problem = main(process.argv[2] ?? 'tests')
  if (problem !== '') {
    console.error(problem)
    process.exitCode = 1
  }
}
