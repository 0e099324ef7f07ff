/** Values far beyond any buffer: they must pass through intact in both directions, and not hold up others. */

import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { stopAll } from '../../support/processes/child.ts'
import { poolYml, type RunningProxy, serverEntry, startProxy } from '../../support/processes/proxy.ts'
import { startMemcached, startRedis } from '../../support/processes/servers.ts'
import { Random, runSeed } from '../../support/random.ts'
import { encode } from '../../support/wire/resp.ts'
import { Wire } from '../../support/wire/wire.ts'

const MEGABYTE = 1024 * 1024
const TIMEOUT_MS = 50_000

const noise = new Random(runSeed()).bytes(MEGABYTE)

let redis: RunningProxy
let memcache: RunningProxy

beforeAll(async () => {
  const redisServers = await Promise.all(['a', 'b'].map(async name => serverEntry(await startRedis(), name)))
  const memcachedServers = await Promise.all(['a', 'b'].map(async name => serverEntry(await startMemcached(), name)))
  redis = await startProxy({
    workers: 2,
    yml: poolYml({ keys: { redis: true, timeout: TIMEOUT_MS }, servers: redisServers }),
  })
  memcache = await startProxy({
    workers: 2,
    yml: poolYml({ keys: { timeout: TIMEOUT_MS }, servers: memcachedServers }),
  })
})

afterAll(stopAll)

/** Bytes that repeat with no period that a buffer size divides. */
function value(bytes: number): Buffer {
  return Buffer.alloc(bytes, noise.subarray(0, MEGABYTE - 1))
}

function digest(bytes: Uint8Array): string {
  return createHash('sha1').update(bytes).digest('hex')
}

describe.each([1, 16, 100])('a value of %i MB', megabytes => {
  test('is set and got intact through a redis pool', async () => {
    const sent = value(megabytes * MEGABYTE)
    const wire = await Wire.open({ port: redis.ports[0]! })
    try {
      wire.send(encode('SET', 'large', sent))
      wire.send(encode('GET', 'large'))
      wire.send(encode('DEL', 'large'))
      const [stored, got, deleted] = await wire.redisReplies(3, { timeoutMs: TIMEOUT_MS })
      expect(String(stored)).toBe('+OK\r\n')
      const head = `$${sent.length}\r\n`
      expect(got!.toString('latin1', 0, head.length)).toBe(head)
      expect(got!.length).toBe(head.length + sent.length + 2)
      expect(digest(got!.subarray(head.length, -2))).toBe(digest(sent))
      expect(String(deleted)).toBe(':1\r\n')
    } finally {
      wire.destroy()
    }
  })

  test('is set and got intact through a memcache pool', async () => {
    const sent = value(megabytes * MEGABYTE)
    const wire = await Wire.open({ port: memcache.ports[0]! })
    try {
      wire.send(Buffer.concat([Buffer.from(`set large 5 0 ${sent.length}\r\n`), sent, Buffer.from('\r\n')]))
      wire.send(Buffer.from('get large\r\ndelete large\r\n'))
      const [stored, got, deleted] = await wire.memcacheReplies(3, { timeoutMs: TIMEOUT_MS })
      expect(String(stored)).toBe('STORED\r\n')
      const head = `VALUE large 5 ${sent.length}\r\n`
      expect(got!.toString('latin1', 0, head.length)).toBe(head)
      expect(digest(got!.subarray(head.length, head.length + sent.length))).toBe(digest(sent))
      expect(got!.toString('latin1', head.length + sent.length)).toBe('\r\nEND\r\n')
      expect(String(deleted)).toBe('DELETED\r\n')
    } finally {
      wire.destroy()
    }
  })
})

test('large values of several clients and servers at once stay apart', async () => {
  const sizes = [1, 3, 5, 7, 9, 11]
  await Promise.all(
    sizes.map(async (megabytes, index) => {
      const wire = await Wire.open({ port: redis.ports[0]! })
      const sent = value(megabytes * MEGABYTE + index)
      wire.send(encode('SET', `large:${index}`, sent))
      for (let round = 0; round < 3; round++) wire.send(encode('GET', `large:${index}`))
      const [, ...got] = await wire.redisReplies(4, { timeoutMs: TIMEOUT_MS })
      const whole = digest(Buffer.concat([Buffer.from(`$${sent.length}\r\n`), sent, Buffer.from('\r\n')]))
      expect(got.map(digest)).toEqual([whole, whole, whole])
      wire.destroy()
    }),
  )
})

test('large values come together in one MGET after one MSET', async () => {
  const wire = await Wire.open({ port: redis.ports[0]! })
  const pairs = Array.from({ length: 8 }, (_, index) => [`mset:${index}`, value(2 * MEGABYTE + index)] as const)
  wire.send(encode('MSET', ...pairs.flat()))
  wire.send(encode('MGET', ...pairs.map(([key]) => key)))
  const [stored, got] = await wire.redisReplies(2, { timeoutMs: TIMEOUT_MS })
  expect(String(stored)).toBe('+OK\r\n')
  const expected = pairs.flatMap(([, bytes]) => [Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n')])
  expect(digest(got!)).toBe(digest(Buffer.concat([Buffer.from(`*${pairs.length}\r\n`), ...expected])))
  wire.destroy()
})

test("a slow upload does not hold up other clients' requests to the same server", async () => {
  const uploader = await Wire.open({ port: redis.ports[0]! })
  const others = await Promise.all(Array.from({ length: 4 }, () => Wire.open({ port: redis.ports[0]! })))
  const request = encode('SET', 'upload', value(MEGABYTE))
  uploader.send(request.subarray(0, request.length - 1))
  for (const wire of others) {
    for (let round = 0; round < 20; round++) wire.send(encode('SET', 'upload', `${round}`))
    expect((await wire.redisReplies(20)).map(String)).toEqual(Array(20).fill('+OK\r\n'))
  }
  uploader.send(request.subarray(request.length - 1))
  expect(String(await uploader.redisReplies(1))).toBe('+OK\r\n')
  for (const wire of [uploader, ...others]) wire.destroy()
})
