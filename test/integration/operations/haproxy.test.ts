/**
 * Debian's HAProxy in front of two proxies, with the very files of deploy/haproxy: only addresses and passwords are another. Checks, PROXY
 * headers, the agent, and the ends of proxies under load that no client may notice.
 */

import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { Child, scratchFolder, stopAll } from '../../support/processes/child.ts'
import { freePort, withFreePorts } from '../../support/processes/ports.ts'
import { commandOf } from '../../support/processes/programs.ts'
import { pistachio } from '../../support/processes/proxy.ts'
import { ask, startMemcached, startRedis, type TestServer } from '../../support/processes/servers.ts'
import { waitUntil } from '../../support/wait.ts'
import { ReconnectingClient } from '../../support/wire/reconnecting-client.ts'
import { encode } from '../../support/wire/resp.ts'
import { Wire } from '../../support/wire/wire.ts'

const DEPLOY = fileURLToPath(new URL('../../../deploy/haproxy', import.meta.url))
const [command, ...before] = commandOf('haproxy')
const PASSWORD = 'correct-horse'
const POOLS = ['redis', 'redis-auth', 'memcached'] as const
type Pool = (typeof POOLS)[number]

let redis: TestServer[]
let memcached: TestServer

beforeAll(async () => {
  redis = await Promise.all([startRedis(), startRedis(), startRedis({ password: PASSWORD })])
  memcached = await startMemcached()
})
afterAll(stopAll)

/** One machine of the deployment: a proxy that can be ended and started again on the same ports. */
class Machine {
  readonly ports: Readonly<Record<Pool, number>>
  readonly agentPort: number
  readonly #statsPort: number
  readonly #yml: string
  process: Child | null = null

  constructor(ports: readonly number[], changes: (yml: string) => string) {
    const [first, second, third, agentPort, statsPort] = ports
    this.ports = { redis: first!, 'redis-auth': second!, memcached: third! }
    this.agentPort = agentPort!
    this.#statsPort = statsPort!
    let yml = readFileSync(join(DEPLOY, 'nutcracker.yml'), 'utf8').replace('secret', PASSWORD)
    for (const [i, pool] of POOLS.entries()) yml = yml.replace(`0.0.0.0:2212${i + 1}`, `127.0.0.1:${this.ports[pool]}`)
    for (const [i, server] of redis.entries()) yml = yml.replace(`10.0.0.2${i + 1}:6379`, `127.0.0.1:${server.port}`)
    this.#yml = changes(yml.replace('10.0.0.31:11211', `127.0.0.1:${memcached.port}`))
  }

