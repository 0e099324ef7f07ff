/** A thread of a running proxy dies: whom it concerns, and how soon it is over. */

import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Child, scratchFolder, stopAll } from '../../support/processes/child.ts'
import { BOOT_CRASH_FILE, CRASH_HOOK, crashFile } from '../../support/processes/crash-hook.ts'
import { freePort } from '../../support/processes/ports.ts'
import { pistachio, poolYml, type RunningProxy, serverEntry, startProxy } from '../../support/processes/proxy.ts'
import { startRedis, type TestServer } from '../../support/processes/servers.ts'
import { waitUntil } from '../../support/wait.ts'
import { encode } from '../../support/wire/resp.ts'
import { Wire } from '../../support/wire/wire.ts'

const CLIENTS = 6

let redis: TestServer
let proxy: RunningProxy

beforeAll(async () => {
  redis = await startRedis()
})
afterAll(stopAll)

beforeEach(async () => {
  const keys = { redis: true }
  const servers = [serverEntry(redis, 'a')]
  const yml =
    poolYml({ name: 'tcp', keys, servers }) +
    poolYml({ name: 'path', listen: '@FOLDER@/p.sock', keys, servers }) +
    poolYml({ name: 'shared', listen: '127.0.0.1:@PORT1@', keys: { redis: true, reuseport: true }, servers })
  proxy = await startProxy({ kind: 'pistachio', yml, workers: 2, env: CRASH_HOOK })
  // The three connections that found out whether it listens have come and gone.
  await waitUntil(async () => {
    const { total_connections, curr_connections } = await read()
    return total_connections === 6 && curr_connections === 3
  }, 'the first connections to be over')
  return async () => {
    await proxy.stop('SIGKILL')
  }
})

// biome-ignore lint/suspicious/noExplicitAny: a document of any shape
async function read(): Promise<any> {
  return JSON.parse((await (await Wire.open({ port: proxy.statsPort })).untilClosed()).toString())
}

function crash(thread: number | 'primary'): void {
  writeFileSync(join(proxy.child.folder, crashFile(thread)), '')
}

async function crashAndWait(worker: number): Promise<number> {
  const crashes = proxy.log().split('the supervisor starts another').length
  crash(worker)
  await waitUntil(() => proxy.log().split('the supervisor starts another').length > crashes, 'the crash')
  return performance.now()
}

async function set(wire: Wire, value: string): Promise<string> {
  wire.send(encode('SET', 'key', value))
  return (await wire.redisReplies(1)).join('')
}

async function someClients(): Promise<Wire[]> {
  const wires: Wire[] = []
  for (let i = 0; i < CLIENTS; i++) {
    const wire = await Wire.open({ port: proxy.ports[0] })
    await set(wire, `${i}`)
    wires.push(wire)
  }
  return wires
}

test('only its clients lose their connection', async () => {
  const wires = await someClients()
  await crashAndWait(0)
  await waitUntil(() => wires.filter(wire => wire.closed).length === CLIENTS / 2, 'half of the clients to be closed')
  for (const wire of wires.filter(each => !each.closed)) expect(await set(wire, 'after')).toBe('+OK\r\n')
  expect(wires.filter(wire => wire.closed)).toHaveLength(CLIENTS / 2)
  for (const wire of wires) wire.destroy()
})

test('the log has the stack, and the process lives on', async () => {
  await crashAndWait(1)
  const stack =
    /supervisor: worker 1 died; the supervisor starts another\n.*Error: injected crash\n.*\s+at .*crash-hook/
  await waitUntil(() => stack.test(proxy.log()), 'the stack')
  await waitUntil(() => proxy.log().includes('worker 1 is running again'), 'the next worker')
  expect(proxy.child.alive).toBe(true)
})

test('every worker may die; TCP, unix and shared listeners serve again within a second', async () => {
  for (const worker of [0, 1]) {
    const diedMs = await crashAndWait(worker)
    for (const address of [
      { port: proxy.ports[0] },
      { path: join(proxy.child.folder, 'p.sock') },
      { port: proxy.ports[1] },
    ]) {
      await waitUntil(
        () =>
          Wire.open(address).then(
            wire =>
              set(wire, 'x').then(
                reply => reply === '+OK\r\n',
                () => false,
              ),
            () => false,
          ),
        'the listener to serve',
      )
    }
    // A generous bound: the machine may be busy, the proxy is not.
    expect(performance.now() - diedMs).toBeLessThan(3_000)
  }
})

