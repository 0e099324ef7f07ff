/**
 * A worker thread for tests of the primary: it obeys the messages and does no proxying. A client is
 * greeted with `worker N` and echoed. How it behaves is asked for by `fakeWorker`, or by what a
 * client sends: `throw` kills the thread, `exit` ends it.
 */

import { Socket } from 'node:net'
import { parentPort, workerData } from 'node:worker_threads'
import { SharedLayout, WorkerBlock } from '../../../src/shared/memory-layout.ts'
import type { FromWorker, Generation, ToWorker, WorkerData } from '../../../src/shared/messages.ts'
import { PoolStat, ProcessStat } from '../../../src/shared/stat-fields.ts'

export interface FakeBehaviour {
  /** Dies before `ready`. */
  readonly boot?: 'throw' | 'exit'
  /** Errno name that every `listen` fails with. */
  readonly listen?: string
  /** Never answers `drain`. */
  readonly drain?: 'never'
  /** Takes handed-over clients only once draining is set. */
  readonly clients?: 'ignore'
}

/** A thread takes a copy of the environment when it starts. */
const BEHAVIOUR = 'FAKE_WORKER_BEHAVIOUR'

/** URL for `SupervisorOptions.entry`; threads that start from now on behave so. */
export function fakeWorker(behaviour: FakeBehaviour = {}): URL {
  process.env[BEHAVIOUR] = JSON.stringify(behaviour)
  return new URL(import.meta.url)
}

if (parentPort !== null && workerData?.workerIndex !== undefined) boot()

function boot(): void {
  const port = parentPort!
  const behaviour = JSON.parse(process.env[BEHAVIOUR] ?? '{}') as FakeBehaviour
  if (behaviour.boot === 'throw') throw new Error('injected boot failure')
  if (behaviour.boot === 'exit') process.exit(7)
  port.once('message', (message: ToWorker) => {
    if (message.type !== 'begin') throw new Error(`the first message is ${message.type}`)
    run(message.data, behaviour)
  })
}

function run(data: WorkerData, behaviour: FakeBehaviour): void {
  const port = parentPort!
  const tell = (message: FromWorker): void => port.postMessage(message)
  const views = viewsOf(data, data.current)

  port.on('message', (message: ToWorker) => {
    if (message.type === 'clients') {
      if (behaviour.clients === 'ignore') return
      for (const [i, handle] of message.handles.entries()) serve(handle, message.pools[i], data.workerIndex, views)
    } else if (message.type === 'listen') {
      if (behaviour.listen === undefined) tell({ type: 'listening', pool: message.pool })
      else tell({ type: 'listen-failed', pool: message.pool, code: behaviour.listen })
    } else if (message.type === 'generation') {
      Object.assign(views, viewsOf(data, message.next))
      tell({ type: 'adopted', generationId: message.next.id })
    } else if (message.type === 'drain' && behaviour.drain !== 'never') {
      tell({ type: 'drained' })
    }
  })
  tell({ type: 'ready' })
}

interface Views {
  block: Int32Array
  row: Float64Array
  layout: SharedLayout
}

function viewsOf(data: WorkerData, generation: Generation): Views {
  const layout = new SharedLayout(data.workers, generation.shapes)
  return {
    block: layout.worker(generation.shared, data.workerIndex),
    row: layout.row(generation.shared, data.workerIndex + 1),
    layout,
  }
}

function serve(handle: unknown, pool: number, worker: number, views: Views): void {
  const { block, row, layout } = views
  const gauge = layout.poolStat(pool) + PoolStat.clientConnections
  row[gauge]++
  row[ProcessStat.totalConnections]++
  const socket = new Socket({ handle } as never)
  socket.on('error', () => {})
  socket.on('close', () => {
    row[gauge]--
    Atomics.sub(block, WorkerBlock.clients, 1)
  })
  socket.on('data', data => {
    const text = data.toString()
    if (text.startsWith('throw')) throw new Error('injected crash')
    if (text.startsWith('exit')) process.exit(7)
    socket.write(text)
  })
  socket.resume()
  socket.write(`worker ${worker} pool ${pool}\n`)
}
