/** libmemcached's command-line tools through a memcache pool. */

import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { stopAll } from '../../support/processes/child.ts'
import { poolYml, type RunningProxy, serverEntry, startProxy } from '../../support/processes/proxy.ts'
import { startMemcached, type TestServer } from '../../support/processes/servers.ts'
import { Wire } from '../../support/wire/wire.ts'

const run = promisify(execFile)
const TOOL_TIMEOUT_MS = 20_000

let servers: TestServer[]
let proxy: RunningProxy

beforeAll(async () => {
  servers = await Promise.all([startMemcached(), startMemcached(), startMemcached()])
  const entries = servers.map((server, index) => serverEntry(server, `server-${index}`))
  proxy = await startProxy({ workers: 2, yml: poolYml({ keys: { timeout: 5000, hash: 'md5' }, servers: entries }) })
})

afterAll(stopAll)

/** Runs a tool in the proxy's folder. @returns what it wrote to stdout. */
async function tool(name: string, ...args: readonly string[]): Promise<string> {
  const { stdout } = await run(name, [`--servers=127.0.0.1:${proxy.ports[0]!}`, ...args], {
    timeout: TOOL_TIMEOUT_MS,
    cwd: proxy.child.folder,
  })
  return stdout
}

function writeFiles(prefix: string, count: number): string[] {
  const names = Array.from({ length: count }, (_, index) => `${prefix}-${index}`)
  for (const name of names) writeFileSync(join(proxy.child.folder, name), `content of ${name}\n`)
  return names
}

test('memccp stores files over all servers and memccat reads them back', async () => {
  const names = writeFiles('copied', 30)
  await tool('memccp', ...names)
  for (const name of names.slice(0, 5)) expect(await tool('memccat', name)).toContain(`content of ${name}`)
  const held = await Promise.all(servers.map(server => heldBy(server, names)))
  expect(
    held.every(count => count > 0),
    `keys on each server: ${held}`,
  ).toBe(true)
  expect(held.reduce((sum, count) => sum + count, 0)).toBe(names.length)
})

async function heldBy(server: TestServer, names: readonly string[]): Promise<number> {
  const wire = await Wire.open({ port: server.port })
  wire.send(Buffer.from(names.map(name => `get ${name}\r\n`).join('')))
  const replies = await wire.memcacheReplies(names.length)
  wire.destroy()
  return replies.filter(reply => String(reply).startsWith('VALUE')).length
}

test('memcexist, memctouch and memcrm see what is there and what is not', async () => {
  const [name] = writeFiles('removed', 1)
  await tool('memccp', name!)
  await tool('memcexist', name!)
  await tool('memctouch', '--expire=100', name!)
  await tool('memcrm', name!)
  await expect(tool('memcexist', name!)).rejects.toThrow()
  await expect(tool('memcrm', name!)).rejects.toThrow()
})

test('memcping and memcstat get an answer, memcflush empties all servers', async () => {
  const names = writeFiles('flushed', 20)
  await tool('memccp', ...names)
  await tool('memcping')
  expect(await tool('memcstat')).toContain('version')
  await tool('memcflush')
  expect(await Promise.all(servers.map(server => heldBy(server, names)))).toEqual([0, 0, 0])
})

test('memcslap sets and gets from several connections', async () => {
  for (const mode of ['set', 'get']) {
    expect(await tool('memcslap', `--test=${mode}`, '--execute-number=200', '--concurrency=4')).toContain('Time')
  }
})
