import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { isSetting, type NumberDirective } from '../../../src/config/directive.ts'
import { DIRECTIVES, defaultSettings } from '../../../src/config/directives.ts'
import { nearestKey } from '../../../src/config/nearest-key.ts'
import { poolOf, poolText, problemOf } from './support.ts'

const numbers = DIRECTIVES.filter((each): each is NumberDirective => each.type === 'number')
const INT_MAX = 2147483647

describe('the table', () => {
  it('names every key and every field once', () => {
    expect(new Set(DIRECTIVES.map(each => each.key)).size).toBe(DIRECTIVES.length)
    expect(new Set(DIRECTIVES.map(each => each.field)).size).toBe(DIRECTIVES.length)
  })

  it('holds exactly nutcracker’s keys beside our own', () => {
    const keys = DIRECTIVES.filter(each => !each.own).map(each => each.key)
    expect(keys.toSorted().join(' ')).toBe(
      'auto_eject_hosts backlog client_connections distribution hash hash_tag listen preconnect redis redis_auth redis_db ' +
        'reuseport server_connections server_failure_limit server_retry_timeout servers tcpkeepalive timeout',
    )
  })

  it('has defaults within their own ranges', () => {
    for (const each of numbers) {
      // 0 stands for a value that the process chooses.
      if (each.default !== 0) expect(each.default).toBeGreaterThanOrEqual(each.min)
      expect(each.default).toBeLessThanOrEqual(each.max)
    }
  })

  it('gives a pool without settings its defaults', async () => {
    expect(await poolOf()).toMatchObject(defaultSettings())
  })
})

describe.each(numbers)('$key', directive => {
  const set = (value: number | string) => `${directive.key}: ${value}`
  // 0 acts as 1 in nutcracker.
  const stored = (value: number) => (directive.key === 'server_failure_limit' ? Math.max(1, value) : value)

  it('accepts its least and its greatest number', async () => {
    expect((await poolOf(set(directive.min)))[directive.field]).toBe(stored(directive.min))
    expect((await poolOf(set(directive.max)))[directive.field]).toBe(stored(directive.max))
  })

  it('refuses what is no number', async () => {
    for (const value of ['-1', '1.5', 'many', '0x10', '1e3', '2147483648']) {
      const { lines, reason } = await problemOf(poolText(set(value)))
      expect(lines).toEqual([`conf: directive "${directive.key}" is not a number`])
      expect(reason).toContain(
        `F:3:${directive.key.length + 5}: directive "${directive.key}" is not a number: "${value}"; write `,
      )
      expect(reason).toContain(`from ${directive.min} to ${directive.max} (${directive.unit})`)
    }
  })

  it.runIf(directive.own)('refuses numbers beyond its range', async () => {
    const outside = [directive.min - 1, directive.max + 1].filter(value => value >= 0 && value <= INT_MAX)
    for (const value of outside) {
      const { lines } = await problemOf(poolText(set(value)))
      expect(lines).toEqual([`conf: directive "${directive.key}" is not between ${directive.min} and ${directive.max}`])
    }
  })
})

it('refuses 0 server_connections in nutcracker’s words', async () => {
  const { lines, reason } = await problemOf(poolText('server_connections: 0'))
  expect(lines).toEqual(['conf: directive "server_connections:" cannot be 0'])
  expect(reason).toMatch(/^F:3:3: /)
})

describe.each(DIRECTIVES.filter(each => each.type === 'bool'))('$key', ({ key, field }) => {
  it('accepts true and false, quoted or not', async () => {
    expect((await poolOf(`${key}: true`))[field]).toBe(true)
    expect((await poolOf(`${key}: "true"`))[field]).toBe(true)
    expect((await poolOf(`${key}: false`))[field]).toBe(false)
  })

  it.each(['yes', 'True', '1', 'on', 'true '])('refuses %j', async value => {
    const { lines, reason } = await problemOf(poolText(`${key}: '${value}'`))
    expect(lines).toEqual([`conf: directive "${key}" is not "true" or "false"`])
    expect(reason).toContain(`"${value}"; write true or false`)
  })
})

