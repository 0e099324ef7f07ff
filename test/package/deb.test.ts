/** The Debian package in a Debian of its own: installed, started, reloaded, upgraded while it serves, removed and purged. */

import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { scratchFolder } from '../support/processes/child.ts'
import { waitUntil } from '../support/wait.ts'
import { DebianRoot, noRootBecause, tinyPackage } from './debian-root.ts'
import type { SteadyCounts } from './steady-clients.ts'

const PROJECT = fileURLToPath(new URL('../..', import.meta.url))
const CONFIGURATION = '/etc/pistachio/nutcracker.yml'
const SETUP_TIMEOUT_MS = 600_000
/** lintian takes 20 s, and three times as long on a busy machine. */
const TEST_TIMEOUT_MS = 180_000
const skipped = noRootBecause()
if (skipped !== '') console.log(`SKIPPED: tests of the Debian package: ${skipped}`)

const folder = scratchFolder()

/** Builds revision 1 with a new executable, and revision 2 with the same one. @returns the paths of the packages. */
function buildPackages(): [string, string] {
  const binary = join(folder, 'pistachio')
  const node = (...args: string[]): string =>
    execFileSync(process.execPath, args, { cwd: PROJECT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
  node('scripts/package-binary.mjs', binary)
  const build = (revision: string): string => {
    const said = node(
      'scripts/package-deb.mjs',
      '--binary',
      binary,
      '--quick',
      '--folder',
      folder,
      '--revision',
      revision,
    )
    return said.split(': ')[0]!
  }
  return [build('1'), build('2')]
}

// Each test goes on where the one before it has ended, so none is tried twice.
describe.skipIf(skipped !== '')('the Debian package', { retry: 0, timeout: TEST_TIMEOUT_MS }, () => {
  const root = new DebianRoot()
  let first = ''
  let second = ''

  beforeAll(async () => {
    ;[first, second] = buildPackages()
    root.bootstrap()
    await root.boot()
    root.must('redis-server', '--port', '6379', '--daemonize', 'yes', '--save', '')
  }, SETUP_TIMEOUT_MS)

  afterAll(async () => {
    await root.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  const mainPid = (): number => Number(root.must('systemctl', 'show', '-P', 'MainPID', 'pistachio'))
  const log = (): string => root.read('/var/log/pistachio/pistachio.log')
  const ping = (port: number): string => root.run('redis-cli', '-p', `${port}`, 'ping').stdout.trim()

  test('has no errors and no warnings for lintian', () => {
    const { status, stdout } = spawnSync('lintian', ['--allow-root', '--fail-on', 'error,warning', first], {
      encoding: 'utf8',
    })
    expect(stdout).toBe('')
    expect(status).toBe(0)
  })

  test('leaves another package its nutcracker, and takes the name when that package goes', () => {
    const other = root.bring(tinyPackage(folder, 'other-nutcracker', 'usr/sbin/nutcracker'))
    root.must('dpkg', '-i', other)
    root.must('dpkg', '-i', root.bring(first))
    expect(root.must('nutcracker')).toBe('tiny')
    root.must('dpkg', '-r', 'other-nutcracker')
    expect(root.must('readlink', '-f', '/usr/sbin/nutcracker')).toBe('/usr/sbin/pistachio')
    expect(root.run('nutcracker', '-V').stderr).toMatch(/^This is nutcracker-0\.5\.0\n/)
    expect(root.must('readlink', '-f', '/usr/share/man/man8/nutcracker.8.gz')).toBe(
      '/usr/share/man/man8/pistachio.8.gz',
    )
  })

  test('serves when it is installed, as its own user, and at every boot', async () => {
    await waitUntil(() => ping(22121) === 'PONG', 'the pool to serve')
    expect(root.must('systemctl', 'is-active', 'pistachio')).toBe('active')
    expect(root.must('systemctl', 'is-enabled', 'pistachio')).toBe('enabled')
    const pid = mainPid()
    expect(root.must('cat', '/run/pistachio/pistachio.pid')).toBe(`${pid}`)
    expect(root.must('ps', '-o', 'user:20=,comm=', '-p', `${pid}`).split(/\s+/)).toEqual(['pistachio', 'pistachio'])
    expect(root.must('readlink', `/proc/${pid}/exe`)).toBe('/usr/sbin/pistachio')
    expect(root.must('pgrep', '-f', '^/usr/sbin/pistachio -d')).toBe(`${pid}`)
    expect(root.must('stat', '-c', '%U:%G %a', '/etc/pistachio')).toBe('root:pistachio 750')
  })

  test('reloads a good configuration and refuses a bad one', async () => {
    const good = root.read(CONFIGURATION)
    root.write(CONFIGURATION, `${good}\n${good.replace('cache:', 'more:').replace('22121', '22131')}`)
    root.must('systemctl', 'reload', 'pistachio')
    await waitUntil(() => ping(22131) === 'PONG', 'the new pool to serve')
    root.write(CONFIGURATION, good.replace('servers:', 'severs:'))
    expect(root.run('systemctl', 'reload', 'pistachio').status).not.toBe(0)
    expect([ping(22121), ping(22131)]).toEqual(['PONG', 'PONG'])
    root.write(CONFIGURATION, good)
    root.must('systemctl', 'reload', 'pistachio')
    await waitUntil(() => ping(22131) !== 'PONG', 'the pool to go')
  })

  test('rotates its log', async () => {
    const before = log()
    root.must('logrotate', '--force', '/etc/logrotate.d/pistachio')
    expect(root.read('/var/log/pistachio/pistachio.log.1')).toContain(before)
    root.must('systemctl', 'reload', 'pistachio')
    await waitUntil(() => log().includes('reload: '), 'a line in the new log')
    expect(root.must('stat', '-c', '%U:%G %a', '/var/log/pistachio/pistachio.log')).toBe('pistachio:adm 640')
  })

  test('is upgraded while it serves: no request fails, and a new process has the place of the old one', async () => {
    const old = mainPid()
    const [command, args] = root.networkCommand(
      process.execPath,
      join(PROJECT, 'test/package/steady-clients.ts'),
      '22121',
    )
    const clients = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    let said = ''
    clients.stdout.on('data', data => {
      said += data
    })
    try {
      await waitUntil(() => said.startsWith('served\n'), 'the clients to be served')
      root.must('dpkg', '-i', root.bring(second))
      expect(mainPid()).not.toBe(old)
      await waitUntil(() => root.run('test', '-d', `/proc/${old}`).status === 1, 'the old process to end', 45_000)
    } finally {
      clients.kill('SIGTERM')
      await once(clients, 'close')
    }
    const { fresh, kept, ended, errors } = JSON.parse(said.split('\n')[1]!) as SteadyCounts
    expect(errors).toEqual([])
    expect(fresh).toBeGreaterThan(20)
    expect(kept).toBeGreaterThan(10)
    expect(ended).toBe(1)
    expect(root.must('dpkg-query', '-W', 'pistachio')).toMatch(/-2$/)
    expect(root.must('readlink', `/proc/${mainPid()}/exe`)).toBe('/usr/sbin/pistachio')
    expect(root.must('systemctl', 'is-active', 'pistachio')).toBe('active')
  })

  test('is restarted by an upgrade where the pools cannot share their ports', async () => {
    root.write(CONFIGURATION, root.read(CONFIGURATION).replace('reuseport: true', 'reuseport: false'))
    root.must('systemctl', 'restart', 'pistachio')
    const old = mainPid()
    root.must('dpkg', '-i', root.bring(first))
    await waitUntil(() => ping(22121) === 'PONG', 'the pool to serve', 60_000)
    expect(mainPid()).not.toBe(old)
    expect(root.must('readlink', `/proc/${mainPid()}/exe`)).toBe('/usr/sbin/pistachio')
  })

  test('goes on with the old process when an upgrade finds a bad configuration', async () => {
    const good = root.read(CONFIGURATION)
    root.write(CONFIGURATION, good.replace('listen:', 'lisen:'))
    const old = mainPid()
    const { status, stderr } = root.run('dpkg', '-i', root.bring(second))
    expect(status).toBe(0)
    expect(stderr).toContain('pistachio: the running process goes on')
    expect([mainPid(), ping(22121)]).toEqual([old, 'PONG'])
    root.write(CONFIGURATION, good)
  })

  test('stops when it is removed, and leaves nothing when it is purged', () => {
    root.must('dpkg', '-r', 'pistachio')
    expect(root.run('pgrep', '-x', 'pistachio').stdout).toBe('')
    expect(root.run('readlink', '-e', '/usr/sbin/nutcracker').stdout).toBe('')
    expect(root.read(CONFIGURATION)).toContain('cache:')
    root.must('dpkg', '--purge', 'pistachio')
    // dpkg's and systemd's own logs and caches know the name for ever.
    const left = root.must('find', '/', '-xdev', '-name', '*pistachio*', '-not', '-path', '/root/*')
    expect(left).toBe('')
    expect(root.run('getent', 'passwd', 'pistachio').stdout).toBe('')
    expect(root.run('dpkg-query', '-W', 'pistachio').status).not.toBe(0)
  })
})
