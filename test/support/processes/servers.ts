/**
 * Real redis-server and memcached processes on free loopback ports, for integration, parity and
 * fuzz tests.
 */

import { join } from 'node:path'
import { waitUntil } from '../wait.ts'
import { encode } from '../wire/resp.ts'
import { Wire } from '../wire/wire.ts'
import { type Address, Child, type Exit, scratchFolder } from './child.ts'
import { withFreePorts } from './ports.ts'
import { commandOf } from './programs.ts'

export interface TestServer {
  readonly pid: number
  readonly port: number
  /** Path of the unix socket; '' when the server listens on TCP only. */
  readonly path: string
  readonly password: string
  readonly child: Child
  stop(): Promise<Exit>
}

export interface RedisOptions {
  readonly password?: string
  /** Default: a free one. */
  readonly port?: number
  /** More arguments for redis-server, for instance `['--maxmemory', '100mb']`. */
  readonly args?: readonly string[]
}

/**
 * A redis-server without persistence, on a port and on a unix socket, with DEBUG enabled; ready
 * when it answers PING.
 */
export function startRedis(options: RedisOptions = {}): Promise<TestServer> {
  if (options.port !== undefined) return startRedisAt(options.port, options)
  return withFreePorts(1, ([port]) => startRedisAt(port!, options))
}

async function startRedisAt(port: number, options: RedisOptions): Promise<TestServer> {
  const folder = scratchFolder()
  const path = join(folder, 'redis.sock')
  const password = options.password ?? ''
  const args = ['--port', `${port}`, '--bind', '127.0.0.1', '--unixsocket', path, '--save', '', '--appendonly', 'no']
  args.push('--dir', folder, '--loglevel', 'warning', '--enable-debug-command', 'yes')
  if (password !== '') args.push('--requirepass', password)
  const [command, ...before] = commandOf('redis-server')
  const child = new Child(command, [...before, ...args, ...(options.args ?? [])], { folder })
  await child.listening({ port })
  const ping = password === '' ? encode('PING') : Buffer.concat([encode('AUTH', password), encode('PING')])
  await answers(child, { port }, ping, '+PONG\r\n')
  return { pid: child.pid, port, path, password, child, stop: () => child.stop() }
}

export interface MemcachedOptions {
  /** Listen on a unix socket instead of the port (memcached does one or the other). */
  readonly unix?: boolean
  readonly args?: readonly string[]
}

/** A memcached that takes items up to 128 MB; ready when it answers `version`. */
export function startMemcached(options: MemcachedOptions = {}): Promise<TestServer> {
  return withFreePorts(1, async ([port]) => {
    const folder = scratchFolder()
    const path = options.unix === true ? join(folder, 'memcached.sock') : ''
    const where = path === '' ? ['-l', '127.0.0.1', '-p', `${port}`, '-U', '0'] : ['-s', path]
    const user = process.getuid?.() === 0 ? ['-u', 'root'] : []
    const args = [...where, ...user, '-t', '1', '-m', '512', '-I', '128m', ...(options.args ?? [])]
    const [command, ...before] = commandOf('memcached')
    const child = new Child(command, [...before, ...args], { folder })
    const address = path === '' ? { port: port! } : { path }
    await child.listening(address)
    await answers(child, address, Buffer.from('version\r\n'), 'VERSION ')
    // memcached looks at SIGTERM once a second; it has nothing to save.
    return { pid: child.pid, port: port!, path, password: '', child, stop: () => child.stop('SIGKILL') }
  })
}

/**
 * Sends commands straight to a server, one after the other, and returns the replies as they came.
 */
export async function ask(server: TestServer, ...commands: readonly (readonly string[])[]): Promise<Buffer[]> {
  const wire = await Wire.open({ port: server.port })
  try {
    if (server.password !== '') {
      wire.send(encode('AUTH', server.password))
      await wire.redisReplies(1)
    }
    for (const command of commands) wire.send(encode(...command))
    return await wire.redisReplies(commands.length)
  } finally {
    wire.destroy()
  }
}

async function answers(child: Child, address: Address, request: Buffer, expected: string): Promise<void> {
  await waitUntil(async () => {
    if (!child.alive) throw new Error(`Server ended while starting\n${child.output()}`)
    const wire = await Wire.open(address)
    wire.send(request)
    const reply = await wire.until(text => text.includes(expected), expected, 1_000).catch(() => null)
    wire.destroy()
    return reply !== null
  }, `answer from ${child.pid}`)
}