test('its counters stay, its gauges go', async () => {
  const wires = await someClients()
  const before = await read()
  expect(before.tcp.client_connections).toBe(CLIENTS)
  await crashAndWait(0)
  await waitUntil(async () => (await read()).tcp.client_connections === CLIENTS / 2, 'the gauge to fall')
  const after = await read()
  expect(after.tcp.a.requests).toBe(before.tcp.a.requests)
  expect(after.total_connections).toBeGreaterThanOrEqual(before.total_connections)
  expect(after.curr_connections).toBe(3 + CLIENTS / 2 + 1)
  for (const wire of wires) wire.destroy()
  await waitUntil(async () => (await read()).tcp.client_connections === 0, 'all clients to be gone')
})

test('clients are spread over both workers again afterwards', async () => {
  await crashAndWait(0)
  await waitUntil(() => proxy.log().includes('worker 0 is running again'), 'the next worker')
  const wires = await someClients()
  await crashAndWait(1)
  await waitUntil(() => wires.some(wire => wire.closed), 'clients of the other worker to be closed')
  expect(wires.filter(wire => wire.closed).length).toBeLessThan(CLIENTS)
  for (const wire of wires) wire.destroy()
})

test('an uncaught error of the primary ends the process with 1, its stack in the log and nothing left behind', async () => {
  crash('primary')
  expect(await proxy.child.exited).toEqual({ code: 1, signal: null })
  expect(proxy.log()).toMatch(/main: uncaught exception\n.*Error: injected crash\n.*\s+at .*crash-hook/)
  expect(proxy.log()).toMatch(/done, rabbit done\n$/)
  for (const name of ['proxy.pid', 'p.sock']) expect(existsSync(join(proxy.child.folder, name))).toBe(false)
})

describe('workers that die whenever they start', () => {
  const yml = (): string => {
    const servers = [serverEntry(redis, 'a')]
    const path = poolYml({ name: 'path', listen: '@FOLDER@/p.sock', keys: { redis: true }, servers })
    return poolYml({ name: 'tcp', keys: { redis: true }, servers }) + path
  }

  function leftBehind({ folder }: Child): string[] {
    return ['proxy.pid', 'p.sock'].filter(name => existsSync(join(folder, name)))
  }

  test('end the start after the third time, with the reason, and nothing stays behind', async () => {
    const [folder, port, statsPort] = [scratchFolder(), await freePort(), await freePort()]
    writeFileSync(join(folder, 'proxy.yml'), yml().replace('@PORT0@', `${port}`).replace('@FOLDER@', folder))
    writeFileSync(join(folder, BOOT_CRASH_FILE), '')
    const args = ['-c', 'proxy.yml', '-p', 'proxy.pid', '-a', '127.0.0.1', '-s', `${statsPort}`, '--workers', '1']
    const child = pistachio(args, { folder, env: { ...process.env, ...CRASH_HOOK } })
    expect(await child.exited).toEqual({ code: 1, signal: null })
    for (const time of [1, 2, 3]) expect(child.output()).toContain(`worker 0 died before it was ready (${time} of 3)`)
    expect(child.output()).toContain('worker 0 died 3 times before it was ready')
    expect(child.output()).toContain('Error: injected crash at boot')
    expect(leftBehind(child)).toEqual([])
    await child.stop()
  })

  test('end the process, with the reason, when the first ones have died', async () => {
    const own = await startProxy({ kind: 'pistachio', yml: yml(), workers: 1, env: CRASH_HOOK })
    writeFileSync(join(own.child.folder, BOOT_CRASH_FILE), '')
    writeFileSync(join(own.child.folder, crashFile(0)), '')
    expect(await own.child.exited).toEqual({ code: 1, signal: null })
    expect(own.log()).toContain('worker 0 died 3 times before it was ready')
    expect(own.log()).toContain('Error: injected crash at boot')
    expect(leftBehind(own.child)).toEqual([])
    await own.stop()
  })
})