  async start(...flags: string[]): Promise<void> {
    const folder = scratchFolder()
    writeFileSync(join(folder, 'nutcracker.yml'), this.#yml)
    const stats = ['-a', '127.0.0.1', '-s', `${this.#statsPort}`, '--agent-check-port', `${this.agentPort}`]
    this.process = pistachio(['-c', 'nutcracker.yml', '--workers', '2', ...stats, ...flags], { folder })
    await this.process.listening({ port: this.agentPort })
  }

  /** While it was down, the other end of some connection may have been given one of its ports. */
  async restart(...flags: string[]): Promise<void> {
    await waitUntil(async () => {
      await this.start(...flags).catch((error: Error) => {
        if (!error.message.includes('Address already in use')) throw error
      })
      return this.process!.alive
    }, 'the ports to be free')
  }

  log(): string {
    return this.process!.output()
  }
}

interface Deployment {
  readonly machines: readonly [Machine, Machine]
  readonly haproxy: Child
  /** Where clients connect to, by pool. */
  readonly ports: Readonly<Record<Pool, number>>
}

interface Changes {
  readonly yml?: (text: string) => string
  readonly cfg?: (text: string) => string
  readonly flags?: readonly string[]
}

const same = (text: string): string => text
const running: Deployment[] = []

afterEach(async () => {
  for (const { haproxy, machines } of running.splice(0)) {
    await haproxy.stop('SIGKILL')
    for (const machine of machines) if (machine.process?.alive) await machine.process.stop('SIGKILL')
  }
})

function deploy({ yml = same, cfg = same, flags = [] }: Changes = {}): Promise<Deployment> {
  return withFreePorts(13, async ports => {
    const machines = [new Machine(ports.slice(0, 5), yml), new Machine(ports.slice(5, 10), yml)] as const
    await Promise.all(machines.map(machine => machine.start(...flags)))
    const [redisPort, authPort, memcachedPort] = ports.slice(10)
    const folder = scratchFolder()
    const env: NodeJS.ProcessEnv = {
      PATH: process.env.PATH,
      HAPROXY_MAXCONN: '1000',
      HAPROXY_LOG: '127.0.0.1:1',
      HAPROXY_SOCKET: join(folder, 'admin.sock'),
      REDIS_PASSWORD: PASSWORD,
      REDIS_BIND: `127.0.0.1:${redisPort}`,
      REDIS_AUTH_BIND: `127.0.0.1:${authPort}`,
      MEMCACHED_BIND: `127.0.0.1:${memcachedPort}`,
    }
    for (const [i, machine] of machines.entries()) {
      env[`PISTACHIO_${i + 1}`] = '127.0.0.1'
      env[`AGENT_PORT_${i + 1}`] = `${machine.agentPort}`
      env[`REDIS_PORT_${i + 1}`] = `${machine.ports.redis}`
      env[`REDIS_AUTH_PORT_${i + 1}`] = `${machine.ports['redis-auth']}`
      env[`MEMCACHED_PORT_${i + 1}`] = `${machine.ports.memcached}`
    }
    writeFileSync(join(folder, 'haproxy.cfg'), cfg(readFileSync(join(DEPLOY, 'haproxy.cfg'), 'utf8')))
    const haproxy = new Child(command, [...before, '-db', '-f', 'haproxy.cfg'], { folder, env })
    await haproxy.listening({ port: redisPort! })
    await haproxy.listening({ path: join(folder, 'admin.sock') })
    const deployment: Deployment = {
      machines,
      haproxy,
      ports: { redis: redisPort!, 'redis-auth': authPort!, memcached: memcachedPort! },
    }
    running.push(deployment)
    return deployment
  })
}

/** A row of HAProxy's `show stat`, by column. */
type ServerState = Readonly<Record<string, string>>

async function stateOf({ haproxy }: Deployment, pool: Pool, machine: 1 | 2): Promise<ServerState> {
  const socket = connect(join(haproxy.folder, 'admin.sock'))
  socket.end('show stat\n')
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk as Buffer)
  const [head, ...rows] = Buffer.concat(chunks).toString().trim().split('\n')
  const columns = head!.replace('# ', '').split(',')
  const row = rows.map(text => text.split(',')).find(([px, sv]) => px === pool && sv === `pistachio-${machine}`)
  return Object.fromEntries(columns.map((column, i) => [column, row![i]!]))
}

/** Waits until both proxies are up by health check and by agent. */
async function allUp(deployment: Deployment, pools: readonly Pool[] = POOLS): Promise<void> {
  for (const pool of pools) {
    for (const machine of [1, 2] as const) {
      await waitUntil(async () => {
        const { status, check_status, agent_status } = await stateOf(deployment, pool, machine)
        return status === 'UP' && check_status === 'L7OK' && agent_status === 'L7OK'
      }, `pistachio-${machine} of ${pool} to be up`)
    }
  }
}

test('the configuration is valid as it stands', () => {
  execFileSync(command, [...before, '-c', '-f', join(DEPLOY, 'haproxy.cfg')], { stdio: 'pipe' })
})

