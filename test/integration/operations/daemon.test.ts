/** `-d`, the pid file and the ports as init scripts, package managers and probes take them. */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { listen } from '../../support/fakes/open-server.ts'
import { type Child, scratchFolder, stopAll } from '../../support/processes/child.ts'
import { freePort } from '../../support/processes/ports.ts'
import { pistachio, poolYml, serverEntry } from '../../support/processes/proxy.ts'
import { startRedis, type TestServer } from '../../support/processes/servers.ts'
import { waitUntil } from '../../support/wait.ts'
import { encode } from '../../support/wire/resp.ts'
import { Wire } from '../../support/wire/wire.ts'

let redis: TestServer
/** Named by every command line here, so that the daemons can be found: nobody else knows them. */
let folder: string
let port: number
let statsPort: number
const children: Child[] = []
const servers: Server[] = []

beforeAll(async () => {
  redis = await startRedis()
})
afterAll(stopAll)

beforeEach(async () => {
  folder = scratchFolder()
  port = await freePort()
  statsPort = await freePort()
  write('proxy.yml', pool(`127.0.0.1:${port}`))
})

afterEach(async () => {
  for (const pid of daemons()) process.kill(pid, 'SIGKILL')
  await waitUntil(() => daemons().length === 0, 'the daemons to end')
  for (const server of servers.splice(0)) server.close()
  for (const child of children.splice(0)) await child.stop()
})

function write(name: string, yml: string): void {
  writeFileSync(join(folder, name), yml)
}

function pool(address: string, keys: Record<string, string | boolean> = {}): string {
  return poolYml({ listen: address, keys: { redis: true, ...keys }, servers: [serverEntry(redis, 'a')] })
}

/** Runs the program to the end of the process that was started. @returns its exit code and what it printed. */
async function run(...flags: string[]): Promise<readonly [code: number | null, output: string]> {
  const files = ['-c', join(folder, 'proxy.yml'), '-a', '127.0.0.1', '-s', `${statsPort}`]
  const child = pistachio([...files, '--workers', '1', ...flags], { folder: scratchFolder() })
  children.push(child)
  const { code } = await child.exited
  return [code, child.output()]
}

const read = (name: string): string => readFileSync(join(folder, name), 'utf8')

/** Processes with the folder in their command line. */
function daemons(): number[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .filter(name => commandLine(name).includes(folder))
    .map(Number)
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1')
  } catch {
    return ''
  }
}

async function serves(address: { port: number } | { path: string }): Promise<void> {
  const wire = await Wire.open(address)
  wire.send(encode('PING'))
  expect(String(await wire.redisReplies(1))).toBe('+PONG\r\n')
  wire.destroy()
}

const AGAIN = 'Address already in use\n'

describe('-d', () => {
  test('returns when the pools listen, the statistics answer and the pid file is there', async () => {
    expect(await run('-d', '-p', join(folder, 'pid'), '-o', join(folder, 'log'))).toEqual([0, ''])
    await serves({ port })
    await (await Wire.open({ port: statsPort })).untilClosed()
    expect(daemons()).toEqual([Number(read('pid'))])
  })

  test('fails with the reason that is in the log, and without a log as well', async () => {
    write('proxy.yml', pool(`127.0.0.1:${port}`).replace('redis: true', 'redis: maybe'))
    const [code, output] = await run('-d')
    const lines = output.split('\n')
    expect(code).toBe(1)
    expect(lines[0]).toMatch(/proxy\.yml:3:10: directive "redis" is not "true" or "false": "maybe"/)
    expect(lines.slice(1)).toEqual([
      `nutcracker: configuration file '${join(folder, 'proxy.yml')}' syntax is invalid`,
      '',
    ])
  })

  test('fails when a port is taken, a file cannot be written, a file is not there', async () => {
    const taken = createServer()
    servers.push(taken)
    const takenPort = await listen(taken)
    write('taken.yml', pool(`127.0.0.1:${takenPort}`))
    const failures = [
      [['-s', `${takenPort}`], `bind on m \\d+ to stats server addr '127.0.0.1:${takenPort}' failed: ${AGAIN}`],
      [['-c', join(folder, 'taken.yml')], `bind on p \\d+ to addr '127.0.0.1:${takenPort}' failed: ${AGAIN}`],
      [['-p', '/no/such/folder/pid'], "opening pid file '/no/such/folder/pid' failed: No such file or directory\n"],
      [['-c', '/no/such/file'], '/no/such/file: cannot be opened: No such file or directory; name the file with -c\n'],
    ] as const
    for (const [flags, reason] of failures) {
      const [code, output] = await run('-d', ...flags)
      expect([code, output]).toEqual([1, expect.stringMatching(new RegExp(`^${reason}$`))])
    }
    expect(daemons()).toEqual([])
  })

  test('a second start that fails leaves the pid file of the first', async () => {
    const pidFile = join(folder, 'pid')
    expect((await run('-d', '-p', pidFile))[0]).toBe(0)
    const first = read('pid')
    for (const flags of [['-d'], [], ['-s', `${await freePort()}`]]) {
      expect((await run(...flags, '-p', pidFile))[0]).toBe(1)
      expect(read('pid')).toBe(first)
    }
    await serves({ port })
  })

  test('three starts of a pool on a unix socket leave the first, which has the socket', async () => {
    const path = join(folder, 'p.sock')
    write('proxy.yml', pool(path))
    const codes = [(await run('-d'))[0], (await run('-d'))[0], (await run('-d'))[0]]
    expect(codes).toEqual([0, 1, 1])
    expect(daemons().length).toBe(1)
    expect(readdirSync(folder).sort()).toEqual(['p.sock', 'proxy.yml'])
    await serves({ path })
  })

  test('started three times at once, one is left', async () => {
    const path = join(folder, 'p.sock')
    write('proxy.yml', pool(path))
    const codes = (await Promise.all([run('-d'), run('-d'), run('-d')])).map(([code]) => code)
    expect(codes.sort()).toEqual([0, 1, 1])
    expect(daemons().length).toBe(1)
    await serves({ path })
  })
})

describe('the stats port', () => {
  test('two configurations with the same one: the second does not start', async () => {
    expect((await run('-d'))[0]).toBe(0)
    write('other.yml', pool(`127.0.0.1:${await freePort()}`))
    const [code, output] = await run('-c', join(folder, 'other.yml'))
    expect(code).toBe(1)
    expect(output).toContain(`to stats server addr '127.0.0.1:${statsPort}' failed: ${AGAIN}`)
    expect(daemons().length).toBe(1)
  })

  test('is shared by processes that share a pool’s port', async () => {
    write('proxy.yml', pool(`127.0.0.1:${port}`, { reuseport: true }))
    expect([(await run('-d'))[0], (await run('-d'))[0]]).toEqual([0, 0])
    expect(daemons().length).toBe(2)
  })

  test('refuses connections until every pool listens', async () => {
    const others = [await freePort(), await freePort(), await freePort()]
    const path = join(folder, 'p.sock')
    const addresses = [`127.0.0.1:${port}`, ...others.map(other => `127.0.0.1:${other}`), path]
    write('proxy.yml', addresses.map((address, index) => pool(address).replace('pool:', `pool${index}:`)).join(''))
    const started = run('-d')
    let stats: Wire | null = null
    while (stats === null) stats = await Wire.open({ port: statsPort }).catch(() => null)
    for (const each of [port, ...others]) await serves({ port: each })
    await serves({ path })
    await stats.untilClosed()
    expect((await started)[0]).toBe(0)
  })
})
