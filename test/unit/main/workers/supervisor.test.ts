import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { MAX_BOOT_CRASHES, Supervisor } from '../../../../src/main/workers/supervisor.ts'
import { type Listener, openListener } from '../../../../src/net/listener.ts'
import { WorkerBlock } from '../../../../src/shared/memory-layout.ts'
import type { FromWorker } from '../../../../src/shared/messages.ts'
import { type FakeBehaviour, fakeWorker } from '../../../support/fakes/fake-worker.ts'
import { configOf, generationOf, layoutOf, poolOf } from '../../../support/generation.ts'
import { recordingLog } from '../../../support/recording-log.ts'
import { waitUntil } from '../../../support/wait.ts'
import { Wire } from '../../../support/wire/wire.ts'

const WORKERS = 2
/** Long enough for a thread to load its program, or to die of it. */
const EARLY_MS = 500

interface Rig {
  readonly supervisor: Supervisor
  readonly listener: Listener
  readonly ready: number[]
  readonly gone: number[]
  readonly messages: { worker: number; message: FromWorker }[]
  readonly fatal: Error[]
  readonly recorded: ReturnType<typeof recordingLog>
  readonly generation: ReturnType<typeof generationOf>
  /** Worker that gets the next client. */
  target: number
}

const rigs: Rig[] = []

afterEach(async () => {
  for (const rig of rigs.splice(0)) {
    rig.listener.close()
    await rig.supervisor.terminate()
  }
})

async function rigOf(behaviour: FakeBehaviour = {}, entryFor: () => URL = () => fakeWorker(behaviour)): Promise<Rig> {
  const generation = generationOf(configOf(poolOf('p')), WORKERS)
  const recorded = recordingLog()
  const ready: number[] = []
  const gone: number[] = []
  const messages: Rig['messages'] = []
  const fatal: Error[] = []
  const log = { path: '', format: 'nutcracker' } as const
  const supervisor = new Supervisor({
    get entry() {
      return entryFor()
    },
    workers: WORKERS,
    dataFor: workerIndex => ({
      workerIndex,
      workers: WORKERS,
      mbufBytes: 16_384,
      memoryLimitBytes: 0,
      log,
      current: generation,
    }),
    onReady: worker => ready.push(worker),
    onGone: worker => gone.push(worker),
    onMessage: (worker, message) => messages.push({ worker, message }),
    onFatal: reason => fatal.push(reason),
    log: recorded.log,
  })
  const listener = await openListener({
    address: '127.0.0.1',
    port: 0,
    backlog: 511,
    reuseport: false,
    onClient: client => {
      Atomics.add(layoutOf(generation, WORKERS).worker(generation.shared, rig.target), WorkerBlock.clients, 1)
      rig.supervisor.handClient(rig.target, 0, client)
    },
    onError: code => expect.fail(code),
  })
  const rig: Rig = { supervisor, listener, ready, gone, messages, fatal, recorded, generation, target: 0 }
  rigs.push(rig)
  return rig
}

async function clientOf(rig: Rig, worker: number): Promise<Wire> {
  rig.target = worker
  const wire = await Wire.open({ port: rig.listener.port })
  await wire.until(text => text.includes(`worker ${worker} pool 0\n`), 'the greeting')
  return wire
}

test('starts all workers and resolves when all are ready', async () => {
  const rig = await rigOf()
  expect(rig.supervisor.isRunning(0)).toBe(false)
  await rig.supervisor.start()
  expect(rig.ready.toSorted()).toEqual([0, 1])
  expect([0, 1].map(worker => rig.supervisor.isRunning(worker))).toEqual([true, true])
})

test('threads that were prepared are the ones that start', async () => {
  let launched = 0
  const rig = await rigOf({}, () => {
    launched++
    return fakeWorker()
  })
  rig.supervisor.prepare()
  expect(rig.supervisor.post(0, { type: 'reopen-log' }), 'a message before the first').toBe(false)
  await delay(EARLY_MS)
  expect({ launched, ready: rig.ready }).toEqual({ launched: WORKERS, ready: [] })
  await rig.supervisor.start()
  expect({ launched, ready: rig.ready.toSorted() }).toEqual({ launched: WORKERS, ready: [0, 1] })
})

test('threads that were prepared and died have died at boot, and only once they start', async () => {
  let boot: FakeBehaviour = { boot: 'exit' }
  const rig = await rigOf({}, () => fakeWorker(boot))
  rig.supervisor.prepare()
  boot = {}
  await delay(EARLY_MS)
  expect({ gone: rig.gone, said: rig.recorded.entries }).toEqual({ gone: [], said: [] })
  await rig.supervisor.start()
  expect(rig.ready.toSorted()).toEqual([0, 1])
  expect(rig.recorded.entries.map(entry => entry.message)).toEqual([
    'worker 0 died before it was ready (1 of 3)',
    'worker 1 died before it was ready (1 of 3)',
  ])
  expect(rig.recorded.entries[0].cause?.message).toContain('exited with code 7')
})