describe.each([
  ['2', same],
  ['1', (text: string) => text.replace('send-proxy-v2', 'send-proxy')],
])('PROXY protocol version %s', (_, cfg) => {
  test('checks are green, clients are served, the log names them, and checks are no clients', async () => {
    const deployment = await deploy({ cfg })
    await allUp(deployment)
    const { ports, machines } = deployment
    const wire = await Wire.open({ port: ports.redis })
    wire.send(Buffer.concat([encode('SET', 'key', 'value'), encode('GET', 'key'), encode('GET', 'x'.repeat(20_000))]))
    expect((await wire.redisReplies(2)).join('')).toBe('+OK\r\n$5\r\nvalue\r\n')
    const line = `parsed bad req of c 127.0.0.1:${wire.socket.localPort} with key length`
    await waitUntil(() => machines.some(machine => machine.log().includes(line)), line)
    const auth = await Wire.open({ port: ports['redis-auth'] })
    auth.send(Buffer.concat([encode('PING'), encode('AUTH', PASSWORD), encode('PING')]))
    expect((await auth.redisReplies(3)).join('')).toMatch(/^-NOAUTH .*\r\n\+OK\r\n\+PONG\r\n$/)
    const cache = await Wire.open({ port: ports.memcached })
    cache.send(Buffer.from('set key 0 0 5\r\nvalue\r\nget key\r\n'))
    expect((await cache.memcacheReplies(2)).join('')).toBe('STORED\r\nVALUE key 0 5\r\nvalue\r\nEND\r\n')
    for (const open of [wire, auth, cache]) open.destroy()
    for (const machine of machines) expect(machine.log()).not.toMatch(/refused c |discarding incomplete/)
  })
})

test('option redis-check finds a pool with a password down, unless it answers PING before AUTH', async () => {
  const block = / {4}option tcp-check\n {4}tcp-check send "AUTH[\s\S]*?\+PONG\n/
  const cfg = (text: string): string => text.replace(block, '    option redis-check\n')
  const closed = await deploy({ cfg })
  await waitUntil(async () => (await stateOf(closed, 'redis-auth', 1)).status === 'DOWN', 'the check to fail')
  const open = await deploy({ cfg, yml: text => text.replace('# ping_before_auth', 'ping_before_auth') })
  await allUp(open)
  const wire = await Wire.open({ port: open.ports['redis-auth'] })
  wire.send(Buffer.concat([encode('PING'), encode('GET', 'key')]))
  expect((await wire.redisReplies(2)).join('')).toMatch(/^\+PONG\r\n-NOAUTH /)
  wire.destroy()
})

describe.each([
  ['mn', same],
  ['version', (text: string) => text.replace('"mn\\r\\n"', '"version\\r\\n"').replace('"MN"', '"VERSION "')],
])('checked by %s', (_, cfg) => {
  test('a proxy with lost memcached servers stays up', async () => {
    const ports = await Promise.all([freePort(), freePort(), freePort()])
    const lost = ports.map((port, i) => `    - 127.0.0.1:${port}:1 lost-${i}\n`).join('')
    const yml = (text: string): string => {
      const at = text.lastIndexOf('auto_eject_hosts: true')
      return text.slice(0, at) + text.slice(at).replace('true', 'false').trimEnd().concat('\n', lost)
    }
    const deployment = await deploy({ cfg, yml })
    await allUp(deployment, ['memcached'])
    const wire = await Wire.open({ port: deployment.ports.memcached })
    wire.send(Buffer.from(Array.from({ length: 50 }, (_each, i) => `get ${i * 7_919}:${i}\r\n`).join('')))
    const replies = (await wire.memcacheReplies(50)).join('')
    expect(replies).toContain('END\r\n')
    expect(replies).toContain('SERVER_ERROR Connection refused\r\n')
    wire.destroy()
    await allUp(deployment, ['memcached'])
    expect((await stateOf(deployment, 'memcached', 1)).chkfail).toBe('0')
  })
})

test('a proxy of weight 1 gets clients, however busy it is', async () => {
  const deployment = await deploy({ cfg: text => text.replace('agent-inter 1s weight 100', 'agent-inter 1s') })
  await allUp(deployment)
  expect((await stateOf(deployment, 'redis', 1)).weight).toBe('1')
})

