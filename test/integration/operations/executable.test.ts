/** The one-file executable: it needs nothing beside it, and the system sees it as a program of its own. */

import { execFileSync, spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Child, scratchFolder, stopAll } from '../../support/processes/child.ts'
import { Executable } from '../../support/processes/executable.ts'
import { freePort } from '../../support/processes/ports.ts'
import { poolYml, serverEntry } from '../../support/processes/proxy.ts'
import { startRedis, type TestServer } from '../../support/processes/servers.ts'
import { waitUntil } from '../../support/wait.ts'
import { encode } from '../../support/wire/resp.ts'
import { Wire } from '../../support/wire/wire.ts'

/** From the start to the first reply, on a machine that has nothing else to do. */
const FIRST_REPLY_MS = 250
const MOST_STARTS = 10
const LAUNCHER = fileURLToPath(new URL('../../../bin/pistachio', import.meta.url))

let executable: Executable
let redis: TestServer
/** Each has a copy of the executable. */
const folders: string[] = []

beforeAll(async () => {
  executable = new Executable()
  redis = await startRedis()
})
afterAll(async () => {
  await stopAll()
  executable?.remove()
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

interface Place {
  readonly folder: string
  readonly port: number
  /** Options for everything but `-d`. */
  readonly args: readonly string[]
}

/** A folder with a configuration. @param keys of the pool. */
async function place(keys: Record<string, string | number | boolean> = {}, servers = [redis]): Promise<Place> {
  const [folder, port, statsPort] = [scratchFolder(), await freePort(), await freePort()]
  folders.push(folder)
  const entries = servers.map((server, i) => serverEntry(server, `s${i}`))
  const yml = poolYml({ listen: `127.0.0.1:${port}`, keys: { redis: true, ...keys }, servers: entries })
  writeFileSync(join(folder, 'proxy.yml'), yml)
  const args = ['-c', 'proxy.yml', '-a', '127.0.0.1', '-s', `${statsPort}`, '--workers', '1']
  return { folder, port, args }
}

async function ask(port: number, ...request: string[]): Promise<string> {
  const wire = await Wire.open({ port })
  wire.send(encode(...request))
  const [reply] = await wire.redisReplies(1)
  wire.destroy()
  return `${reply}`
}

function commandLine(pid: number): string[] {
  return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1)
}

describe('the process', () => {
  test.each(['pistachio', 'nutcracker'])('is the file %s, under the name that it was started by', async name => {
    const { folder, port, args } = await place()
    const file = executable.install(join(folder, 'usr/sbin', name))
    const proxy = new Child('env', ['-i', file, ...args], { folder })
    await proxy.listening({ port })
    expect(await ask(port, 'SET', 'key', 'value')).toBe('+OK\r\n')
    expect(readlinkSync(`/proc/${proxy.pid}/exe`)).toBe(file)
    expect(commandLine(proxy.pid)).toEqual([file, ...args])
    expect(readFileSync(`/proc/${proxy.pid}/comm`, 'utf8')).toBe(`${name}\n`)
    expect(await proxy.stop()).toEqual({ code: 0, signal: null })
  })

  test('is the file that a link named nutcracker leads to, under the name of the link', async () => {
    const { folder, port, args } = await place()
    const file = executable.install(join(folder, 'pistachio'))
    symlinkSync('pistachio', join(folder, 'nutcracker'))
    const proxy = new Child(join(folder, 'nutcracker'), args, { folder })
    await proxy.listening({ port })
    expect(readlinkSync(`/proc/${proxy.pid}/exe`)).toBe(file)
    expect(commandLine(proxy.pid)[0]).toBe(join(folder, 'nutcracker'))
    expect(readFileSync(`/proc/${proxy.pid}/comm`, 'utf8')).toBe('nutcracker\n')
    await proxy.stop()
  })

  test('has the bare name that a shell found on the PATH', async () => {
    const { folder, port, args } = await place()
    executable.install(join(folder, 'nutcracker'))
    const proxy = new Child('nutcracker', args, { folder, env: { PATH: `${folder}:/usr/bin:/bin` } })
    await proxy.listening({ port })
    expect(commandLine(proxy.pid)).toEqual(['nutcracker', ...args])
    await proxy.stop()
  })

  test('stays what it is as a daemon', async () => {
    const { folder, port, args } = await place()
    const file = executable.install(join(folder, 'nutcracker'))
    const parent = new Child(file, ['-d', ...args, '-p', 'proxy.pid', '-o', 'proxy.log'], { folder })
    expect(await parent.exited).toEqual({ code: 0, signal: null })
    await waitUntil(() => parent.file('proxy.log').includes(`listening on '127.0.0.1:${port}'`), 'the daemon to listen')
    const pid = Number(parent.file('proxy.pid'))
    try {
      expect(readlinkSync(`/proc/${pid}/exe`)).toBe(file)
      expect(commandLine(pid).slice(0, 2)).toEqual([file, '-d'])
      expect(readFileSync(`/proc/${pid}/comm`, 'utf8')).toBe('nutcracker\n')
    } finally {
      process.kill(pid, 'SIGTERM')
      await waitUntil(() => parent.file('proxy.log').includes('done, rabbit done'), 'the daemon to end')
      await parent.stop()
    }
  })

  test(`replies within ${FIRST_REPLY_MS} ms of its start, or as soon as a checkout on a busy machine`, async () => {
    const { folder, port, args } = await place()
    const file = executable.install(join(folder, 'nutcracker'))
    const firstReplyMs = async (command: string): Promise<number> => {
      const startMs = performance.now()
      const options = ['-c', join(folder, 'proxy.yml'), ...args.slice(2)]
      const proxy = new Child(command, options, { folder: scratchFolder() })
      await proxy.listening({ port })
      expect(await ask(port, 'PING')).toBe('+PONG\r\n')
      const ms = performance.now() - startMs
      await proxy.stop()
      return ms
    }
    let bestMs = Number.POSITIVE_INFINITY
    let checkoutMs = 0
    for (let i = 0; i < MOST_STARTS && bestMs > Math.max(FIRST_REPLY_MS, checkoutMs * 1.1); i++) {
      bestMs = Math.min(bestMs, await firstReplyMs(file))
      if (bestMs > FIRST_REPLY_MS)
        checkoutMs = Math.min(checkoutMs || Number.POSITIVE_INFINITY, await firstReplyMs(LAUNCHER))
    }
    expect(bestMs).toBeLessThanOrEqual(Math.max(FIRST_REPLY_MS, checkoutMs * 1.1))
  })
})

describe('the file', () => {
  test.runIf(process.getuid?.() === 0)('needs the C and C++ libraries and nothing else', async () => {
    const other = await startRedis()
    const { folder, port, args } = await place(
      { auto_eject_hosts: true, server_failure_limit: 1, server_retry_timeout: 100, timeout: 300 },
      [redis, other],
    )
    const root = join(folder, 'root')
    const file = executable.install(join(root, 'usr/sbin/nutcracker'))
    const libraries = execFileSync('ldd', [file], { encoding: 'utf8' }).match(/\/\S+/g)!
    for (const library of libraries) {
      mkdirSync(join(root, dirname(library)), { recursive: true })
      copyFileSync(library, join(root, library))
    }
    copyFileSync(join(folder, 'proxy.yml'), join(root, 'proxy.yml'))
    const started = ['/usr/sbin/nutcracker', ...args, '--log-format', 'json', '-o', '/proxy.log']
    const proxy = new Child('chroot', [root, ...started], { folder })
    await proxy.listening({ port })
    // The thread that fills routing tables and the JSON log are parts of the file too.
    await other.stop()
    await waitUntil(async () => {
      const replies = await Promise.all(Array.from({ length: 20 }, (_, i) => ask(port, 'SET', `key${i}`, '1')))
      return replies.every(reply => reply === '+OK\r\n')
    }, 'every key to be served by the server that is left')
    const lines = proxy.file('root/proxy.log').trim().split('\n')
    expect(lines.map(line => JSON.parse(line).msg).join('\n')).toContain(' ejected for 100 ms after 1 failure')
    expect(await proxy.stop()).toEqual({ code: 0, signal: null })
  })

  test('takes its own options and none of Node’s', () => {
    const folder = scratchFolder()
    folders.push(folder)
    const file = executable.install(join(folder, 'nutcracker'))
    const run = (...args: string[]) =>
      spawnSync(file, args, { encoding: 'utf8', env: { NODE_OPTIONS: '--no-such-option' }, cwd: folder })
    expect(run('--version').stderr).toMatch(/^This is nutcracker-0\.5\.0\n(.*\n)pistachio \d+\.\d+\.\d+\n/)
    expect(run('-h').status).toBe(0)
    const { status, stdout } = run('--eval', 'console.log(1)')
    expect([status, stdout]).toEqual([1, ''])
    expect(run('-t', '-c', 'missing.yml').status).toBe(1)
  })
})
