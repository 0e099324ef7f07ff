import { describe, expect, it } from 'vitest'
import { compareNames } from '../../../src/config/validate.ts'
import { configOf, poolOf, poolText, problemOf } from './support.ts'

function pool(name: string, listen: string, ...servers: readonly string[]): string {
  const list = servers.map(server => `    - ${server}\n`).join('')
  return `${name}:\n  listen: ${listen}\n  servers:\n${list}`
}

describe('order', () => {
  it('is by length, then by bytes', () => {
    const names = ['b', 'aa', 'ab', 'Z', '', '\xc3\xa9', 'zz', 'a']
    expect(names.toSorted(compareNames)).toEqual(['', 'Z', 'a', 'b', 'aa', 'ab', 'zz', '\xc3\xa9'])
  })

  it('holds for servers in a pool', async () => {
    const config = await configOf(pool('p', 'localhost:1', 'h:1:1 b', 'h:1:1 aa', 'h:1:1 ab', 'h:1:1 é', 'h:1:1 a'))
    expect(config.pools[0]!.servers.map(server => server.name)).toEqual(['a', 'b', 'aa', 'ab', '\xc3\xa9'])
  })

  it('holds for pools', async () => {
    const text = ['beta', 'z', 'alpha', 'b'].map((name, at) => pool(name, `localhost:${at + 1}`, 'h:1:1')).join('')
    expect((await configOf(text)).pools.map(each => each.name)).toEqual(
      ['b', 'z', 'beta', 'alpha'].toSorted(compareNames),
    )
  })
})

describe('the first error in the order of nutcracker’s passes wins', () => {
  it.each([
    [
      'a directive of the second pool before the first pool’s missing listen',
      `${pool('a', 'x', 'h:1:1').replace('  listen: x\n', '')}${pool('b', 'localhost', 'h:1:1')}`,
      'conf: directive "listen" has an invalid "hostname:port" format string',
    ],
    [
      'a missing listen before 0 server_connections',
      poolText('server_connections: 0').replace('  listen: 127.0.0.1:22121\n', ''),
      'conf: directive "listen:" is missing',
    ],
    [
      '0 server_connections before a password without redis',
      poolText('redis_auth: x', 'server_connections: 0'),
      'conf: directive "server_connections:" cannot be 0',
    ],
    [
      'a password without redis before missing servers',
      'p:\n  listen:\n    - localhost:1\n  redis_auth: x\n',
      'conf: directive "redis_auth:" is only valid for a redis pool',
    ],
    [
      'servers of the same name before pools of the same listen text',
      pool('a', 'localhost:1', 'h:1:1') + pool('b', 'localhost:1', 'h:1:1', 'h:1:2'),
      "conf: pool 'b' has servers with same name 'h:1'",
    ],
    [
      'the same listen text before the same pool name',
      pool('a', 'localhost:1', 'h:1:1') + pool('a', 'localhost:1', 'h:1:1'),
      "conf: pools 'a' and 'a' have the same listen address 'localhost:1'",
    ],
    [
      'the shorter of two repeated listen texts',
      [
        ['a', 'localhost:10'],
        ['b', 'localhost:10'],
        ['c', 'localhost:2'],
        ['d', 'localhost:2'],
      ]
        .map(([name, listen]) => pool(name!, listen!, 'h:1:1'))
        .join(''),
      "conf: pools 'c' and 'd' have the same listen address 'localhost:2'",
    ],
  ])('%s', async (_, text, line) => {
    expect((await problemOf(text)).lines).toEqual([line])
  })

  it('also where the listen host does not resolve', async () => {
    const { lines } = await problemOf(
      pool('p', 'no.such.host:1', 'h:1:1').replace('  servers', '  timeout: x\n  servers'),
    )
    expect(lines[0]).toBe("address resolution of node 'no.such.host' service '1' failed: Name or service not known")
  })

  it('an empty value is refused without a line, in its turn', async () => {
    expect((await problemOf(poolText('timeout: x', "hash: ''"))).lines).toEqual([
      'conf: directive "timeout" is not a number',
    ])
    expect(await problemOf(poolText("hash: ''", 'timeout: x'))).toMatchObject({
      lines: [],
      reason: expect.stringContaining('F:3:9: an empty value'),
    })
    expect(await problemOf(poolText("'': x"))).toMatchObject({
      lines: [],
      reason: expect.stringContaining('F:3:3: an empty value'),
    })
    expect(await problemOf(pool("''", 'localhost:1', 'h:1:1'))).toMatchObject({
      lines: [],
      reason: expect.stringContaining('F:1:1: '),
    })
  })
})