test('the agent gives a weight, and none of the load goes to a proxy that drains', async () => {
  const deployment = await deploy({
    flags: ['--agent-check-weight', '--drain-delay', '60000', '--drain-timeout', '60000'],
  })
  await allUp(deployment)
  const [first] = deployment.machines
  expect(Number((await stateOf(deployment, 'redis', 1)).weight)).toBeGreaterThan(50)
  const before = await Wire.open({ port: deployment.ports.redis })
  before.send(encode('PING'))
  await before.redisReplies(1)
  first.process!.signal('SIGTERM')
  for (const pool of POOLS) {
    await waitUntil(async () => (await stateOf(deployment, pool, 1)).status!.startsWith('DRAIN'), `${pool} to drain`)
  }
  const sessions = (await stateOf(deployment, 'redis', 1)).stot
  for (let i = 0; i < 10; i++) {
    const wire = await Wire.open({ port: deployment.ports.redis })
    wire.send(encode('PING'))
    expect(String(await wire.redisReplies(1))).toBe('+PONG\r\n')
    wire.destroy()
  }
  expect((await stateOf(deployment, 'redis', 1)).stot).toBe(sessions)
  before.send(encode('PING'))
  expect(String(await before.redisReplies(1))).toBe('+PONG\r\n')
  before.destroy()
})

test('both proxies are restarted in turn under load, and no client sees a failed request', async () => {
  const flags = ['--drain-delay', '2000', '--drain-timeout', '8000']
  const deployment = await deploy({ flags })
  await allUp(deployment, ['redis'])
  const address = { port: deployment.ports.redis }
  const clients = [
    // A connection for a few requests: PHP and the like.
    ...Array.from({ length: 8 }, (_, i) => new ReconnectingClient({ address, key: `few-${i}`, requests: 1 + i })),
    // Kept for ever, with pauses: the pools of application servers.
    ...Array.from(
      { length: 8 },
      (_, i) => new ReconnectingClient({ address, key: `kept-${i}`, pauseMs: 130 + 40 * i }),
    ),
  ]
  for (const machine of deployment.machines) {
    const number = deployment.machines.indexOf(machine) === 0 ? 1 : 2
    const ending = machine.process!
    const before = clients.reduce((sum, client) => sum + client.answered, 0)
    ending.signal('SIGTERM')
    expect(await ending.exited).toEqual({ code: 0, signal: null })
    expect(ending.output()).not.toContain('are disconnected')
    await machine.restart(...flags)
    await waitUntil(async () => (await stateOf(deployment, 'redis', number)).status === 'UP', 'the new one to be up')
    expect(clients.reduce((sum, client) => sum + client.answered, 0)).toBeGreaterThan(before + 1_000)
  }
  await Promise.all(clients.map(client => client.stop()))
  expect(clients.flatMap(client => client.failures)).toEqual([])
  // The kept connections were let go, and came back.
  for (const client of clients) expect(client.connections, client.key).toBeGreaterThan(1)
  await everyAnswerCounted(clients)
})

test('a client that never pauses loses its connection at the last call, but never a reply to what was executed', async () => {
  const deployment = await deploy({ flags: ['--drain-delay', '1000', '--drain-timeout', '3000'] })
  await allUp(deployment, ['redis'])
  const address = { port: deployment.ports.redis }
  const clients = Array.from({ length: 6 }, (_, i) => new ReconnectingClient({ address, key: `busy-${i}` }))
  await waitUntil(() => clients.every(client => client.answered > 10), 'all to be served')
  const [first] = deployment.machines
  first.process!.signal('SIGTERM')
  expect(await first.process!.exited).toEqual({ code: 0, signal: null })
  expect(first.log()).not.toContain('are disconnected')
  await Promise.all(clients.map(client => client.stop()))
  // A clean end with a request under way is all that may have happened, and that request was not executed.
  for (const { failures } of clients) expect(failures.filter(failure => failure !== 'end before the reply')).toEqual([])
  expect(clients.some(client => client.connections > 1)).toBe(true)
  await everyAnswerCounted(clients)
})

/** Each client has incremented its own key: the value tells how many of its requests were executed. */
async function everyAnswerCounted(clients: readonly ReconnectingClient[]): Promise<void> {
  for (const { key, answered } of clients) {
    const values = await Promise.all(redis.slice(0, 2).map(server => ask(server, ['GET', key])))
    const held = values
      .flat()
      .map(String)
      .filter(value => value !== '$-1\r\n')
    expect(held, key).toEqual([`$${`${answered}`.length}\r\n${answered}\r\n`])
  }
}
