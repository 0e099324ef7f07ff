/** Real clients with their defaults, against a pool with three servers: they connect, and all that they are used for works. */

import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { stopAll } from '../support/processes/child.ts'
import { waitUntil } from '../support/wait.ts'
import { Target } from './target.ts'

const run = promisify(execFile)
const PROGRAM_TIMEOUT_MS = 40_000

let pool: Target
let port: number

beforeAll(async () => {
  pool = await Target.pool('many', 3, 2)
  port = pool.proxy!.ports[0]!
})

beforeEach(() => pool.reset())

afterAll(async () => {
  pool.close()
  await stopAll()
})

const names = Array.from({ length: 200 }, (_, index) => `key:${index}`)

describe('ioredis', () => {
  async function withClient(use: (redis: Redis) => Promise<void>, options = {}): Promise<void> {
    const redis = new Redis({ port, ...options })
    const errors: Error[] = []
    redis.on('error', error => errors.push(error))
    try {
      await use(redis)
      expect(errors).toEqual([])
    } finally {
      redis.disconnect()
    }
  }

  test('pipelines, and counts, over all servers', () =>
    withClient(async redis => {
      const pipeline = redis.pipeline()
      for (const name of names) pipeline.set(name, name)
      expect((await pipeline.exec())!.every(([error, reply]) => error === null && reply === 'OK')).toBe(true)
      expect(await redis.mget(names)).toEqual(names)
      expect(await redis.dbsize()).toBe(names.length)
      expect(await redis.info('server')).toMatch(/(?:redis|server)_mode:standalone/)
    }))

  test('pipelines by itself', () =>
    withClient(
      async redis => {
        await Promise.all(names.map(name => redis.set(name, name)))
        expect(await Promise.all(names.map(name => redis.get(name)))).toEqual(names)
      },
      { enableAutoPipelining: true },
    ))

  test('transactions, with and without WATCH', () =>
    withClient(async redis => {
      expect(await redis.multi().set('{t}1', '1').incr('{t}1').get('{t}2').exec()).toEqual([
        [null, 'OK'],
        [null, 2],
        [null, null],
      ])
      const other = redis.duplicate()
      await redis.watch('{t}1')
      await other.set('{t}1', 'changed')
      expect(await redis.multi().set('{t}1', 'lost').exec()).toBeNull()
      other.disconnect()
    }))

  test('scripts that it defines', () =>
    withClient(async redis => {
      redis.defineCommand('echoed', { numberOfKeys: 1, lua: 'return {KEYS[1], ARGV[1]}' })
      const scripted = redis as unknown as { echoed(key: string, value: string): Promise<string[]> }
      for (const name of names.slice(0, 20)) expect(await scripted.echoed(name, 'x')).toEqual([name, 'x'])
    }))

  test('subscriptions', () =>
    withClient(async redis => {
      const subscriber = redis.duplicate()
      expect(await subscriber.subscribe('one', 'news', 'three')).toBe(3)
      expect(await subscriber.psubscribe('pattern:*')).toBe(4)
      const heard: string[] = []
      subscriber.on('message', (channel, message) => heard.push(`${channel} ${message}`))
      subscriber.on('pmessage', (pattern, channel, message) => heard.push(`${pattern} ${channel} ${message}`))
      await redis.publish('one', '1')
      await redis.publish('news', '2')
      await redis.publish('pattern:x', '3')
      await waitUntil(() => heard.length === 3, 'three messages')
      expect(heard.sort()).toEqual(['news 2', 'one 1', 'pattern:* pattern:x 3'])
      subscriber.disconnect()
    }))

  test('blocking commands, while others go on', () =>
    withClient(async redis => {
      const blocked = redis.duplicate()
      const popped = blocked.blpop('list', 5)
      await pool.untilBlocked(1)
      expect(await redis.set('other', '1')).toBe('OK')
      await redis.rpush('list', 'pushed')
      expect(await popped).toEqual(['list', 'pushed'])
      expect(await blocked.blpop('list', 0.05)).toBeNull()
      blocked.disconnect()
    }))

  test('streams that scan', () =>
    withClient(async redis => {
      await Promise.all(names.map(name => redis.set(name, name)))
      const found: string[] = []
      const stream = redis.scanStream({ match: 'key:*', count: 10 })
      stream.on('data', (keys: string[]) => found.push(...keys))
      await once(stream, 'end')
      expect([...new Set(found)].sort()).toEqual([...names].sort())
    }))

  test('errors are replies, not the end', () =>
    withClient(async redis => {
      await expect(redis.call('NONSENSE')).rejects.toThrow('unknown command')
      await expect(redis.rename('one', 'news')).rejects.toThrow('CROSSSLOT')
      expect(await redis.ping()).toBe('PONG')
      expect(await redis.quit()).toBe('OK')
    }))
})

