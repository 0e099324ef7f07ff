/**
 * Servers of other Debian releases, for `npm run test:versions`: downloaded by debootstrap from the mirror that apt uses, and unpacked into a
 * folder without being installed. Their programs run outside of it, by the folder's own loader and libraries (`program` says how). They are made
 * once a machine: 15 to 40 s and 250 MB a release.
 *
 *     node scripts/server-roots.mjs            makes what is missing; prints where they are and which versions they have, and a line that
 *                                              begins with SKIPPED for each release that cannot be had; exits 1 when none can
 *     node scripts/server-roots.mjs --have     exits 1 when there are none
 *
 * Folder: `PISTACHIO_ROOTS`, else /var/cache/pistachio-roots for root and ~/.cache/pistachio-roots for others. Remove it to have newer ones.
 * Plain JavaScript for Node 20, without packages.
 */

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ensurePrograms } from './test-servers.mjs'

/** Debian release → the servers that are taken from it. */
export const RELEASES = {
  trixie: ['redis-server', 'valkey-server', 'memcached', 'haproxy'],
  sid: ['redis-server', 'valkey-server', 'memcached', 'haproxy'],
}

const DOWNLOAD_MS = 240_000
const DEFAULT_MIRROR = 'http://deb.debian.org/debian'
/** Written last: name and version of each server, a line each. */
const VERSIONS = 'versions.txt'

/** Where a release's root is, made or not. */
export function rootFolder(release) {
  const base = process.getuid?.() === 0 ? '/var/cache' : (process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'))
  return join(process.env.PISTACHIO_ROOTS ?? join(base, 'pistachio-roots'), release)
}

/** Whether the root of a release is there. */
export function hasRoot(release) {
  return existsSync(join(rootFolder(release), VERSIONS))
}

/** @returns {Record<string, string>} package → upstream version, without Debian's part. */
export function versionsOf(release) {
  const lines = readFileSync(join(rootFolder(release), VERSIONS), 'utf8')
    .trim()
    .split('\n')
  return Object.fromEntries(lines.map(line => line.split(' ')))
}

/**
 * How a program of a root is started.
 * @returns {{ command: string, args: string[] }} what comes before the program's own arguments.
 */
export function program(release, name) {
  const root = rootFolder(release)
  const path = ['usr/bin', 'usr/sbin'].map(folder => join(root, folder, name)).find(existsSync)
  if (path === undefined) throw new Error(`${name} is not in ${root}`)
  const [loader] = readdirSync(join(root, 'usr/lib64')).filter(file => file.startsWith('ld-linux'))
  return { command: join(root, 'usr/lib64', loader), args: ['--library-path', libraryPath(root), path] }
}

function libraryPath(root) {
  const folders = readdirSync(join(root, 'usr/lib')).filter(name => name.endsWith('-linux-gnu'))
  return folders.map(name => join(root, 'usr/lib', name)).join(':')
}

/**
 * Makes the root of a release unless it is there.
 * @returns {string} '' or one line about why it cannot be had.
 */
export function ensureRoot(release) {
  if (hasRoot(release)) return ''
  const problem = ensurePrograms('versions')
  if (problem !== '') return problem
  const root = rootFolder(release)
  const scratch = `${root}.new-${process.pid}`
  try {
    mkdirSync(scratch, { recursive: true })
    return download(release, scratch) || unpack(release, scratch) || moveTo(scratch, root)
  } catch (error) {
    return `${release}: ${error.message}`
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

function download(release, scratch) {
  const options = ['--variant=minbase', '--download-only', `--include=${RELEASES[release].join(',')}`]
  const args = [...options, release, join(scratch, 'download'), mirror()]
  const { status, error, stdout, stderr } = spawnSync('debootstrap', args, {
    encoding: 'utf8',
    timeout: DOWNLOAD_MS,
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` },
  })
  if (status === 0) return ''
  const last = `${stdout ?? ''}\n${stderr ?? ''}`.trim().split('\n').at(-1)
  return `debootstrap of ${release} from ${mirror()} failed: ${error?.message ?? last}`
}

/** Maintainer scripts do not run: nothing is installed, and no service starts. */
function unpack(release, scratch) {
  const archives = join(scratch, 'download/var/cache/apt/archives')
  const root = join(scratch, 'root')
  mkdirSync(root)
  const versions = []
  for (const file of readdirSync(archives).filter(name => name.endsWith('.deb'))) {
    const { status, stderr } = spawnSync('dpkg-deb', ['-x', join(archives, file), root], { encoding: 'utf8' })
    if (status !== 0) return `unpacking ${file} failed: ${stderr.trim().split('\n').at(-1)}`
    const [name, version] = file.split('_')
    if (RELEASES[release].includes(name)) versions.push(`${name} ${upstreamVersion(version)}`)
  }
  writeFileSync(join(root, VERSIONS), `${versions.sort().join('\n')}\n`)
  return ''
}

/** `5%3a8.0.2-3` → `8.0.2` */
function upstreamVersion(version) {
  return decodeURIComponent(version)
    .replace(/^\d+:/, '')
    .replace(/[-+~].*$/, '')
}

function moveTo(scratch, root) {
  try {
    renameSync(join(scratch, 'root'), root)
  } catch (error) {
    // Another process has made it meanwhile.
    if (!existsSync(join(root, VERSIONS))) throw error
  }
  return ''
}

/** The archive that apt takes Debian from: other releases lie beside the machine's own. */
function mirror() {
  const found = aptSources().find(uri => /\/debian\/?$/.test(uri))
  return found ?? DEFAULT_MIRROR
}

/** URIs of /etc/apt/sources.list and /etc/apt/sources.list.d, of both formats, in their order. */
function aptSources() {
  const folder = '/etc/apt/sources.list.d'
  const names = existsSync(folder) ? readdirSync(folder).sort() : []
  const files = ['/etc/apt/sources.list', ...names.map(name => join(folder, name))].filter(existsSync)
  return files.flatMap(file => {
    const text = readFileSync(file, 'utf8')
    const pattern = file.endsWith('.sources') ? /^URIs:\s*(\S+)/gim : /^deb\s+(?:\[[^\]]*\]\s+)?(\S+)/gm
    return [...text.matchAll(pattern)].map(match => match[1])
  })
}

function main() {
  let made = 0
  for (const release of Object.keys(RELEASES)) {
    const problem = ensureRoot(release)
    if (problem !== '') {
      console.error(`SKIPPED servers of ${release}: ${problem}`)
      continue
    }
    made++
    const versions = Object.entries(versionsOf(release)).map(([name, version]) => `${name} ${version}`)
    console.log(`${release} in ${rootFolder(release)}: ${versions.join(', ')}`)
  }
  if (made === 0) process.exitCode = 1
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv[2] !== '--have') main()
  else if (!Object.keys(RELEASES).some(hasRoot)) process.exitCode = 1
}
