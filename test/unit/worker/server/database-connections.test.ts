/** Connections in databases other than 0: opened when needed, bounded, closed when idle, and never in another database than their clients. */

import { afterEach, describe, expect, test } from 'vitest'
import { DATABASE_IDLE_MS, MAX_DATABASE_CONNECTIONS } from '../../../../src/worker/server/database-connections.ts'
import { waitUntil } from '../../../support/wait.ts'
import { encode } from '../../../support/wire/resp.ts'
import type { Wire } from '../../../support/wire/wire.ts'
import { Harness, type HarnessOptions } from '../../../support/worker/harness.ts'
import { type Answer, silent } from '../../../support/worker/scripted-server.ts'

const answerKey: Answer = request => `$${request[1]!.length}\r\n${request[1]}\r\n`

let harness: Harness

async function start(options?: HarnessOptions): Promise<void> {
  harness = await Harness.start({ answer: selecting(answerKey), ...options })
}

afterEach(() => harness.stop())

/** A server that takes SELECT, and answers the rest so. */
function selecting(answer: Answer): Answer {
  return (request, connection) => (request[0] === 'SELECT' ? '+OK\r\n' : answer(request, connection))
}

async function say(wire: Wire, ...args: string[]): Promise<string> {
  wire.send(encode(...args))
  return `${(await wire.redisReplies(1))[0]}`
}

async function wireIn(database: number): Promise<Wire> {
  const wire = await harness.wire()
  expect(await say(wire, 'SELECT', `${database}`)).toBe('+OK\r\n')
  return wire
}

function connections(): number {
  return harness.serverOf(0).connectionCount
}

const TOO_MANY = '-ERR too many databases are in use at this server\r\n'

describe('connections in a database', () => {
  test('are opened by the first request, one for all clients of the database', async () => {
    await start()
    const [one, other] = [await wireIn(3), await wireIn(3)]
    expect(connections()).toBe(0)
    expect(await say(one, 'GET', 'k')).toBe('$1\r\nk\r\n')
    expect(await say(other, 'GET', 'k')).toBe('$1\r\nk\r\n')
    expect(connections()).toBe(1)
    expect(harness.server.peers).toHaveLength(1)
    expect(harness.server.peer.requests).toEqual([
      ['SELECT', '3'],
      ['GET', 'k'],
      ['GET', 'k'],
    ])
  })

  test('are `server_connections` for each database, and apart from those of database 0', async () => {
    await start({ pool: { serverConnections: 3 } })
    for (const database of [0, 1, 2]) {
      const wire = await wireIn(database)
      for (let i = 0; i < 7; i++) expect(await say(wire, 'GET', 'k')).toBe('$1\r\nk\r\n')
      expect(connections()).toBe(3 * (database + 1))
    }
    expect(harness.serverStat(0, 'server_connections')).toBe(9)
  })

  test('are closed after a minute without requests, and those of database 0 stay', async () => {
    await start()
    const [zero, one] = [await wireIn(0), await wireIn(1)]
    await say(zero, 'GET', 'k')
    await say(one, 'GET', 'k')
    harness.passTime(DATABASE_IDLE_MS - 1_000)
    expect(connections()).toBe(2)
    harness.passTime(DATABASE_IDLE_MS + 1_000)
    expect(connections()).toBe(1)
    expect(await say(one, 'GET', 'k')).toBe('$1\r\nk\r\n')
    expect(connections()).toBe(2)
  })

  test('stay while a request is in flight, however long', async () => {
    await start({ answer: selecting(silent) })
    const wire = await wireIn(1)
    wire.send(encode('GET', 'k'))
    await waitUntil(() => harness.server.peers[0]?.requests.length === 2, 'the request')
    harness.passTime(DATABASE_IDLE_MS * 2)
    expect(connections()).toBe(1)
  })
})

