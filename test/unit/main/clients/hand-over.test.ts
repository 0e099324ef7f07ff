import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { LINES_PER_INTERVAL } from '../../../../src/log/limited-log.ts'
import { ClientCensus } from '../../../../src/main/clients/client-census.ts'
import { HandOver, type HandOverTarget } from '../../../../src/main/clients/hand-over.ts'
import { type DescriptorBudget, descriptorBudget } from '../../../../src/main/process/descriptors.ts'
import { type AcceptedClient, type Listener, openListener } from '../../../../src/net/listener.ts'
import { WorkerBlock } from '../../../../src/shared/memory-layout.ts'
import type { Generation } from '../../../../src/shared/messages.ts'
import { PoolStat } from '../../../../src/shared/stat-fields.ts'
import { configOf, generationOf, layoutOf, poolOf } from '../../../support/generation.ts'
import { recordingLog } from '../../../support/recording-log.ts'
import { Wire } from '../../../support/wire/wire.ts'

const WORKERS = 3

/** Workers that take clients when told to. */
class Targets implements HandOverTarget {
  readonly workers = WORKERS
  readonly running = [true, true, true]
  readonly handed: { worker: number; pool: number }[] = []
  present = true

  isRunning(worker: number): boolean {
    return this.running[worker]
  }

  handClient(worker: number, pool: number): boolean {
    if (this.present) this.handed.push({ worker, pool })
    return this.present
  }
}

class FakeClient implements AcceptedClient {
  readonly fd: number
  closed = false

  constructor(fd = 20) {
    this.fd = fd
  }

  close(): void {
    this.closed = true
  }
}

function withoutPort(line: string): string {
  return line.replace(/:\d+ /, ':N ')
}

const recorded = recordingLog()
let targets: Targets
let census: ClientCensus
let handOver: HandOver
let generation: Generation
let refused: number[]

function use(next: Generation, budget: Partial<DescriptorBudget> = {}): void {
  generation = next
  census.addGeneration(next)
  handOver.useConfig(next.config, { ...descriptorBudget(next.config, WORKERS, Infinity, 0), ...budget })
}

/** What a worker does with the next client on its port. @param pool the one that this client must be of. */
function take(worker: number, pool: number): void {
  const layout = layoutOf(generation, WORKERS)
  const next = targets.handed.findIndex(handed => handed.worker === worker)
  expect(targets.handed.splice(next, 1)).toEqual([{ worker, pool }])
  layout.row(generation.shared, worker + 1)[layout.poolStat(pool) + PoolStat.clientConnections]++
}

function leave(worker: number, pool: number): void {
  const layout = layoutOf(generation, WORKERS)
  layout.row(generation.shared, worker + 1)[layout.poolStat(pool) + PoolStat.clientConnections]--
  Atomics.sub(layout.worker(generation.shared, worker), WorkerBlock.clients, 1)
}

function acceptSome(count: number, pool = 0): number[] {
  const before = targets.handed.length
  for (let i = 0; i < count; i++) handOver.accept(pool, new FakeClient())
  return targets.handed.slice(before).map(({ worker }) => worker)
}

beforeEach(() => {
  targets = new Targets()
  census = new ClientCensus(WORKERS)
  refused = []
  recorded.entries.length = 0
  handOver = new HandOver({
    target: targets,
    census,
    countRefused: pool => refused.push(pool),
    log: recorded.log,
  })
  use(generationOf(configOf(poolOf('p'), poolOf('mc', { redis: false })), WORKERS))
})

describe('which worker', () => {
  test('clients spread evenly, those on their way counted', () => {
    expect(acceptSome(6).sort()).toEqual([0, 0, 1, 1, 2, 2])
  })

  test('the worker with the fewest clients gets the next one', () => {
    acceptSome(6)
    for (const worker of [0, 1, 2]) for (let i = 0; i < 2; i++) take(worker, 0)
    leave(1, 0)
    expect(acceptSome(1)).toEqual([1])
  })

  test('short connections go round, not all to the first worker', () => {
    const seen = new Set<number>()
    for (let i = 0; i < WORKERS; i++) {
      const [worker] = acceptSome(1)
      seen.add(worker)
      take(worker, 0)
      leave(worker, 0)
    }
    expect(seen.size).toBe(WORKERS)
  })

  test('a worker that is being replaced gets none while another runs', () => {
    targets.running[1] = false
    expect(new Set(acceptSome(8))).toEqual(new Set([0, 2]))
  })

  test('with all workers being replaced, clients wait with the next ones', () => {
    targets.running.fill(false)
    expect(acceptSome(3).sort()).toEqual([0, 1, 2])
  })

  test('a client that nobody can take is closed and not counted', () => {
    targets.present = false
    const client = new FakeClient()
    handOver.accept(0, client)
    expect(client.closed).toBe(true)
    expect(census.totalClients()).toBe(0)
  })

  test('the clients of a dead worker are forgotten', () => {
    acceptSome(3)
    census.workerGone(2)
    expect(census.clientsOf(2)).toBe(0)
    expect(census.totalClients()).toBe(2)
  })
})

