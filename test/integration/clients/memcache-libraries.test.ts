/** The npm clients `memcached` and `memcache-client`, and libmemcached's conformance and load programs, over a pool. */

import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { promisify } from 'node:util'
import { MemcacheClient } from 'memcache-client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { stopAll } from '../../support/processes/child.ts'
import { poolYml, type RunningProxy, serverEntry, startProxy } from '../../support/processes/proxy.ts'
import { startMemcached } from '../../support/processes/servers.ts'
import { waitUntil } from '../../support/wait.ts'

let proxy: RunningProxy
let address: string

beforeAll(async () => {
  const servers = await Promise.all(Array.from({ length: 3 }, () => startMemcached()))
  const entries = servers.map((server, index) => serverEntry(server, `s${index}`))
  const keys = { hash: 'md5', timeout: 5000 }
  proxy = await startProxy({ kind: 'pistachio', workers: 2, yml: poolYml({ keys, servers: entries }) })
  address = `127.0.0.1:${proxy.ports[0]}`
})

afterAll(stopAll)

const KEYS = Array.from({ length: 50 }, (_, i) => `key:${i}`)

describe('memcached', () => {
  /** The client has no types; its methods take arguments and a callback. */
  type Call = (...args: unknown[]) => void
  let client: Record<string, Call>

  beforeAll(() => {
    const Memcached = createRequire(import.meta.url)('memcached') as new (
      server: string,
      options: object,
    ) => Record<string, Call>
    client = new Memcached(address, { poolSize: 4, timeout: 5000, retries: 0 })
  })
  afterAll(() => client.end!())

  function call(method: string, ...args: unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      client[method]!(...args, (error: Error | undefined, result: unknown) => (error ? reject(error) : resolve(result)))
    })
  }

  test('stores, reads and deletes', async () => {
    expect(await call('set', 'm:1', 'héllo', 100)).toBe(true)
    expect(await call('get', 'm:1')).toBe('héllo')
    expect(await call('add', 'm:1', 'x', 100).catch(error => String(error))).toMatch(/not.*stored/i)
    expect(await call('replace', 'm:1', { a: [1] }, 100)).toBe(true)
    expect(await call('get', 'm:1')).toEqual({ a: [1] })
    expect(await call('del', 'm:1')).toBe(true)
    expect(await call('get', 'm:1')).toBe(undefined)
  })

  test('reads many keys at once', async () => {
    await Promise.all(KEYS.map((key, i) => call('set', `m:${key}`, i, 100)))
    const found = (await call('getMulti', [...KEYS.map(key => `m:${key}`), 'm:none'])) as Record<string, number>
    expect(Object.keys(found).sort()).toEqual(KEYS.map(key => `m:${key}`).sort())
    for (const [i, key] of KEYS.entries()) expect(found[`m:${key}`]).toBe(i)
  })

  test('counts, touches, appends, compares and swaps', async () => {
    await call('set', 'm:n', '10', 100)
    expect(await call('incr', 'm:n', 5)).toBe(15)
    expect(await call('decr', 'm:n', 1)).toBe(14)
    expect(await call('touch', 'm:n', 100)).toBe(true)
    await call('set', 'm:a', 'b', 100)
    await call('append', 'm:a', 'c')
    await call('prepend', 'm:a', 'a')
    const { cas } = (await call('gets', 'm:a')) as { cas: string }
    expect(await call('cas', 'm:a', 'new', cas, 100)).toBe(true)
    expect(await call('cas', 'm:a', 'newer', cas, 100)).toBe(false)
    expect(await call('get', 'm:a')).toBe('new')
  })

  test('asks for version, statistics and settings, and flushes', async () => {
    const version = expect.stringMatching(/^1\./)
    expect(await call('version')).toMatchObject([{ version }])
    expect(await call('stats')).toMatchObject([{ version, curr_items: expect.any(Number) }])
    await call('set', 'm:f', 'x', 100)
    expect(await call('flush')).toEqual([true])
    expect(await call('get', 'm:f')).toBe(undefined)
  })
})

describe('memcache-client', () => {
  let client: MemcacheClient

  beforeAll(() => {
    client = new MemcacheClient({ server: { server: address, maxConnections: 4 } })
  })
  afterAll(() => client.shutdown())

  test('stores, reads and deletes', async () => {
    const binary = Buffer.from([0, 13, 10, 255, 69, 78, 68, 13, 10])
    expect(await client.set('c:1', binary)).toEqual(['STORED'])
    expect((await client.get<Buffer>('c:1')) as unknown).toMatchObject({ value: binary })
    expect(await client.delete('c:1')).toEqual(['DELETED'])
    expect(await client.get('c:1')).toBe(undefined)
    await expect(client.delete('c:1')).rejects.toThrow('NOT_FOUND')
  })

  test('requests without a reply never take the reply of another', async () => {
    for (let round = 0; round < 20; round++) {
      const sent = KEYS.map(key => client.set(`c:${key}`, `${key}:${round}`, { noreply: true }))
      // Each connection's sets may overtake those of another; what a key has is its own in any case.
      const read = KEYS.map(async key => {
        const found = (await client.get<string>(`c:${key}`)) as unknown as { value: string } | undefined
        if (found !== undefined) expect(found.value.slice(0, key.length + 1)).toBe(`${key}:`)
      })
      await Promise.all([...sent, ...read])
    }
    type Found = Record<string, { value: string }>
    await waitUntil(async () => {
      const found = (await client.get<string>(KEYS.map(key => `c:${key}`))) as unknown as Found | undefined
      return KEYS.every(key => found?.[`c:${key}`]?.value.startsWith(`${key}:`))
    }, 'every key to have its value')
  })

  test('counts, compares and swaps', async () => {
    await client.set('c:n', '5')
    expect(await client.incr('c:n', 3)).toBe('8')
    expect(await client.decr('c:n', 1)).toBe('7')
    const { casUniq } = (await client.gets('c:n')) as unknown as { casUniq: string }
    expect(await client.cas('c:n', '9', { casUniq })).toEqual(['STORED'])
    await expect(client.cas('c:n', '9', { casUniq })).rejects.toThrow('EXISTS')
    expect(await client.version()).toEqual(['VERSION', expect.stringMatching(/^1\./)])
  })
})

describe('libmemcached', () => {
  const run = promisify(execFile)

  test('memccapable finds the ASCII protocol as it should be', async () => {
    const { stdout } = await run('memccapable', ['-a', '-h', '127.0.0.1', '-p', `${proxy.ports[0]}`, '-t', '10'])
    expect(stdout).toContain('All tests passed')
    expect(stdout).not.toContain('FAIL')
  })

  test.each(['get', 'mget', 'set'])('memcslap runs its %s load from several threads', async load => {
    const args = [
      `--servers=${address}`,
      '--concurrency=8',
      '--execute-number=500',
      '--initial-load=500',
      `--test=${load}`,
    ]
    const { stdout } = await run('memcslap', args, { timeout: 30_000 })
    expect(stdout).toContain('Time total')
  })
})
