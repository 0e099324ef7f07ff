/** A new process takes over from the old one on the same ports, paths, statistics and pid file, under load. */

import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Address, type Child, scratchFolder, stopAll } from '../../support/processes/child.ts'
import { withFreePorts } from '../../support/processes/ports.ts'
import { pistachio, poolYml, serverEntry } from '../../support/processes/proxy.ts'
import { ask, startRedis, type TestServer } from '../../support/processes/servers.ts'
import { waitUntil } from '../../support/wait.ts'
import { ReconnectingClient } from '../../support/wire/reconnecting-client.ts'
import { encode } from '../../support/wire/resp.ts'
import { Wire } from '../../support/wire/wire.ts'

const WORKERS = 2
/** Connections for one request each that are open at any time. */
const ARRIVALS = 24

let redis: TestServer
/** What all processes share: the configuration, the unix socket, the pid file. */
let shared: string

beforeAll(async () => {
  redis = await startRedis()
  shared = scratchFolder()
})
afterAll(async () => {
  await stopAll()
  rmSync(shared, { recursive: true, force: true })
})

interface Deployment {
  /** The port that processes share, and the path that the newest has. */
  readonly tcp: Address
  readonly path: Address
  readonly statsPort: number
  readonly agentPort: number
  /** Starts one more process beside those that run; resolves when it serves. */
  start(): Promise<Child>
}

function deploy(): Promise<Deployment> {
  return withFreePorts(3, async ([port, statsPort, agentPort]) => {
    const yml = join(shared, 'proxy.yml')
    const keys = { redis: true, reuseport: true }
    const servers = [serverEntry(redis, 'a')]
    const path = join(shared, 'p.sock')
    const pools = poolYml({ name: 'tcp', listen: `127.0.0.1:${port}`, keys, servers })
    writeFileSync(yml, pools + poolYml({ name: 'path', listen: `${path} 0600`, keys: { redis: true }, servers }))
    const flags = ['-c', yml, '-a', '127.0.0.1', '-s', `${statsPort}`, '-p', join(shared, 'proxy.pid')]
    flags.push('--agent-check-port', `${agentPort}`, '--workers', `${WORKERS}`, '--drain-timeout', '10000')
    const start = async (): Promise<Child> => {
      const child = pistachio(flags, { folder: scratchFolder() })
      // Others answer on its ports; its log tells that it does.
      await waitUntil(() => !child.alive || child.output().includes('listening on agent-check port'), 'the new process')
      if (!child.alive) throw new Error(child.output())
      return child
    }
    return { tcp: { port: port! }, path: { path }, statsPort: statsPort!, agentPort: agentPort!, start }
  })
}

async function answerOf(port: number): Promise<string> {
  return (await (await Wire.open({ port })).untilClosed()).toString()
}

test('no connection is refused and no reply lost while processes take over from each other', async () => {
  const deployment = await deploy()
  const { tcp, path } = deployment
  let current = await deployment.start()
  const arrivals = clients(ARRIVALS, i => new ReconnectingClient({ address: tcp, key: `new-${i}`, requests: 1 }))
  const byPath = clients(4, i => new ReconnectingClient({ address: path, key: `path-${i}`, requests: 2 }))
  const kept = clients(6, i => new ReconnectingClient({ address: i < 4 ? tcp : path, key: `kept-${i}`, pauseMs: 150 }))
  const all = [...arrivals, ...byPath, ...kept]
  for (let takeOver = 0; takeOver < 3; takeOver++) {
    const before = answered(all)
    await waitUntil(() => answered(all) > before + 1_000, 'the load')
    const next = await deployment.start()
    expect(readFileSync(join(shared, 'proxy.pid'), 'latin1')).toBe(`${next.pid}`)
    current.signal('SIGTERM')
    expect(await current.exited).toEqual({ code: 0, signal: null })
    expect(current.output()).not.toContain('are disconnected')
    expect(readFileSync(join(shared, 'proxy.pid'), 'latin1')).toBe(`${next.pid}`)
    await current.stop()
    current = next
  }
  const before = answered(all)
  await waitUntil(() => answered(all) > before + 1_000, 'the load to go on')
  await Promise.all(all.map(client => client.stop()))
  expect([...byPath, ...kept].flatMap(client => client.failures)).toEqual([])
  const failures = arrivals.flatMap(client => client.failures)
  // Where the kernel does not hand them over, it resets whom it connects between a listener's last look at its queue and its close, some
  // microseconds later. Nothing of such a client was read, so a connection has failed, and not a request: see the values below.
  expect(failures.filter(failure => !failure.startsWith('ECONNRESET'))).toEqual([])
  expect(failures.length).toBeLessThanOrEqual(kernelMigrates() ? 0 : answered(arrivals) / 500)
  for (const { key, connections } of kept) expect(connections, key).toBeGreaterThan(3)
  for (const { key, answered } of all) {
    expect(String(await ask(redis, ['GET', key])), key).toBe(`$${`${answered}`.length}\r\n${answered}\r\n`)
  }
  await current.stop()
  expect(existsSync(join(shared, 'p.sock'))).toBe(false)
  expect(existsSync(join(shared, 'proxy.pid'))).toBe(false)
})

test('once the old one drains, health checks hear of the new one only', async () => {
  const deployment = await deploy()
  const first = await deployment.start()
  const second = await deployment.start()
  // Keeps the first one alive: a request that waits for its reply.
  const busy = await busyClientOf(deployment, first)
  await ask(redis, ['CLIENT', 'PAUSE', '60000', 'WRITE'])
  busy.send(encode('SET', 'key', 'late'))
  await waitUntil(async () => (await underWay(deployment)) > 0, 'the request to be under way')
  first.signal('SIGTERM')
  await waitUntil(() => first.output().includes('received, exiting'), 'the signal')
  await waitUntil(async () => (await answerOf(deployment.agentPort).catch(() => '')).startsWith('up'), 'an answer')
  for (let i = 0; i < 20; i++) expect(await answerOf(deployment.agentPort)).toBe('up ready\n')
  expect(first.alive).toBe(true)
  await ask(redis, ['CLIENT', 'UNPAUSE'])
  expect(String(await busy.untilClosed())).toBe('+OK\r\n')
  expect(await first.exited).toEqual({ code: 0, signal: null })
  await second.stop()
})

/** A client of this one of the processes that share the port. */
async function busyClientOf(deployment: Deployment, child: Child): Promise<Wire> {
  for (;;) {
    const wire = await Wire.open(deployment.tcp)
    // The log names the client of a key that is too long.
    wire.send(encode('GET', 'x'.repeat(20_000)))
    await wire.redisReplies(1)
    await waitUntil(() => child.output().includes('with key length') || wire.closed, 'the line', 200).catch(() => {})
    if (child.output().includes(`of c 127.0.0.1:${wire.socket.localPort} `)) return wire
    wire.destroy()
  }
}

/** Requests under way, of whichever process answers. */
async function underWay({ statsPort }: Deployment): Promise<number> {
  const { a } = JSON.parse(await answerOf(statsPort)).tcp
  return a.in_queue + a.out_queue
}

function kernelMigrates(): boolean {
  const sysctl = '/proc/sys/net/ipv4/tcp_migrate_req'
  return existsSync(sysctl) && readFileSync(sysctl, 'latin1').trim() === '1'
}

function clients(count: number, make: (index: number) => ReconnectingClient): ReconnectingClient[] {
  return Array.from({ length: count }, (_, i) => make(i))
}

function answered(all: readonly ReconnectingClient[]): number {
  return all.reduce((sum, client) => sum + client.answered, 0)
}
