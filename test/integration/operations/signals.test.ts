/** What each signal does to a running proxy with two workers. */

import { existsSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { Child, scratchFolder, stopAll } from '../../support/processes/child.ts'
import { freePort } from '../../support/processes/ports.ts'
import { poolYml, type RunningProxy, serverEntry, startProxy } from '../../support/processes/proxy.ts'
import { ask, startRedis, type TestServer } from '../../support/processes/servers.ts'
import { waitUntil } from '../../support/wait.ts'
import { encode } from '../../support/wire/resp.ts'
import { Wire } from '../../support/wire/wire.ts'

const LAUNCHER = fileURLToPath(new URL('../../../bin/pistachio', import.meta.url))

let redis: TestServer
let proxy: RunningProxy

beforeAll(async () => {
  redis = await startRedis()
})
afterAll(stopAll)

beforeEach(async () => {
  const keys = { redis: true }
  const servers = [serverEntry(redis, 'a')]
  const yml = poolYml({ keys, servers }) + poolYml({ name: 'path', listen: '@FOLDER@/p.sock', keys, servers })
  proxy = await startProxy({ kind: 'pistachio', yml, workers: 2 })
  return async () => {
    await proxy.stop('SIGKILL')
  }
})

async function logged(text: string): Promise<void> {
  await waitUntil(() => proxy.log().includes(text), `'${text}' in the log`)
}

test('SIGHUP: primary and workers write to the new file', async () => {
  const path = (name: string): string => join(proxy.child.folder, name)
  renameSync(path('proxy.log'), path('proxy.log.1'))
  proxy.child.signal('SIGHUP')
  await waitUntil(() => existsSync(path('proxy.log')), 'the new file')
  expect(proxy.child.file('proxy.log.1')).toContain('] signal 1 (SIGHUP) received, reopening log file')
  proxy.child.signal('SIGUSR2')
  await waitUntil(() => proxy.child.file('proxy.log').includes('signal 12 (SIGUSR2) received'), 'a line of the primary')
  // A worker says so when a server of its refuses.
  await redis.stop()
  for (let i = 0; i < 4; i++) {
    const wire = await Wire.open({ port: proxy.ports[0] })
    wire.send(encode('GET', 'key'))
    await wire.redisReplies(1)
    wire.destroy()
  }
  await waitUntil(() => proxy.child.file('proxy.log').includes('] worker '), 'a line of a worker')
  expect(proxy.child.file('proxy.log.1')).not.toContain('] worker ')
  redis = await startRedis()
})

test('SIGTTIN and SIGTTOU: the level goes up and down within its limits', async () => {
  for (const [signal, times] of [
    ['SIGTTIN', 7],
    ['SIGTTOU', 1],
  ] as const) {
    for (let i = 0; i < times; i++) {
      const before = proxy.log().split('received').length
      proxy.child.signal(signal)
      await waitUntil(() => proxy.log().split('received').length > before, 'the signal to be taken')
    }
  }
  const lines = proxy
    .log()
    .split('\n')
    .filter(line => line.startsWith('[....'))
  expect(lines.filter(line => line.includes('up log level to')).map(line => line.slice(-2).trim())).toEqual([
    '6',
    '7',
    '8',
    '9',
    '10',
    '11',
  ])
  expect(lines.at(-1)).toBe('[.......................] down log level to 10')
})

describe.each(['SIGTERM', 'SIGINT'] as const)('%s', signal => {
  test('ends with 0, without pid file and unix sockets', async () => {
    proxy.child.signal(signal)
    expect(await proxy.child.exited).toEqual({ code: 0, signal: null })
    await logged('received, exiting')
    expect(proxy.log()).toMatch(/done, rabbit done\n$/)
    for (const name of ['proxy.pid', 'p.sock']) expect(existsSync(join(proxy.child.folder, name))).toBe(false)
  })

  test('the second one ends at once, and cleans up as well', async () => {
    await ask(redis, ['CLIENT', 'PAUSE', '60000', 'WRITE'])
    const wire = await Wire.open({ port: proxy.ports[0] })
    wire.send(encode('SET', 'key', 'value'))
    await waitUntil(async () => stuckRequests(await statsText()) === 1, 'the request to be under way')
    proxy.child.signal(signal)
    await logged('received, exiting')
    proxy.child.signal('SIGTERM')
    expect(await proxy.child.exited).toEqual({ code: 1, signal: null })
    for (const name of ['proxy.pid', 'p.sock']) expect(existsSync(join(proxy.child.folder, name))).toBe(false)
    await ask(redis, ['CLIENT', 'UNPAUSE'])
    wire.destroy()
  })
})

async function statsText(): Promise<string> {
  return (await (await Wire.open({ port: proxy.statsPort })).untilClosed()).toString()
}

function stuckRequests(document: string): number {
  const { pool } = JSON.parse(document)
  return pool.a.in_queue + pool.a.out_queue
}

test.each(['SIGQUIT', 'SIGABRT', 'SIGALRM', 'SIGXCPU', 'SIGSYS'] as const)(
  '%s leaves a line and kills',
  async signal => {
    proxy.child.signal(signal)
    expect(await proxy.child.exited).toEqual({ code: null, signal })
    expect(proxy.log()).toMatch(new RegExp(`^\\[\\.{23}\\] signal \\d+ \\(${signal}\\) received, dying$`, 'm'))
  },
)

test('signals that were ignored at the start stay so, but for those that nutcracker handles', async () => {
  const [folder, port, statsPort] = [scratchFolder(), await freePort(), await freePort()]
  writeFileSync(join(folder, 'proxy.yml'), poolYml({ listen: `127.0.0.1:${port}`, servers: ['127.0.0.1:1:1'] }))
  const command = `trap '' TERM QUIT INT; exec ${LAUNCHER} -c proxy.yml -a 127.0.0.1 -s ${statsPort}`
  const child = new Child('sh', ['-c', command], { folder })
  await child.listening({ port })
  child.signal('SIGTERM')
  child.signal('SIGQUIT')
  child.signal('SIGUSR2')
  await waitUntil(() => child.output().includes('(SIGUSR2) received'), 'a later signal')
  expect(child.output()).not.toMatch(/SIGTERM|SIGQUIT/)
  child.signal('SIGINT')
  expect(await child.exited).toEqual({ code: 0, signal: null })
  await child.stop()
})

test('SIGUSR1 with a bad file: nothing changes, and the log says where and why', async () => {
  const path = join(proxy.child.folder, 'proxy.yml')
  writeFileSync(path, proxy.child.file('proxy.yml').replace('redis: true', 'redis: maybe'))
  proxy.child.signal('SIGUSR1')
  await logged('nothing has changed')
  expect(proxy.log()).toMatch(/conf: proxy\.yml:3:\d+: .*maybe/)
  const wire = await Wire.open({ port: proxy.ports[0] })
  wire.send(encode('SET', 'key', '1'))
  expect((await wire.redisReplies(1)).join('')).toBe('+OK\r\n')
  wire.destroy()
})
