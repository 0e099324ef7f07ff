import { describe, expect, it } from 'vitest'
import { BadValue } from '../../../src/config/errors.ts'
import { parseListen, resolveBySystem } from '../../../src/config/listen.ts'
import { resolveForTests } from './support.ts'

function parse(value: string) {
  return parseListen(value, resolveForTests)
}

describe('a TCP address', () => {
  it.each([
    ['127.0.0.1:22121', '127.0.0.1', 22121],
    ['localhost:080', '127.0.0.1', 80],
    ['*:1', '::1', 1],
    ['::1:65535', '::1', 65535],
    [':::1', '::', 1],
    ['127.1:4294967297', '127.0.0.1', 1],
  ])('%s is split at its last colon and resolved', async (text, host, port) => {
    expect(await parse(text)).toEqual({ text, host, port, path: '', permission: 0 })
  })

  it.each([
    ['22121', 'has an invalid "hostname:port" format string'],
    ['tmp/a.sock', 'has an invalid "hostname:port" format string'],
    ['127.0.0.1:', 'has an invalid port in "hostname:port" format string'],
    ['127.0.0.1:0', 'has an invalid port in "hostname:port" format string'],
    ['127.0.0.1:65536', 'has an invalid port in "hostname:port" format string'],
    ['127.0.0.1: 80', 'has an invalid port in "hostname:port" format string'],
  ])('%j %s', async (text, problem) => {
    await expect(parse(text)).rejects.toThrow(expect.objectContaining({ name: 'BadValue', message: problem }))
  })

  it.each([
    [':80', '', 'write an address before the colon'],
    ['[::1]:80', '[::1]', 'without brackets'],
    ['no.such.host:80', 'no.such.host', 'does not resolve'],
    ['h\xc3\xb6st:80', 'höst', 'does not resolve'],
  ])('%s that does not resolve is reported with the resolver’s words', async (text, host, remedy) => {
    const error = await parse(text).catch(caught => caught)
    expect(error).toBeInstanceOf(BadValue)
    expect(error.message).toBe('has an invalid value')
    expect(error.before).toEqual([
      `address resolution of node '${host}' service '80' failed: Name or service not known`,
    ])
    expect(error.remedy).toContain(remedy)
  })
})

describe('a unix socket', () => {
  it.each([
    ['/tmp/a.sock', '/tmp/a.sock', 0],
    ['/tmp/a.sock 0666', '/tmp/a.sock', 0o666],
    ['/tmp/a b.sock 777', '/tmp/a b.sock', 0o777],
    ['/tmp/a.sock abc', '/tmp/a.sock', 0],
    ['/tmp/a.sock 999', '/tmp/a.sock', 0],
    ['/tmp/a.sock 0644xyz', '/tmp/a.sock', 0o644],
    ['/tmp/a.sock +644', '/tmp/a.sock', 0o644],
    ['/tmp/a.sock \t644', '/tmp/a.sock', 0o644],
    ['/tmp/a.sock -0', '/tmp/a.sock', 0],
    ['/tmp/a.sock 40000000644', '/tmp/a.sock', 0o644],
    ['/tmp/a.sock ', '/tmp/a.sock', 0],
    [`/${'p'.repeat(106)}`, `/${'p'.repeat(106)}`, 0],
  ])('%j is split at its last space, the permission read as strtol does', async (text, path, permission) => {
    expect(await parse(text)).toEqual({ text, host: '', port: 0, path, permission })
  })

  it.each(['/tmp/a.sock 1000', '/tmp/a.sock -1', `/tmp/a.sock ${'7'.repeat(22)}`])(
    '%s has no such permission',
    async text => {
      await expect(parse(text)).rejects.toThrow(
        'has an invalid file permission in "socket_path permission" format string',
      )
    },
  )

  it('has a path of at most 107 bytes', async () => {
    const error = await parse(`/${'p'.repeat(107)}`).catch(caught => caught)
    expect(error.message).toBe('has an invalid value')
    expect(error.remedy).toContain('108 bytes')
  })
})

describe('the system’s resolver', () => {
  it.each([
    ['127.0.0.1', /^127\.0\.0\.1$/],
    ['127.1', /^127\.0\.0\.1$/],
    ['0', /^0\.0\.0\.0$/],
    ['::', /^::$/],
    ['*', /^(::1|127\.0\.0\.1)$/],
    ['localhost', /^(::1|127\.0\.0\.1)$/],
  ])('knows %s without a network', async (host, address) => {
    expect(await resolveBySystem(host)).toMatch(address)
  })

  it('refuses an empty host', async () => {
    await expect(resolveBySystem('')).rejects.toMatchObject({ code: 'ENOTFOUND' })
  })
})
