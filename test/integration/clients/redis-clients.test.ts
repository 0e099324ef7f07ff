/** Real Redis clients through the proxy: ioredis, node-redis, redis-cli and redis-benchmark. */

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { stopAll } from '../../support/processes/child.ts'
import { poolYml, type RunningProxy, serverEntry, startProxy } from '../../support/processes/proxy.ts'
import { startRedis } from '../../support/processes/servers.ts'

const run = promisify(execFile)
const PASSWORD = 'open sesame'
const COMMAND_TIMEOUT_MS = 30_000

let plain: RunningProxy
let locked: RunningProxy

async function startPool(password: string): Promise<RunningProxy> {
  const servers = await Promise.all(
    ['a', 'b', 'c'].map(async name => serverEntry(await startRedis({ password }), name)),
  )
  const keys = { redis: true, timeout: 5000, ...(password === '' ? {} : { redis_auth: password }) }
  return startProxy({ workers: 2, yml: poolYml({ keys, servers }) })
}

beforeAll(async () => {
  const pools = await Promise.all([startPool(''), startPool(PASSWORD)])
  plain = pools[0]
  locked = pools[1]
})

afterAll(stopAll)

/** RESP2 and no questions on connect: what the proxy cannot answer for many servers. */
function openIoredis(proxy: RunningProxy, password?: string): Redis {
  return new Redis({
    host: '127.0.0.1',
    port: proxy.ports[0]!,
    protocol: 2,
    disableClientInfo: true,
    enableReadyCheck: false,
    ...(password === undefined ? {} : { password }),
  })
}

describe('ioredis', () => {
  test('sets, gets and deletes values of many servers in one pipeline', async () => {
    const redis = openIoredis(plain)
    try {
      const names = Array.from({ length: 200 }, (_, index) => `ioredis:${index}`)
      const pipeline = redis.pipeline()
      for (const name of names) pipeline.set(name, `value of ${name}`)
      expect((await pipeline.exec())!.every(([error, reply]) => error === null && reply === 'OK')).toBe(true)
      expect(await redis.mget(names)).toEqual(names.map(name => `value of ${name}`))
      expect(await redis.exists(...names)).toBe(names.length)
      expect(await redis.del(...names)).toBe(names.length)
    } finally {
      redis.disconnect()
    }
  })

  test('reads and writes collections, binary values and scripts', async () => {
    const redis = openIoredis(plain)
    try {
      const bytes = Buffer.from(Array.from({ length: 512 }, (_, index) => index & 255))
      await redis.set('ioredis:bytes', bytes)
      expect(await redis.getBuffer('ioredis:bytes')).toEqual(bytes)
      await redis.hset('ioredis:hash', { field: 'value', other: '2' })
      expect(await redis.hgetall('ioredis:hash')).toEqual({ field: 'value', other: '2' })
      await redis.zadd('ioredis:zset', 2, 'two', 1, 'one')
      expect(await redis.zrange('ioredis:zset', '0', '-1', 'WITHSCORES')).toEqual(['one', '1', 'two', '2'])
      expect(await redis.eval('return {KEYS[1], ARGV[1]}', 1, 'ioredis:key', 'argument')).toEqual([
        'ioredis:key',
        'argument',
      ])
      await expect(redis.lpush('ioredis:hash', 'x')).rejects.toThrow('WRONGTYPE')
    } finally {
      redis.disconnect()
    }
  })

  test('authenticates with the password of the pool', async () => {
    const redis = openIoredis(locked, PASSWORD)
    try {
      expect(await redis.set('ioredis:locked', '1')).toBe('OK')
      expect(await redis.get('ioredis:locked')).toBe('1')
    } finally {
      redis.disconnect()
    }
  })

  test('gets OK for QUIT', async () => {
    const redis = openIoredis(plain)
    expect(await redis.quit()).toBe('OK')
  })
})