describe('the bound', () => {
  test('beyond half of it each database has one connection', async () => {
    await start({ pool: { serverConnections: MAX_DATABASE_CONNECTIONS, databases: 100 } })
    const [first, second] = [await wireIn(1), await wireIn(2)]
    for (let i = 0; i < MAX_DATABASE_CONNECTIONS; i++) await say(first, 'GET', 'k')
    expect(connections()).toBe(MAX_DATABASE_CONNECTIONS / 2)
    for (let i = 0; i < 10; i++) await say(second, 'GET', 'k')
    expect(connections()).toBe(MAX_DATABASE_CONNECTIONS / 2 + 1)
  })

  test('an idle connection makes room', async () => {
    await start({ pool: { databases: 1_000 } })
    const wire = await harness.wire()
    for (let database = 1; database <= MAX_DATABASE_CONNECTIONS + 10; database++) {
      await say(wire, 'SELECT', `${database}`)
      expect(await say(wire, 'GET', 'k')).toBe('$1\r\nk\r\n')
    }
    expect(connections()).toBe(MAX_DATABASE_CONNECTIONS)
  })

  test('without an idle one requests are refused, and nothing else is', async () => {
    await start({ pool: { databases: 1_000 }, answer: selecting(request => (request[1] === 'slow' ? null : '+x\r\n')) })
    for (let database = 1; database <= MAX_DATABASE_CONNECTIONS; database++) {
      ;(await wireIn(database)).send(encode('GET', 'slow'))
    }
    await waitUntil(() => harness.server.peers.every(peer => peer.requests.length === 2), 'requests in every database')
    const more = await wireIn(500)
    more.send(Buffer.concat([encode('GET', 'k'), encode('MGET', 'k', 'j'), encode('PING')]))
    expect((await more.redisReplies(3)).map(String)).toEqual([TOO_MANY, TOO_MANY, '+PONG\r\n'])
    expect(harness.serverStat(0, 'queue_full')).toBe(1)
    expect(harness.serverStat(0, 'server_err')).toBe(0)
    expect(harness.failures(0)).toBe(0)
    expect(await say(await wireIn(0), 'GET', 'k')).toBe('+x\r\n')
    expect(connections()).toBe(MAX_DATABASE_CONNECTIONS + 1)
  })
})

describe('a server that refuses SELECT', () => {
  const refusing: Answer = request => (request[0] === 'SELECT' ? '-ERR DB index is out of range\r\n' : '+wrong\r\n')

  test('executes nothing in another database; the next SELECT says so, for a while', async () => {
    await start({ answer: refusing, pool: { autoEjectHosts: true, serverFailureLimit: 1 } })
    const wire = await wireIn(5)
    wire.send(Buffer.concat([encode('SET', 'k', 'v'), encode('GET', 'k')]))
    const error = '-ERR DB index is out of range\r\n'
    expect((await wire.redisReplies(2)).map(String)).toEqual([error, error])
    expect(harness.server.requests).toEqual([['SELECT', '5']])
    expect(harness.failures(0)).toBe(0)
    expect(harness.logs.messages().join()).toContain('SELECT 5 failed on p | s0: ERR DB index is out of range')
    const next = await harness.wire()
    expect(await say(next, 'SELECT', '6')).toBe(error)
    expect(await say(next, 'GET', 'k')).toMatch(/^-ERR no database is selected/)
    expect(await say(next, 'SELECT', '0')).toBe('+OK\r\n')
    expect(await say(next, 'GET', 'k')).toBe('+wrong\r\n')
  })

  test('ends a transaction that began there', async () => {
    await start({ answer: refusing })
    const wire = await wireIn(5)
    wire.send(Buffer.concat([encode('MULTI'), encode('SET', 'k', 'v'), encode('EXEC')]))
    const replies = (await wire.redisReplies(3)).map(String)
    expect(replies[0]).toBe('+OK\r\n')
    expect(replies[1]).toBe('-ERR DB index is out of range\r\n')
    expect(replies[2]).toMatch(/^-/)
    expect(harness.server.requests).toEqual([['SELECT', '5']])
  })

  test('for want of a right to it, says that', async () => {
    await start({ answer: request => (request[0] === 'SELECT' ? '-NOPERM this user cannot\r\n' : '+wrong\r\n') })
    const wire = await wireIn(5)
    expect(await say(wire, 'GET', 'k')).toBe('-ERR the server refuses SELECT\r\n')
    expect(await say(wire, 'SELECT', '6')).toBe('+OK\r\n')
    expect(await say(wire, 'GET', 'k')).toBe('-ERR the server refuses SELECT\r\n')
    expect(harness.server.requests.map(([name]) => name)).toEqual(['SELECT', 'SELECT'])
  })

  test('on a connection that comes from another database, too', async () => {
    await start({ answer: request => (request[1] === '5' ? '-ERR DB index is out of range\r\n' : '+QUEUED\r\n') })
    const transaction = ['MULTI', 'SET k v', 'DISCARD'].map(line => encode(...line.split(' ')))
    for (const database of [0, 5]) {
      const wire = await wireIn(database)
      wire.send(Buffer.concat(transaction))
      await wire.redisReplies(3)
    }
    expect(harness.server.peers).toHaveLength(1)
    expect(harness.server.requests.map(request => request.join(' '))).toEqual([
      'MULTI',
      'SET k v',
      'DISCARD',
      'SELECT 5',
    ])
  })

  test('nothing is sent before it has answered, large requests included', async () => {
    await start({ answer: request => (request[0] === 'SELECT' ? null : '+OK\r\n') })
    const [large, small] = [await wireIn(1), await wireIn(2)]
    large.send(encode('SET', 'k', 'x'.repeat(3_000_000)))
    small.send(encode('SET', 'k', 'v'))
    await harness.server.received(2)
    expect(harness.server.requests.map(([name]) => name)).toEqual(['SELECT', 'SELECT'])
    for (const peer of harness.server.peers) peer.send('+OK\r\n')
    expect((await Promise.all([large, small].map(wire => wire.redisReplies(1)))).join()).toBe('+OK\r\n,+OK\r\n')
    expect(harness.server.requests.map(([name]) => name)).toEqual(['SELECT', 'SET', 'SELECT', 'SET'])
  })
})

