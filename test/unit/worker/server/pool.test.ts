/** What a reload means to a worker: pools, servers, connections, statistics. */

import { afterEach, describe, expect, test } from 'vitest'
import type { PoolConfig } from '../../../../src/shared/config.ts'
import { WorkerBlock } from '../../../../src/shared/memory-layout.ts'
import { ProcessStat } from '../../../../src/shared/stat-fields.ts'
import type { PoolClients } from '../../../../src/worker/client/pool-clients.ts'
import { ConnectionPhase } from '../../../../src/worker/server/server-connection.ts'
import { poolOf, serverAt } from '../../../support/generation.ts'
import { waitUntil } from '../../../support/wait.ts'
import { encode } from '../../../support/wire/resp.ts'
import type { Wire } from '../../../support/wire/wire.ts'
import { Harness, type HarnessOptions } from '../../../support/worker/harness.ts'
import { answerWithKey, bulk, ScriptedServer, silent } from '../../../support/worker/scripted-server.ts'

const QUEUE_GAUGES = ['in_queue', 'in_queue_bytes', 'out_queue', 'out_queue_bytes', 'server_connections'] as const

let harness: Harness

async function start(options?: HarnessOptions): Promise<void> {
  harness = await Harness.start(options)
}

afterEach(() => harness.stop())

async function texts(wire: Wire, count: number): Promise<string[]> {
  return (await wire.redisReplies(count)).map(reply => reply.toString('latin1'))
}

/** A server's gauges in the present memory. */
function gauges(server: number): number[] {
  return QUEUE_GAUGES.map(name => harness.serverStat(server, name))
}

function connectionsInAll(): number {
  return harness.context.row[ProcessStat.currConnections]!
}

/** The row that the worker had before a reload, as it is now. */
function rowBefore(): Float64Array {
  return harness.pool.row
}