describe('node-redis', () => {
  async function open() {
    const client = createClient({ socket: { port, reconnectStrategy: false } })
    client.on('error', () => {})
    return client.connect()
  }

  async function withClient(use: (client: Awaited<ReturnType<typeof open>>) => Promise<void>): Promise<void> {
    const client = await open()
    try {
      await use(client)
    } finally {
      client.destroy()
    }
  }

  test('pipelines by itself over all servers', () =>
    withClient(async client => {
      await Promise.all(names.map(name => client.set(name, name)))
      expect(await client.mGet(names)).toEqual(names)
      expect(await client.dbSize()).toBe(names.length)
      expect(await client.del(names)).toBe(names.length)
    }))

  test('typed replies', () =>
    withClient(async client => {
      await client.hSet('hash', { field: 'value' })
      expect({ ...(await client.hGetAll('hash')) }).toEqual({ field: 'value' })
      await client.zAdd('zset', { score: 1.5, value: 'x' })
      expect(await client.zRangeWithScores('zset', 0, -1)).toEqual([{ score: 1.5, value: 'x' }])
      await client.sAdd('set', ['x', 'y'])
      expect([...(await client.sMembers('set'))].sort()).toEqual(['x', 'y'])
      expect(await client.configGet('maxmemory')).toMatchObject({ maxmemory: '0' })
    }))

  test('transactions', () =>
    withClient(async client => {
      expect(await client.multi().set('{t}1', '1').incr('{t}1').exec()).toEqual(['OK', 2])
      await client.watch('{t}1')
      const other = await open()
      await other.set('{t}1', 'changed')
      await expect(client.multi().set('{t}1', 'lost').exec()).rejects.toThrow()
      other.destroy()
    }))

  test('subscriptions, on the connection of other commands too', () =>
    withClient(async client => {
      const heard: string[] = []
      await client.subscribe(['one', 'news'], (message, channel) => heard.push(`${channel} ${message}`))
      await client.pSubscribe('pattern:*', (message, channel) => heard.push(`${channel} ${message}`))
      const other = await open()
      await other.publish('one', '1')
      await other.publish('news', '2')
      await other.publish('pattern:x', '3')
      await waitUntil(() => heard.length === 3, 'three messages')
      expect(heard.sort()).toEqual(['news 2', 'one 1', 'pattern:x 3'])
      expect(await client.set('k', 'v')).toBe('OK')
      await client.unsubscribe()
      other.destroy()
    }))

  test('blocking commands', () =>
    withClient(async client => {
      const other = await open()
      const popped = client.blPop('list', 5)
      await pool.untilBlocked(1)
      await other.rPush('list', 'pushed')
      expect(await popped).toEqual({ key: 'list', element: 'pushed' })
      expect(await client.blPop('list', 0.05)).toBeNull()
      other.destroy()
    }))

  test('scan iterators', () =>
    withClient(async client => {
      await Promise.all(names.map(name => client.set(name, name)))
      const found: string[] = []
      for await (const keys of client.scanIterator({ COUNT: 10 })) found.push(...keys)
      expect([...new Set(found)].sort()).toEqual([...names].sort())
    }))

  test('scripts and functions', () =>
    withClient(async client => {
      const digest = await client.scriptLoad('return KEYS[1]')
      for (const name of names.slice(0, 20)) expect(await client.evalSha(digest, { keys: [name] })).toBe(name)
      await client.functionLoad("#!lua name=lib\nredis.register_function('f', function(keys) return keys[1] end)")
      for (const name of names.slice(0, 20)) expect(await client.fCall('f', { keys: [name], arguments: [] })).toBe(name)
    }))
})

describe('programs', () => {
  test('redis-cli: sessions, RESP3, --scan and --pipe', async () => {
    const cli = async (...args: string[]): Promise<string> =>
      (await run('redis-cli', ['-p', `${port}`, ...args], { timeout: PROGRAM_TIMEOUT_MS })).stdout
    expect(await cli('-3', 'HSET', 'hash', 'field', 'value')).toBe('1\n')
    expect(await cli('MSET', 'one', '1', 'news', '2', 'three', '3')).toBe('OK\n')
    expect((await cli('--scan')).trim().split('\n').sort()).toEqual(['hash', 'news', 'one', 'three'])
    expect(await cli('--bigkeys')).toContain('4 keys')
    expect(await cli('-r', '2', 'PING')).toBe('PONG\nPONG\n')
    const piped = run('redis-cli', ['-p', `${port}`, '--pipe'], { timeout: PROGRAM_TIMEOUT_MS })
    piped.child.stdin!.end(names.map(name => `SET ${name} value\r\n`).join(''))
    expect((await piped).stdout).toContain(`errors: 0, replies: ${names.length}`)
  })

  test('redis-benchmark: all of its tests', async () => {
    const args = ['-p', `${port}`, '-n', '500', '-c', '10', '-P', '4', '-r', '100', '--csv']
    const { stdout, stderr } = await run('redis-benchmark', args, { timeout: PROGRAM_TIMEOUT_MS })
    expect(stdout.split('\n').filter(line => line.startsWith('"')).length).toBeGreaterThan(19)
    expect(stdout + stderr).not.toMatch(/error|WARNING/i)
  })

  const scripts = [
    { name: 'redis-py', command: '/usr/bin/python3', probe: ['-c', 'import redis'], script: 'redis_py.py' },
    {
      name: 'phpredis',
      command: 'php',
      probe: ['-r', 'exit(extension_loaded("redis") ? 0 : 1);'],
      script: 'phpredis.php',
    },
  ]
  test.for(scripts)('$name: $script', async ({ name, command, probe, script }, context) => {
    const missing = await run(command, probe).then(
      () => false,
      () => true,
    )
    if (missing) context.skip(`${name} is not installed`)
    const path = fileURLToPath(new URL(`clients/${script}`, import.meta.url))
    const { stdout } = await run(command, [path, `${port}`], { timeout: PROGRAM_TIMEOUT_MS })
    expect(stdout).toMatch(/^\d+ checks$/m)
  })
})
