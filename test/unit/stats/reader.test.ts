import { beforeEach, describe, expect, test } from 'vitest'
import type { SharedLayout } from '../../../src/shared/memory-layout.ts'
import type { Generation } from '../../../src/shared/messages.ts'
import { PoolStat, ProcessStat, ServerStat } from '../../../src/shared/stat-fields.ts'
import { StatsReader } from '../../../src/stats/reader.ts'
import { configOf, generationOf, layoutOf, poolOf, serverAt } from '../../support/generation.ts'

const WORKERS = 2

let reader: StatsReader
let generation: Generation
let layout: SharedLayout

function show(next: Generation): void {
  generation = next
  layout = layoutOf(next, WORKERS)
  reader.addGeneration(next, WORKERS)
}

function row(index: number): Float64Array {
  return layout.row(generation.shared, index)
}

beforeEach(() => {
  reader = new StatsReader()
  show(generationOf(configOf(poolOf('p'), poolOf('mc', { servers: [serverAt('m')] })), WORKERS))
})

describe('one generation', () => {
  test('adds up all threads, field by field', () => {
    for (const [index, value] of [1, 10, 100].entries()) {
      row(index)[ProcessStat.totalConnections] = value
      row(index)[layout.poolStat(1) + PoolStat.forwardError] = value * 2
      row(index)[layout.serverStat(0, 1) + ServerStat.requests] = value * 3
    }
    const { process, pools } = reader.snapshot()
    expect(process[ProcessStat.totalConnections]).toBe(111)
    expect(pools[1].values[PoolStat.forwardError]).toBe(222)
    expect(pools[0].servers[1].values[ServerStat.requests]).toBe(333)
    expect(pools[0].servers[0].values[ServerStat.requests]).toBe(0)
  })

  test('shows pools and servers in the order of the configuration', () => {
    const names = reader.snapshot().pools.map(pool => [pool.name, pool.servers.map(server => server.name)])
    expect(names).toEqual([
      ['p', ['a', 'b']],
      ['mc', ['m']],
    ])
  })

  test('takes the latest of several times', () => {
    row(0)[layout.serverStat(0, 0) + ServerStat.ejectedAt] = 5_000
    row(1)[layout.serverStat(0, 0) + ServerStat.ejectedAt] = 4_000
    expect(reader.snapshot().pools[0].servers[0].values[ServerStat.ejectedAt]).toBe(5_000)
  })

  test('a worker that is gone keeps its counters and loses its gauges', () => {
    for (const index of [1, 2]) {
      row(index)[ProcessStat.currConnections] = 7
      row(index)[layout.poolStat(0) + PoolStat.clientConnections] = 4
      row(index)[layout.poolStat(0) + PoolStat.clientEof] = 9
      row(index)[layout.serverStat(0, 0) + ServerStat.outQueueBytes] = 50
    }
    reader.workerGone(0)
    const { process, pools } = reader.snapshot()
    expect(process[ProcessStat.currConnections]).toBe(7)
    expect(pools[0].values[PoolStat.clientConnections]).toBe(4)
    expect(pools[0].values[PoolStat.clientEof]).toBe(18)
    expect(pools[0].servers[0].values[ServerStat.outQueueBytes]).toBe(50)
  })
})

describe('across generations', () => {
  const requestsOfA = (): number => reader.snapshot().pools[0].servers[0].values[ServerStat.requests]

  test('counters go on where they were while workers adopt one after the other', () => {
    row(1)[layout.serverStat(0, 0) + ServerStat.requests] = 5
    row(2)[layout.serverStat(0, 0) + ServerStat.requests] = 6
    const oldRow = row(2)
    const oldAt = layout.serverStat(0, 0) + ServerStat.requests
    show(generationOf(configOf(poolOf('p')), WORKERS, 2))
    expect(requestsOfA()).toBe(11)

    reader.workerAdopted(0, 2)
    row(1)[layout.serverStat(0, 0) + ServerStat.requests] = 1
    oldRow[oldAt] += 1
    expect(requestsOfA()).toBe(13)

    reader.workerAdopted(1, 2)
    expect(requestsOfA()).toBe(13)
  })

  test('a row counts no more once its worker has adopted the next generation', () => {
    const oldRow = row(1)
    const oldAt = layout.serverStat(0, 0) + ServerStat.requests
    show(generationOf(configOf(poolOf('p')), WORKERS, 2))
    reader.workerAdopted(0, 2)
    oldRow[oldAt] = 100
    expect(requestsOfA()).toBe(0)
  })

  test('a server that leaves and comes back keeps its counts, under its own pool only', () => {
    row(1)[layout.serverStat(0, 1) + ServerStat.requests] = 8
    show(generationOf(configOf(poolOf('p', { servers: [serverAt('a')] }), poolOf('q')), WORKERS, 2))
    for (const worker of [0, 1]) reader.workerAdopted(worker, 2)
    expect(reader.snapshot().pools[0].servers).toHaveLength(1)
    show(generationOf(configOf(poolOf('p'), poolOf('q')), WORKERS, 3))
    for (const worker of [0, 1]) reader.workerAdopted(worker, 3)
    const [p, q] = reader.snapshot().pools
    expect(p!.servers[1].values[ServerStat.requests]).toBe(8)
    expect(q!.servers[1].values[ServerStat.requests]).toBe(0)
  })

  test('the gauges of the old memory are dropped with it', () => {
    row(0)[ProcessStat.currConnections] = 2
    show(generationOf(configOf(poolOf('p')), WORKERS, 2))
    row(0)[ProcessStat.currConnections] = 1
    expect(reader.snapshot().process[ProcessStat.currConnections]).toBe(1)
  })
})