describe.each(DIRECTIVES.filter(each => each.type === 'name'))('$key', ({ key, field, names }) => {
  it.each(names)('accepts %s', async name => {
    expect((await poolOf(`${key}: ${name}`))[field]).toBe(name)
  })

  it('names the accepted ones when it refuses', async () => {
    const { lines, reason } = await problemOf(poolText(`${key}: ${names[0]!.toUpperCase()}`))
    expect(lines).toEqual([`conf: directive "${key}" is not a valid ${key}`])
    expect(reason).toContain(names.join(', '))
  })
})

describe.each(DIRECTIVES.filter(isSetting))('$key', directive => {
  const { key, type } = directive
  it('may be given once', async () => {
    const name = directive.type === 'name' ? directive.names[0]! : ''
    const line = `${key}: ${{ number: '4096', bool: 'true', name, 'hash-tag': '"{}"', text: 'x' }[type]}`
    const { lines, reason } = await problemOf(poolText('redis_db: 0', line, line).replace(/ {2}redis_db: 0\n/, ''))
    expect(lines).toEqual([`conf: directive "${key}" is a duplicate`])
    expect(reason).toContain('line 3 sets it already')
  })
})

describe('hash_tag', () => {
  it.each([
    ['"{}"', [0x7b, 0x7d]],
    ['$$', [0x24, 0x24]],
    ['é', [0xc3, 0xa9]],
  ])('%s is two bytes', async (value, bytes) => {
    expect((await poolOf(`hash_tag: ${value}`)).hashTag).toEqual(bytes)
  })

  it.each(['"{"', '"{}}"', '日'])('%s is not', async value => {
    const { lines } = await problemOf(poolText(`hash_tag: ${value}`))
    expect(lines).toEqual(['conf: directive "hash_tag" is not a valid hash tag string with two characters'])
  })
})

describe('redis_auth', () => {
  it('is kept byte for byte', async () => {
    expect((await poolOf('redis: true', 'redis_auth: pä"ß')).redisAuth).toBe(Buffer.from('pä"ß').toString('latin1'))
  })

  it('is never shown in a message', async () => {
    const twice = await problemOf(poolText('redis: true', 'redis_auth: hush1', 'redis_auth: hush2'))
    const memcached = await problemOf(poolText('redis_auth: hush1'))
    for (const { lines, reason } of [twice, memcached]) expect([...lines, reason].join()).not.toContain('hush')
  })
})

describe('databases', () => {
  it.each(['strict: true', 'redis_db: 3'])('are one with %s, and nothing else is possible', async line => {
    expect((await poolOf('redis: true', line)).databases).toBe(1)
    expect((await poolOf('redis: true', line, 'databases: 1')).databases).toBe(1)
    const { lines, reason } = await problemOf(poolText('redis: true', line, 'databases: 2'))
    const other = line.split(':')[0]
    expect(lines).toEqual([`conf: directive "databases:" cannot be above 1 with "${other}"`])
    expect(reason).toBe(
      `F:5:3: directive "databases" cannot be above 1 with "${other}"; write 1, or remove one of the two lines`,
    )
  })

  it('are 16 otherwise', async () => {
    expect((await poolOf('redis: true', 'redis_db: 0')).databases).toBe(16)
    expect((await poolOf('redis: true', 'databases: 40')).databases).toBe(40)
  })
})

describe('an unknown key', () => {
  it.each([
    ['Redis', 'redis'],
    ['time_out', 'timeout'],
    ['time-out', 'timeout'],
    ['auto-eject-hosts', 'auto_eject_hosts'],
    ['server', 'servers'],
    ['tcp_keepalive', 'tcpkeepalive'],
    ['hashtag', 'hash_tag'],
    ['server_retry_timout', 'server_retry_timeout'],
    ['preconect', 'preconnect'],
  ])('%s was meant to be %s', async (key, nearest) => {
    const { lines, reason } = await problemOf(poolText(`${key}: 1`))
    expect(lines).toEqual([`conf: directive "${key}" is unknown`])
    expect(reason).toBe(`F:3:3: directive "${key}" is unknown; did you mean "${nearest}"?`)
  })

  it.each(['foo', '<<', 'sentinels', 'x', ''])('%j is like none', key => {
    expect(nearestKey(key)).toBeNull()
  })
})

it('documents every key in the example configuration', () => {
  const example = readFileSync(new URL('../../../conf/nutcracker.yml', import.meta.url), 'utf8')
  const own = DIRECTIVES.filter(each => each.own).map(each => each.key)
  for (const key of own) expect(example).toMatch(new RegExp(`^ *(# )?${key}: `, 'm'))
})