describe('a reload', () => {
  test('moves what clients and servers have under way to the new memory, and leaves nothing in the old', async () => {
    await start({ servers: 2, answer: silent })
    const wire = await harness.wire()
    const keys = [0, 1].map(server => harness.keyFor(server))
    wire.send(Buffer.concat(keys.map(key => encode('GET', key))))
    for (const server of harness.servers) await server.received(1)
    const old = rowBefore()
    const before = [gauges(0), gauges(1)]
    const connections = connectionsInAll()
    const block = harness.context.block
    harness.reload({ timeoutMs: 5000 })
    expect(rowBefore()).not.toBe(old)
    expect([gauges(0), gauges(1)]).toEqual(before)
    expect(harness.poolStat('client_connections')).toBe(1)
    expect(connectionsInAll()).toBe(connections)
    expect(Atomics.load(harness.context.block, WorkerBlock.clients)).toBe(1)
    expect(Atomics.load(block, WorkerBlock.clients)).toBe(0)
    // Gauges only: counters of the old generation stay where the primary adds them up.
    const { statBase, layout } = harness.pool
    expect(old[statBase + 2]).toBe(0)
    for (const server of [0, 1]) {
      const base = layout.serverStat(0, server)
      expect([old[base + 3], ...old.slice(base + 9, base + 13)]).toEqual([0, 0, 0, 0, 0])
    }
    for (const server of harness.servers) server.peer.send('+late\r\n')
    expect(await texts(wire, 2)).toEqual(['+late\r\n', '+late\r\n'])
    expect(gauges(0)).toEqual([0, 0, 0, 0, 1])
  })

  test('keeps connections of servers that stay, also at another place, and ends those of servers that go', async () => {
    await start({ servers: 3, answer: silent })
    const wire = await harness.wire()
    for (const server of [0, 1, 2]) wire.send(encode('GET', harness.keyFor(server)))
    for (const server of harness.servers) await server.received(1)
    const [first, , last] = harness.config.servers
    harness.reload({ servers: [last!, first!] })
    expect(harness.pool.busy).toBe(true)
    for (const server of harness.servers) server.peer.send(bulk(`${server.port}`))
    const ports = harness.servers.map(server => bulk(`${server.port}`))
    expect(await texts(wire, 3)).toEqual(ports)
    await waitUntil(() => harness.servers[1]!.peer.ended, 'the connection of the server that went to be closed')
    expect(harness.servers.map(server => server.openPeers.length)).toEqual([1, 1, 1])
    expect(gauges(0)[4]).toBe(1)
    wire.send(encode('GET', harness.keyFor(0)))
    await harness.servers[2]!.received(2)
    harness.servers[2]!.peer.send('+moved\r\n')
    expect(await texts(wire, 1)).toEqual(['+moved\r\n'])
    expect(harness.servers[2]!.peers.length).toBe(1)
  })

  test('a server with another address under its name is another server', async () => {
    await start({ answer: silent })
    const other = await ScriptedServer.start(answerWithKey)
    const wire = await harness.wire()
    wire.send(encode('GET', 'a'))
    await harness.server.received(1)
    harness.reload({ servers: [serverAt('s0', other.port)] })
    wire.send(encode('GET', 'b'))
    await other.received(1)
    harness.server.peer.send(bulk('old'))
    expect(await texts(wire, 2)).toEqual([bulk('old'), bulk('value-of-b')])
    await waitUntil(() => harness.server.peer.ended, 'the old connection to be closed')
    await other.stop()
  })

  test('a second reload while connections of the first are still leaving counts right', async () => {
    await start({ answer: silent })
    const wire = await harness.wire()
    wire.send(encode('GET', 'a'))
    await harness.server.received(1)
    harness.reload({ redisDb: 1 })
    harness.reload({ redisDb: 2 })
    const before = gauges(0)
    expect(before).toEqual([0, 0, 1, encode('GET', 'a').length, 1])
    harness.reload({ redisDb: 3 })
    expect(gauges(0)).toEqual(before)
    harness.server.peer.send(bulk('a'))
    expect(await texts(wire, 1)).toEqual([bulk('a')])
    await waitUntil(() => harness.server.peer.ended, 'the connection to be closed')
    expect(gauges(0)).toEqual([0, 0, 0, 0, 0])
  })

  test('with another password: connections greet anew, clients that need none any more are let in', async () => {
    await start({ pool: { redisAuth: 'old' } })
    const wire = await harness.wire()
    wire.send(encode('GET', 'a'))
    expect((await texts(wire, 1))[0]).toMatch(/^-NOAUTH/)
    harness.reload({ redisAuth: '' })
    wire.send(encode('GET', 'a'))
    expect(await texts(wire, 1)).toEqual([bulk('value-of-a')])
    harness.reload({ redisAuth: 'new' })
    wire.send(encode('GET', 'b'))
    expect(await texts(wire, 1)).toEqual([bulk('value-of-b')])
    expect(harness.server.peer.requests).toEqual([
      ['AUTH', 'new'],
      ['GET', 'b'],
    ])
  })

  test('of server_tcpkeepalive replaces connections, which have it from their beginning', async () => {
    await start()
    const wire = await harness.wire()
    wire.send(encode('GET', 'a'))
    await texts(wire, 1)
    const old = harness.connectionTo(0)
    harness.reload({ tcpKeepaliveIdleSec: 7 })
    expect(harness.connectionTo(0)).toBe(old)
    harness.reload({ serverTcpKeepalive: true })
    expect(harness.connectionTo(0)).not.toBe(old)
    await waitUntil(() => old.isClosed, 'the old connection to be closed')
  })

  test('of a timeout does not touch requests that were sent without one', async () => {
    await start({ answer: silent })
    const wire = await harness.wire()
    wire.send(encode('GET', 'a'))
    await harness.server.received(1)
    harness.reload({ timeoutMs: 50_000 })
    wire.send(encode('GET', 'b'))
    await harness.server.received(2)
    harness.passTime(1)
    harness.server.peer.send('+1\r\n+2\r\n')
    expect(await texts(wire, 2)).toEqual(['+1\r\n', '+2\r\n'])
  })

  test('while a connect is under way', async () => {
    await start()
    const wire = await harness.wire()
    harness.pool.preconnect()
    const connection = harness.connectionTo(0)
    expect(connection.phase).toBe(ConnectionPhase.connecting)
    harness.reload({ timeoutMs: 5000 })
    wire.send(encode('GET', 'a'))
    expect(await texts(wire, 1)).toEqual([bulk('value-of-a')])
    expect(harness.connectionTo(0)).toBe(connection)
    expect(gauges(0)).toEqual([0, 0, 0, 0, 1])
  })
})

