import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { probe } from '../../../../src/main/health/prober.ts'
import type { PoolConfig } from '../../../../src/shared/config.ts'
import { listen } from '../../../support/fakes/open-server.ts'
import { poolOf, serverAt } from '../../../support/generation.ts'
import { scratchFolder } from '../../../support/processes/child.ts'
import { freePort } from '../../../support/processes/ports.ts'

const servers: Server[] = []

afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})

interface Answering {
  readonly server: Server
  /** Everything the server was sent. */
  received: string
}

/** A server that answers the first bytes of a connection so; null = never. */
function answering(answer: string | null, pieces = 1): Answering {
  const result: Answering = {
    received: '',
    server: createServer(socket => {
      socket.on('error', () => {})
      socket.on('data', data => {
        result.received += data.toString('latin1')
        if (answer === null) return
        const step = Math.ceil(answer.length / pieces)
        for (let at = 0; at < answer.length; at += step) socket.write(answer.slice(at, at + step))
      })
    }),
  }
  servers.push(result.server)
  return result
}

async function probeAt(answer: string | null, pool: Partial<PoolConfig> = {}, pieces = 1): Promise<[string, string]> {
  const fake = answering(answer, pieces)
  const port = await listen(fake.server)
  return [await probe(poolOf('p', { timeoutMs: 100, ...pool }), serverAt('s', port)), fake.received]
}

describe('redis', () => {
  test('a PONG is healthy', async () => {
    expect(await probeAt('+PONG\r\n')).toEqual(['', '*1\r\n$4\r\nPING\r\n'])
  })

  test('an answer in pieces is put together', async () => {
    expect((await probeAt('+PONG\r\n', {}, 7))[0]).toBe('')
  })

  test.each([
    '-LOADING Redis is loading the dataset in memory',
    "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    '-NOAUTH Authentication required.',
  ])('%s is down', async line => {
    expect((await probeAt(`${line}\r\n`))[0]).toBe(`it answers '${line}'`)
  })

  test('the password of the pool goes first, byte for byte', async () => {
    const [problem, received] = await probeAt('+OK\r\n+PONG\r\n', { redisAuth: 'p\u00e4ss' })
    expect(problem).toBe('')
    expect(received).toBe('*2\r\n$4\r\nAUTH\r\n$4\r\np\u00e4ss\r\n*1\r\n$4\r\nPING\r\n')
  })

  test('a wrong password is down', async () => {
    const answer =
      '-WRONGPASS invalid username-password pair or user is disabled.\r\n-NOAUTH Authentication required.\r\n'
    expect((await probeAt(answer, { redisAuth: 'x' }))[0]).toContain('WRONGPASS')
  })

  test('a server that says nothing is down after the timeout of the pool', async () => {
    expect((await probeAt(null))[0]).toBe('the answer timed out')
  })

  test('an answer without an end is not waited for', async () => {
    expect((await probeAt('+'.repeat(5_000), { timeoutMs: 10_000 }))[0]).toBe('its answer has no end')
  })
})

test('a memcached that tells its version is healthy, one that does not is down', async () => {
  expect(await probeAt('VERSION 1.6.18\r\n', { redis: false })).toEqual(['', 'version\r\n'])
  expect((await probeAt('ERROR\r\n', { redis: false }))[0]).toBe("it answers 'ERROR'")
})

test('a server that cannot be reached is down, with the reason', async () => {
  const port = await freePort()
  expect(await probe(poolOf('p'), serverAt('s', port))).toBe('Connection refused')
  expect(await probe(poolOf('p'), serverAt('s', port, 'no-such-host.invalid'))).toMatch(/^(Name or service|Temporary)/)
})

test('a server that closes at once is down', async () => {
  const server = createServer(socket => socket.end())
  servers.push(server)
  const port = await listen(server)
  expect(await probe(poolOf('p'), serverAt('s', port))).not.toBe('')
})

test('a unix-domain server is asked at its path', async () => {
  const path = join(scratchFolder(), 'server.sock')
  const { server } = answering('+PONG\r\n')
  await new Promise<void>(resolve => server.listen(path, resolve))
  expect(await probe(poolOf('p'), { ...serverAt('s'), path })).toBe('')
  expect(await probe(poolOf('p'), { ...serverAt('s'), path: `${path}.none` })).toBe('No such file or directory')
})
