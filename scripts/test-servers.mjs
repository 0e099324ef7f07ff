/**
 * Sees to it that the programs which tests, benchmarks and the demo run beside the proxy are on this machine. What is missing is installed
 * through apt when that is allowed (root); else one line says what to install. Nothing is printed when everything is there.
 *
 *     node scripts/test-servers.mjs            all that `npm test` and `npm run bench` need
 *     node scripts/test-servers.mjs demo       what `npm start` needs
 *     node scripts/test-servers.mjs package    what `npm run test:package` needs
 *     node scripts/test-servers.mjs clients    client libraries of other languages, for optional tests
 *     node scripts/test-servers.mjs versions   what `npm run test:versions` fetches newer servers with
 *
 * Plain JavaScript for Node 20, without packages: it also runs where nothing is installed yet. `demo.mjs` imports it.
 */

import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Debian package → how to see that it is there. */
const PACKAGES = {
  'redis-server': () => onPath('redis-server'),
  'redis-tools': () => onPath('redis-cli') && onPath('redis-benchmark'),
  memcached: () => onPath('memcached'),
  nutcracker: () => onPath('nutcracker'),
  haproxy: () => onPath('haproxy'),
  'libmemcached-tools': () => onPath('memccp'),
  lintian: () => onPath('lintian'),
  debootstrap: () => onPath('debootstrap'),
  'python3-redis': () => succeeds('/usr/bin/python3', ['-c', 'import redis']),
  'php-redis': () => succeeds('php', ['-r', 'exit(extension_loaded("redis") ? 0 : 1);']),
}

const GROUPS = {
  demo: ['redis-server'],
  tests: ['redis-server', 'redis-tools', 'memcached', 'nutcracker', 'haproxy', 'libmemcached-tools'],
  package: ['redis-server', 'debootstrap', 'lintian'],
  clients: ['python3-redis', 'php-redis'],
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
  return GROUPS[group].filter(name => !PACKAGES[name]())
}

/** @returns {string} '' or the last line of what apt said. */
function install(packages) {
  const policyIsOurs = !existsSync(SERVICE_POLICY)
  if (policyIsOurs) writeFileSync(SERVICE_POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  try {
    const command = ['install', '-y', '--no-install-recommends', ...packages]
    // The lists on the machine may be missing or name versions that are gone.
    if (apt(command) === '') return ''
    return apt(['update']) || apt(command)
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