describe('reasons name the place and the remedy', () => {
  it.each([
    [
      pool('p', 'localhost:1', 'h:1:1 x', 'h:2:1 x'),
      'F:5:7: a second server with the name "x", after the one on line 4; give one of them a name of its own',
    ],
    [
      pool('a', 'localhost:1', 'h:1:1') + pool('b', 'localhost:1', 'h:1:1'),
      'F:6:3: the same listen address as pool "a" on line 1: "localhost:1"; give each pool its own',
    ],
    [
      pool('ä', 'localhost:1', 'h:1:1') + pool('ä', 'localhost:2', 'h:1:1'),
      'F:5:1: a second pool with the name "ä", after the one on line 1; rename one of them',
    ],
    [
      'pö:\n  listen:\n    - localhost:1\n',
      'F:1:1: pool "pö" has no "servers"; add one, for instance "- 127.0.0.1:6379:1"',
    ],
    [
      poolText('timeout: 1.5'),
      'F:3:12: directive "timeout" is not a number: "1.5"; write digits only, from 0 to 2147483647 (ms)',
    ],
    [
      poolText(`timeout: ${'x'.repeat(200)}`),
      `F:3:12: directive "timeout" is not a number: "${'x'.repeat(80)}…"; write digits only, from 0 to 2147483647 (ms)`,
    ],
  ])('%j', async (text, reason) => {
    expect((await problemOf(text)).reason).toBe(reason)
  })
})

describe('names in nutcracker’s lines', () => {
  it('are readable text where they are not ASCII', async () => {
    const text = pool('ä', 'localhost:1', 'h:1:1 ü', 'h:2:1 ü')
    expect((await problemOf(text)).lines).toEqual(["conf: pool 'ä' has servers with same name 'ü'"])
    expect((await problemOf(poolText('größe: 1'))).lines).toEqual(['conf: directive "größe" is unknown'])
    const twins = pool('ä', '/tmp/ö', 'h:1:1') + pool('ä', '/tmp/ö', 'h:1:1')
    expect((await problemOf(twins)).lines).toEqual(["conf: pools 'ä' and 'ä' have the same listen address '/tmp/ö'"])
  })
})

it('keeps names byte for byte, as Latin-1 text', async () => {
  const config = await configOf(pool('日本', 'localhost:1', 'h:1:1 ü'))
  expect(Buffer.from(config.pools[0]!.name, 'latin1').toString('utf8')).toBe('日本')
  expect(Buffer.from(config.pools[0]!.servers[0]!.name, 'latin1').toString('utf8')).toBe('ü')
})

it('freezes everything', async () => {
  const config = await configOf(poolText('hash_tag: "{}"'))
  const only = config.pools[0]!
  for (const part of [config, config.pools, only, only.listen, only.hashTag, only.servers, only.servers[0]]) {
    expect(Object.isFrozen(part)).toBe(true)
  }
})

it('can be cloned to a worker', async () => {
  const config = await configOf(poolText('redis: true', 'hash_tag: "{}"'))
  expect(structuredClone(config)).toEqual(config)
})

it('lets 0 failures act as 1, and timeout 0 as none', async () => {
  expect(await poolOf('server_failure_limit: 0', 'timeout: 0')).toMatchObject({ serverFailureLimit: 1, timeoutMs: 0 })
})

it('adds a further "servers" value to the list', async () => {
  const config = await configOf(`${poolText()}  servers: 127.0.0.1:6380:2 two\n`)
  expect(config.pools[0]!.servers.map(server => server.weight)).toEqual([2, 1])
})

it('refuses more servers than a ring table can number', async () => {
  const servers = Array.from({ length: 65537 }, (_, at) => `h:1:1 n${at}`)
  const { lines, reason } = await problemOf(pool('p', 'localhost:1', ...servers))
  expect(lines).toEqual(["conf: pool 'p' has more than 65536 servers"])
  expect(reason).toMatch(/^F:65540:7: /)
})