test('a client moves to the worker it is handed to', async () => {
  const rig = await rigOf()
  await rig.supervisor.start()
  const [first, second] = [await clientOf(rig, 0), await clientOf(rig, 1)]
  for (const wire of [first, second]) wire.send(Buffer.from('ping'))
  expect((await first.take(4)).toString()).toBe('ping')
  expect((await second.take(4)).toString()).toBe('ping')
})

test('of clients that come all at once, more than a message takes, none is lost', async () => {
  const rig = await rigOf()
  await rig.supervisor.start()
  const clients = await Promise.all(Array.from({ length: 150 }, () => clientOf(rig, 0)))
  for (const wire of clients) wire.send(Buffer.from('ping'))
  for (const wire of clients) expect((await wire.take(4)).toString()).toBe('ping')
})

test('a crash costs only the clients of that worker, and another takes its place within a second', async () => {
  const rig = await rigOf()
  await rig.supervisor.start()
  const [lost, kept] = [await clientOf(rig, 0), await clientOf(rig, 1)]
  const before = performance.now()
  lost.send(Buffer.from('throw'))
  await lost.untilClosed()
  await waitUntil(() => rig.ready.length === 3, 'the next worker to be ready')
  expect(performance.now() - before).toBeLessThan(1_000)
  expect(rig.gone).toEqual([0])
  expect(rig.ready[2]).toBe(0)
  kept.send(Buffer.from('still'))
  expect((await kept.take(5)).toString()).toBe('still')
  await clientOf(rig, 0)
})

test('a crash is logged with its stack', async () => {
  const rig = await rigOf()
  await rig.supervisor.start()
  const wire = await clientOf(rig, 1)
  wire.send(Buffer.from('throw'))
  await waitUntil(() => rig.ready.length === 3, 'the next worker to be ready')
  const [{ severity, message, cause }, next] = rig.recorded.entries
  expect(next).toMatchObject({ severity: 'notice', message: 'worker 1 is running again' })
  expect({ severity, message }).toEqual({ severity: 'error', message: 'worker 1 died; the supervisor starts another' })
  expect(cause?.stack).toMatch(/injected crash\n\s+at .*fake-worker/)
})

test('a worker that exits without an error is replaced as well, and the log gives its code', async () => {
  const rig = await rigOf()
  await rig.supervisor.start()
  const wire = await clientOf(rig, 0)
  wire.send(Buffer.from('exit'))
  await waitUntil(() => rig.ready.length === 3, 'the next worker to be ready')
  expect(rig.recorded.entries[0].cause?.message).toContain('exited with code 7')
})

test('a worker that dies three times before it is ready ends the start with the reason', async () => {
  const rig = await rigOf({ boot: 'throw' })
  const error = await rig.supervisor.start().catch((reason: Error) => reason)
  expect(error).toMatchObject({ message: expect.stringMatching(/worker \d died 3 times before it was ready/) })
  expect(((error as Error).cause as Error).message).toBe('injected boot failure')
  expect(rig.fatal).toEqual([])
})

test('a worker that cannot be replaced is fatal later as well', async () => {
  let boot: FakeBehaviour = {}
  const rig = await rigOf({}, () => fakeWorker(boot))
  await rig.supervisor.start()
  boot = { boot: 'exit' }
  const wire = await clientOf(rig, 0)
  wire.send(Buffer.from('throw'))
  await waitUntil(() => rig.fatal.length === 1, 'the fatal report')
  expect(rig.fatal[0].message).toBe('worker 0 died 3 times before it was ready')
  expect(rig.gone).toHaveLength(1 + MAX_BOOT_CRASHES)
})

test('two boot failures and then a good start do no harm', async () => {
  let starts = 0
  const rig = await rigOf({}, () => fakeWorker(++starts <= 2 ? { boot: 'throw' } : {}))
  await rig.supervisor.start()
  expect(rig.ready).toHaveLength(WORKERS)
})

test('messages of workers arrive with the number of their sender', async () => {
  const rig = await rigOf()
  await rig.supervisor.start()
  expect(rig.supervisor.post(1, { type: 'listen', pool: 0, hidden: false })).toBe(true)
  await waitUntil(() => rig.messages.length === 1, 'the answer')
  expect(rig.messages).toEqual([{ worker: 1, message: { type: 'listening', pool: 0 } }])
})

test('drain waits until every worker is done', async () => {
  const rig = await rigOf()
  await rig.supervisor.start()
  expect(await rig.supervisor.drain(5_000)).toBe(true)
})

test('drain gives up on a worker that is not done in time', async () => {
  const rig = await rigOf({ drain: 'never' })
  await rig.supervisor.start()
  expect(await rig.supervisor.drain(50)).toBe(false)
})

test('a worker that dies while draining counts as done and is not replaced', async () => {
  const rig = await rigOf({ drain: 'never' })
  await rig.supervisor.start()
  const wires = [await clientOf(rig, 0), await clientOf(rig, 1)]
  const drained = rig.supervisor.drain(10_000)
  for (const wire of wires) wire.send(Buffer.from('throw'))
  expect(await drained).toBe(true)
  expect(rig.ready).toHaveLength(WORKERS)
})