describe('connections that one client has to itself', () => {
  test('go from database to database', async () => {
    await start({ answer: selecting(request => (request[0] === 'EXEC' ? '*1\r\n+OK\r\n' : '+QUEUED\r\n')) })
    for (const database of [0, 2, 2, 0]) {
      const wire = await wireIn(database)
      wire.send(Buffer.concat([encode('MULTI'), encode('SET', 'k', 'v'), encode('EXEC')]))
      await wire.redisReplies(3)
    }
    expect(harness.server.peers).toHaveLength(1)
    expect(
      harness.server.peer.requests.map(([name, argument]) => (name === 'SELECT' ? argument : name)).join(' '),
    ).toBe('MULTI SET EXEC 2 MULTI SET EXEC MULTI SET EXEC 0 MULTI SET EXEC')
  })

  test('are not used again after a transaction with SELECT', async () => {
    await start({ answer: selecting(request => (request[0] === 'EXEC' ? '*2\r\n+OK\r\n+OK\r\n' : '+QUEUED\r\n')) })
    const wire = await wireIn(0)
    wire.send(Buffer.concat(['MULTI', 'SELECT 4', 'SET k v', 'EXEC', 'GET k'].map(line => encode(...line.split(' ')))))
    await wire.redisReplies(5)
    await waitUntil(() => harness.server.peers.length === 2, 'a connection in database 4')
    expect(harness.server.peers[1]!.requests).toEqual([
      ['SELECT', '4'],
      ['GET', 'k'],
    ])
    await waitUntil(() => connections() === 1, 'the end of the transaction’s connection')
  })
})

describe('a reload', () => {
  test('with fewer databases disconnects the clients of those that are gone, once they are answered', async () => {
    await start()
    const [three, four] = [await wireIn(3), await wireIn(4)]
    await say(three, 'GET', 'k')
    await say(four, 'GET', 'k')
    harness.reload({ databases: 4 })
    expect(`${await four.untilClosed()}`).toBe('')
    expect(await say(three, 'GET', 'k')).toBe('$1\r\nk\r\n')
    expect(await say(three, 'SELECT', '4')).toBe('-ERR DB index is out of range\r\n')
    expect(harness.logs.messages().join()).toContain("pool 'p' no longer has database 4")
  })

  test('with another password makes connections in databases anew', async () => {
    await start()
    const wire = await wireIn(3)
    await say(wire, 'GET', 'k')
    harness.reload({ redisAuth: 'secret' })
    expect(await say(wire, 'AUTH', 'secret')).toBe('+OK\r\n')
    expect(await say(wire, 'GET', 'k')).toBe('$1\r\nk\r\n')
    expect(harness.server.peers[1]!.requests.slice(-2)).toEqual([
      ['SELECT', '3'],
      ['GET', 'k'],
    ])
  })

  test('moves their counts to the new memory', async () => {
    await start()
    const wire = await wireIn(3)
    await say(wire, 'GET', 'k')
    harness.reload({ timeoutMs: 500 })
    expect(harness.serverStat(0, 'server_connections')).toBe(1)
    expect(await say(wire, 'GET', 'k')).toBe('$1\r\nk\r\n')
    expect(harness.server.peers).toHaveLength(1)
  })
})