describe('limits', () => {
  let listener: Listener
  let accepted: AcceptedClient[]

  beforeEach(async () => {
    accepted = []
    const options = { address: '127.0.0.1', port: 0, backlog: 64, reuseport: false }
    const onError = (code: string): never => expect.fail(code)
    listener = await openListener({ ...options, onError, onClient: client => accept(client) })
  })

  afterEach(() => {
    listener.close()
    for (const client of accepted) client.close()
  })

  let pool = 0
  function accept(client: AcceptedClient): void {
    const before = refused.length
    handOver.accept(pool, client)
    if (refused.length === before) accepted.push(client)
  }

  async function answer(of: number, request = ''): Promise<string> {
    pool = of
    const wire = await Wire.open({ port: listener.port })
    if (request !== '') wire.send(Buffer.from(request))
    wire.end()
    return (await wire.untilClosed()).toString()
  }

  test('beyond client_connections a client is told so, counted and logged', async () => {
    use(generationOf(configOf(poolOf('p', { clientConnections: 2 }), poolOf('mc')), WORKERS, 2))
    acceptSome(2)
    expect(await answer(0, '*1\r\n$4\r\nPING\r\n')).toBe('-ERR max number of clients reached\r\n')
    expect(refused).toEqual([0])
    expect(recorded.messages().map(withoutPort)).toEqual(["refused c 127.0.0.1:N of pool 'p': client_connections is 2"])
  })

  test('a memcached pool speaks its own protocol', async () => {
    use(generationOf(configOf(poolOf('p'), poolOf('mc', { redis: false, clientConnections: 1 })), WORKERS, 2))
    acceptSome(1, 1)
    expect(await answer(1)).toBe('SERVER_ERROR max number of clients reached\r\n')
  })

  test('the limit counts clients on all workers, on their way or arrived, of this pool only', async () => {
    use(generationOf(configOf(poolOf('p', { clientConnections: 4 }), poolOf('mc')), WORKERS, 2))
    acceptSome(5, 1)
    const workers = acceptSome(3)
    // The port keeps its order: the clients of the other pool come first.
    for (let i = 0; i < 5; i++) take(targets.handed[0].worker, 1)
    take(workers[0], 0)
    take(workers[1], 0)
    expect(acceptSome(1)).toHaveLength(1)
    await answer(0)
    expect(refused).toEqual([0])
    leave(workers[0], 0)
    expect(acceptSome(1)).toHaveLength(1)
  })

  test('the limit holds while workers are between two generations', async () => {
    use(generationOf(configOf(poolOf('p', { clientConnections: 3 })), WORKERS, 2))
    const workers = acceptSome(2)
    for (const worker of workers) take(worker, 0)
    const old = generation
    use(generationOf(configOf(poolOf('new'), poolOf('p', { clientConnections: 3 })), WORKERS, 3))
    expect(census.clientsOfPool(1)).toBe(2)
    expect(acceptSome(1, 1)).toHaveLength(1)
    await answer(1)
    expect(refused).toEqual([1])
    const layout = layoutOf(old, WORKERS)
    for (const worker of workers) {
      layout.row(old.shared, worker + 1).fill(0)
      Atomics.store(layout.worker(old.shared, worker), WorkerBlock.clients, 0)
      census.workerAdopted(worker, 3)
    }
    expect(census.clientsOfPool(1)).toBe(1)
  })

  test('a flood of refusals makes a few lines in the log', async () => {
    use(generationOf(configOf(poolOf('p', { clientConnections: 1 })), WORKERS, 2))
    acceptSome(1)
    for (let i = 0; i < LINES_PER_INTERVAL + 2; i++) await answer(0)
    expect(refused).toHaveLength(LINES_PER_INTERVAL + 2)
    const line = "refused c 127.0.0.1:N of pool 'p': client_connections is 1"
    expect(recorded.messages().map(withoutPort)).toEqual(Array(LINES_PER_INTERVAL).fill(line))
  })

  test('as many clients as the descriptor limit allows, and no more', async () => {
    use(generationOf(configOf(poolOf('p')), WORKERS, 2), { limit: 1_000, maxClients: 2 })
    acceptSome(2)
    expect(await answer(0)).toBe('-ERR max number of clients reached\r\n')
    expect(recorded.messages()[0]).toContain('2 clients are all that the descriptor limit allows')
  })

  test('a client that took one of the last descriptors is refused whatever the count says', async () => {
    use(generationOf(configOf(poolOf('p')), WORKERS, 2), { limit: 12, maxClients: 100 })
    expect(await answer(0)).toBe('-ERR max number of clients reached\r\n')
    expect(recorded.messages()[0]).toMatch(/descriptor \d+ of 12 is in use/)
  })
})
