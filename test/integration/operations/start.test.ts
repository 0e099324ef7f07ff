/** How the process starts, and how it fails to. */

import { execFileSync } from 'node:child_process'
import { readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { listen } from '../../support/fakes/open-server.ts'
import { Child, type Exit, scratchFolder, stopAll } from '../../support/processes/child.ts'
import { freePort } from '../../support/processes/ports.ts'
import { pistachio, poolYml, type RunningProxy, serverEntry, startProxy } from '../../support/processes/proxy.ts'
import { startRedis, type TestServer } from '../../support/processes/servers.ts'
import { waitUntil } from '../../support/wait.ts'
import { encode } from '../../support/wire/resp.ts'
import { Wire } from '../../support/wire/wire.ts'

let redis: TestServer

beforeAll(async () => {
  redis = await startRedis()
})
afterAll(stopAll)

async function ping(address: { port: number } | { path: string }): Promise<string> {
  const wire = await Wire.open(address)
  wire.send(encode('SET', 'key', 'value'))
  wire.send(encode('GET', 'key'))
  const replies = await wire.redisReplies(2)
  wire.destroy()
  return replies.join('')
}

const LAUNCHER = fileURLToPath(new URL('../../../bin/pistachio', import.meta.url))
const SERVED = '+OK\r\n$5\r\nvalue\r\n'

describe('a good start', () => {
  test('serves TCP, unix and shared listeners with two workers', async () => {
    const servers = [serverEntry(redis, 'a')]
    const yml = [
      poolYml({ name: 'tcp', keys: { redis: true }, servers }),
      poolYml({ name: 'path', listen: '@FOLDER@/p.sock 0620', keys: { redis: true }, servers }),
      poolYml({ name: 'shared', listen: '127.0.0.1:@PORT1@', keys: { redis: true, reuseport: true }, servers }),
    ].join('')
    const proxy = await startProxy({ kind: 'pistachio', yml, workers: 2 })
    const path = join(proxy.child.folder, 'p.sock')
    for (const address of [{ port: proxy.ports[0] }, { path }, { port: proxy.ports[1] }]) {
      expect(await ping(address)).toBe(SERVED)
    }
    expect(statSync(path).mode & 0o777).toBe(0o620)
    await proxy.stop()
  })

  test('serves over public sockets alone, where raw handles are missing', async () => {
    const yml = poolYml({ keys: { redis: true }, servers: [serverEntry(redis, 'a')] })
    const proxy = await startProxy({ kind: 'pistachio', yml, workers: 2, env: { PISTACHIO_SOCKETS: 'stream' } })
    expect(await ping({ port: proxy.ports[0] })).toBe(SERVED)
    await proxy.stop()
  })

  test('writes its number to the pid file and its banner to the log, at any level', async () => {
    const yml = poolYml({ keys: { redis: true }, servers: [serverEntry(redis, 'a')] })
    const proxy = await startProxy({ kind: 'pistachio', yml, flags: ['-v', '0'] })
    expect(proxy.child.file('proxy.pid')).toBe(`${proxy.pid}`)
    const lines = proxy.child.file('proxy.log').split('\n')
    expect(lines[0]).toMatch(
      new RegExp(
        `^\\[[-0-9]{10} [0-9:]{8}\\.\\d{3}\\] main: nutcracker-0\\.5\\.0 built for Linux \\S+ \\S+ started on pid ${proxy.pid}$`,
      ),
    )
    expect(lines[1]).toContain(
      "run, rabbit run / dig that hole, forget the sun / and when at last the work is done / don't sit down / it's time to dig another one",
    )
    expect(lines.slice(2)).toEqual([''])
    await proxy.stop()
  })

  test.each(['pistachio', 'nutcracker'])('is found as %s by who started it under that name', async name => {
    const [folder, port, statsPort] = [scratchFolder(), await freePort(), await freePort()]
    const yml = poolYml({ listen: `127.0.0.1:${port}`, keys: { redis: true }, servers: [serverEntry(redis, 'a')] })
    writeFileSync(join(folder, 'proxy.yml'), yml)
    symlinkSync(LAUNCHER, join(folder, name))
    const proxy = new Child(join(folder, name), ['-c', 'proxy.yml', '-s', `${statsPort}`], { folder })
    await proxy.listening({ port })
    expect(readFileSync(`/proc/${proxy.pid}/comm`, 'utf8')).toBe(`${name}\n`)
    const shown = readFileSync(`/proc/${proxy.pid}/cmdline`, 'utf8').replace(/\0+$/, '')
    expect(shown).toBe(`${name} -c proxy.yml -s ${statsPort}`)
    expect(execFileSync('pgrep', ['-x', name], { encoding: 'utf8' }).split('\n')).toContain(`${proxy.pid}`)
    await proxy.stop()
  })

  test('runs as a daemon', async () => {
    const [folder, port, statsPort] = [scratchFolder(), await freePort(), await freePort()]
    const yml = poolYml({ listen: `127.0.0.1:${port}`, keys: { redis: true }, servers: [serverEntry(redis, 'a')] })
    writeFileSync(join(folder, 'proxy.yml'), yml)
    const files = ['-c', 'proxy.yml', '-o', 'proxy.log', '-p', 'proxy.pid']
    const parent = pistachio(['-d', ...files, '-a', '127.0.0.1', '-s', `${statsPort}`], { folder })
    let pid = 0
    try {
      expect(await parent.exited).toEqual({ code: 0, signal: null })
      await waitUntil(() => parent.file('proxy.pid') !== '', 'the pid file')
      pid = Number(parent.file('proxy.pid'))
      expect(pid).not.toBe(parent.pid)
      await waitUntil(
        () => parent.file('proxy.log').includes(`listening on '127.0.0.1:${port}'`),
        'the daemon to listen',
      )
      expect(await ping({ port })).toBe(SERVED)
      expect(readFileSync(`/proc/${pid}/comm`, 'utf8')).toBe('pistachio\n')
      process.kill(pid, 'SIGTERM')
      await waitUntil(() => parent.file('proxy.log').includes('done, rabbit done'), 'the daemon to end')
      expect(parent.output()).toBe('')
      pid = 0
    } finally {
      // Nobody else knows the daemon.
      if (pid !== 0) process.kill(pid, 'SIGKILL')
      await parent.stop()
    }
  })
})

describe('asked for no start', () => {
  async function printed(yml: string, ...args: string[]): Promise<[string, number | null]> {
    const folder = scratchFolder()
    writeFileSync(join(folder, 'proxy.yml'), yml)
    const child = pistachio(args, { folder })
    const { code } = await child.exited
    const output = child.output()
    await child.stop()
    return [output, code]
  }

  const GOOD = poolYml({ listen: '127.0.0.1:1', servers: ['127.0.0.1:1:1'] })

  test('-t says whether the file is good, and what is wrong with it', async () => {
    expect(await printed(GOOD, '-t', '-c', 'proxy.yml')).toEqual([
      "nutcracker: configuration file 'proxy.yml' syntax is ok\n",
      0,
    ])
    const [output, code] = await printed(GOOD.replace('servers', 'severs'), '-t', '-c', 'proxy.yml')
    expect(code).toBe(1)
    const [reason, ...lines] = output.split('\n')
    expect(reason).toMatch(/^proxy\.yml:\d+:\d+: .*severs/)
    const invalid = "nutcracker: configuration file 'proxy.yml' syntax is invalid"
    expect(lines).toEqual([invalid, invalid, ''])
  })

  test('-V and a mistake go to stderr with their exit codes', async () => {
    expect(await printed('', '-V')).toEqual([expect.stringMatching(/^This is nutcracker-0\.5\.0\n/), 0])
    expect(await printed('', '-s', '0')).toEqual([
      expect.stringMatching(/^nutcracker: option -s value 0 is not a valid port\nUsage: /),
      1,
    ])
  })
})

describe('a start that fails', () => {
  const servers: Server[] = []
  let child: Child | null = null

  afterEach(async () => {
    for (const server of servers.splice(0)) server.close()
    await child?.stop()
    child = null
  })

  async function run(yml: string, flags: readonly string[] = []): Promise<Exit> {
    const folder = scratchFolder()
    writeFileSync(join(folder, 'proxy.yml'), yml, 'latin1')
    const common = [
      '-c',
      'proxy.yml',
      '-a',
      '127.0.0.1',
      '-s',
      `${await freePort()}`,
      '-o',
      'proxy.log',
      '-p',
      'proxy.pid',
    ]
    child = pistachio([...common, '--workers', '1', ...flags], { folder })
    return child.exited
  }

  /** The log without times; the last lines. */
  const said = (count: number): string[] =>
    child!
      .file('proxy.log')
      .trimEnd()
      .split('\n')
      .slice(-count)
      .map(line => line.replace(/^\[.*?\] \S+: /, ''))

  async function goodYml(): Promise<string> {
    return poolYml({ listen: `127.0.0.1:${await freePort()}`, keys: { redis: true }, servers: ['127.0.0.1:1:1'] })
  }

  async function busyPort(): Promise<number> {
    const server = createServer()
    servers.push(server)
    return listen(server)
  }

  const FAILED = { code: 1, signal: null }

  test('a taken pool port', async () => {
    const text = `127.0.0.1:${await busyPort()}`
    expect(await run(poolYml({ listen: text, servers: ['127.0.0.1:1:1'] }))).toEqual(FAILED)
    expect(said(2)).toEqual([
      expect.stringMatching(new RegExp(`^bind on p \\d+ to addr '${text}' failed: Address already in use$`)),
      'done, rabbit done',
    ])
    expect(child!.file('proxy.pid')).toBe('')
  })

  test('a folder that is not there for a unix listener', async () => {
    expect(await run(poolYml({ listen: '/no/such/folder/p.sock', servers: ['127.0.0.1:1:1'] }))).toEqual(FAILED)
    expect(said(2)).toEqual([
      "bind on p -1 to addr '/no/such/folder/p.sock' failed: No such file or directory",
      'done, rabbit done',
    ])
  })

  test('a taken stats port', async () => {
    const port = await busyPort()
    expect(await run(await goodYml(), ['-s', `${port}`])).toEqual(FAILED)
    expect(said(2)).toEqual([
      expect.stringMatching(
        new RegExp(`^bind on m \\d+ to stats server addr '127.0.0.1:${port}' failed: Address already in use$`),
      ),
      'done, rabbit done',
    ])
  })

  test('a bad configuration: the reason in the log, the summary on stderr', async () => {
    const yml = (await goodYml()).replace('redis: true', 'redis: perhaps')
    expect(await run(yml)).toEqual(FAILED)
    expect(said(3)).toEqual([
      'conf: directive "redis" is not "true" or "false"',
      expect.stringMatching(/^conf: proxy\.yml:3:\d+: .*perhaps/),
      'done, rabbit done',
    ])
    expect(child!.output()).toBe("nutcracker: configuration file 'proxy.yml' syntax is invalid\n")
    expect(child!.file('proxy.pid')).toBe('')
  })

  test('a configuration that cannot be opened', async () => {
    expect(await run('', ['-c', 'none.yml'])).toEqual(FAILED)
    expect(said(3)[0]).toBe("conf: failed to open configuration 'none.yml': No such file or directory")
    expect(child!.output()).toBe('')
  })

  test('a pid file that cannot be written', async () => {
    expect(await run(await goodYml(), ['-p', '/no/such/folder/pid'])).toEqual(FAILED)
    expect(said(2)).toEqual([
      "opening pid file '/no/such/folder/pid' failed: No such file or directory",
      'done, rabbit done',
    ])
  })

  test('a log that cannot be opened', async () => {
    expect(await run(await goodYml(), ['-o', '/no/such/folder/log'])).toEqual(FAILED)
    expect(child!.output()).toBe("opening log file '/no/such/folder/log' failed: No such file or directory\n")
  })

  test('a file at the path of a unix listener is no obstacle', async () => {
    const folder = scratchFolder()
    const path = join(folder, 'p.sock')
    writeFileSync(path, 'in the way')
    const proxy: RunningProxy = await startProxy({
      kind: 'pistachio',
      yml: poolYml({ listen: path, keys: { redis: true }, servers: [serverEntry(redis, 'a')] }),
    })
    expect(await ping({ path })).toBe(SERVED)
    await proxy.stop()
  })
})