describe('a pool that a reload removes', () => {
  /** Replaces the pool by another; the harness looks at that one from now on. */
  function replacePool(): PoolClients {
    const old = harness.clients
    const other: PoolConfig = poolOf('q', { servers: [...harness.config.servers] })
    harness.adopt([other])
    return old
  }

  test('its idle clients go at once, the others when they are answered; then its servers', async () => {
    await start({ answer: silent })
    const idle = await harness.wire()
    const busy = await harness.wire()
    busy.send(encode('GET', 'a'))
    await harness.server.received(1)
    const old = replacePool()
    await idle.untilClosed()
    expect(old.members.size).toBe(1)
    harness.server.peer.send(bulk('a'))
    expect(String(await busy.untilClosed())).toBe(bulk('a'))
    busy.destroy()
    await waitUntil(() => harness.server.peer.ended, 'the connection to be closed')
    expect(connectionsInAll()).toBe(0)
    expect(Atomics.load(harness.context.block, WorkerBlock.clients)).toBe(0)
  })

  test('its requests expire like others', async () => {
    await start({ answer: silent, pool: { timeoutMs: 200 } })
    const wire = await harness.wire()
    wire.send(encode('GET', 'a'))
    await harness.server.received(1)
    replacePool()
    expect(String(await wire.untilClosed())).toBe('-ERR Connection timed out\r\n')
  })

  test('a client in the middle of a request may finish it, and its server connection does not stay', async () => {
    await start()
    const wire = await harness.wire()
    const get = encode('GET', 'a')
    wire.send(get.subarray(0, 10))
    await waitUntil(() => harness.client.socket.bytesRead === 10, 'a part of the request')
    const old = replacePool()
    wire.send(get.subarray(10))
    expect(String(await wire.untilClosed())).toBe(bulk('value-of-a'))
    wire.destroy()
    await waitUntil(
      () => old.pool.servers.every(server => server.connectionCount === 0),
      'its connections to be closed',
    )
    expect(connectionsInAll()).toBe(0)
  })

  test('one of another protocol under the same name is another pool', async () => {
    await start()
    const wire = await harness.wire()
    const old = harness.pool
    harness.reload({ redis: false })
    expect(harness.pool).not.toBe(old)
    await wire.untilClosed()
  })

  test('a drain waits for its clients, too', async () => {
    await start({ answer: silent })
    const wire = await harness.wire()
    wire.send(encode('GET', 'a'))
    await harness.server.received(1)
    replacePool()
    harness.context.drain(10_000)
    expect(harness.posts).toEqual([])
    harness.server.peer.send(bulk('a'))
    await wire.untilClosed()
    wire.destroy()
    await waitUntil(() => harness.posts.length > 0, 'the worker to report')
    expect(harness.posts).toEqual([{ type: 'drained' }])
  })
})

describe('clients', () => {
  test('an idle one is closed after client_idle_timeout; one that waits for a reply is not', async () => {
    await start({ answer: silent, pool: { clientIdleTimeoutMs: 100 } })
    const waiting = await harness.wire()
    waiting.send(encode('GET', 'a'))
    await harness.server.received(1)
    const idle = await harness.wire()
    await idle.untilClosed()
    expect(harness.poolStat('client_idle')).toBe(1)
    harness.server.peer.send(bulk('a'))
    expect(await texts(waiting, 1)).toEqual([bulk('a')])
    await waiting.untilClosed()
    expect(harness.poolStat('client_idle')).toBe(2)
  })
})