describe('node-redis', () => {
  async function open(proxy: RunningProxy, password?: string) {
    const client = createClient({
      RESP: 2,
      disableClientInfo: true,
      maintNotifications: 'disabled',
      socket: { host: '127.0.0.1', port: proxy.ports[0]!, reconnectStrategy: false },
      ...(password === undefined ? {} : { password }),
    })
    // A lost connection also rejects the commands that wait, which is what the tests look at.
    client.on('error', () => {})
    return client.connect()
  }

  test('sets, gets and deletes values of many servers, pipelined by itself', async () => {
    const client = await open(plain)
    try {
      const names = Array.from({ length: 200 }, (_, index) => `node-redis:${index}`)
      await Promise.all(names.map(name => client.set(name, `value of ${name}`)))
      expect(await client.mGet(names)).toEqual(names.map(name => `value of ${name}`))
      await client.mSet(Object.fromEntries(names.map(name => [name, name])))
      expect(await Promise.all(names.map(name => client.get(name)))).toEqual(names)
      expect(await client.del(names)).toBe(names.length)
    } finally {
      client.destroy()
    }
  })

  test('reads and writes collections and sees errors as errors', async () => {
    const client = await open(plain)
    try {
      await client.hSet('node-redis:hash', { field: 'value' })
      expect({ ...(await client.hGetAll('node-redis:hash')) }).toEqual({ field: 'value' })
      await client.sAdd('node-redis:set', ['x', 'y'])
      expect((await client.sMembers('node-redis:set')).sort()).toEqual(['x', 'y'])
      await expect(client.lPush('node-redis:hash', 'x')).rejects.toThrow('WRONGTYPE')
      await expect(client.sendCommand(['NONSENSE'])).rejects.toThrow('unknown command')
      expect(await client.ping()).toBe('PONG')
    } finally {
      client.destroy()
    }
  })

  test('authenticates with the password of the pool', async () => {
    const client = await open(locked, PASSWORD)
    try {
      await client.set('node-redis:locked', '1')
      expect(await client.get('node-redis:locked')).toBe('1')
    } finally {
      client.destroy()
    }
  })
})

async function redisCli(proxy: RunningProxy, ...args: readonly string[]): Promise<string> {
  const { stdout } = await run('redis-cli', ['-p', `${proxy.ports[0]!}`, ...args], { timeout: COMMAND_TIMEOUT_MS })
  return stdout
}

describe('redis-cli', () => {
  test('sends commands given as arguments', async () => {
    expect(await redisCli(plain, 'SET', 'cli', 'value')).toBe('OK\n')
    expect(await redisCli(plain, 'GET', 'cli')).toBe('value\n')
    expect(await redisCli(plain, 'MGET', 'cli', 'missing')).toBe('value\n\n')
  })

  test('authenticates with -a', async () => {
    expect(await redisCli(locked, '--no-auth-warning', '-a', PASSWORD, 'SET', 'cli', '1')).toBe('OK\n')
    expect(await redisCli(locked, 'GET', 'cli')).toContain('NOAUTH Authentication required')
  })

  test('stays connected over refused commands in one session', async () => {
    const session = run('redis-cli', ['-p', `${plain.ports[0]!}`], { timeout: COMMAND_TIMEOUT_MS })
    session.child.stdin!.end('SELECT 0\nNONSENSE\nPING\n')
    const { stdout } = await session
    expect(stdout).toContain('unknown command')
    expect(stdout).toContain('PONG')
  })
})

test.each([1, 16])('redis-benchmark finishes without an error at pipeline %i', async pipeline => {
  const args = [
    '-p',
    `${plain.ports[0]!}`,
    '-t',
    'set,get,incr,lpush,rpop,sadd,hset,zadd,mset',
    '-n',
    '5000',
    '-c',
    '20',
  ]
  const { stdout, stderr } = await run('redis-benchmark', [...args, '-P', `${pipeline}`, '-r', '1000', '--csv'], {
    timeout: COMMAND_TIMEOUT_MS,
  })
  expect(stdout.split('\n').filter(line => /^"(SET|GET|INCR|LPUSH|RPOP|SADD|HSET|ZADD|MSET)/.test(line))).toHaveLength(
    9,
  )
  expect(stdout + stderr).not.toMatch(/Error from server|Connection reset|Server closed/i)
})
