/**
 * Entry of a worker thread: one event loop, its own clients, its own server connections. Started by `main/supervisor.ts`, which hands it
 * `WorkerData` and then messages (`shared/messages.ts`).
 */

import { getSystemErrorName } from 'node:util'
import { parentPort, workerData } from 'node:worker_threads'
import { createLogger } from '../log/log.ts'
import { assert } from '../shared/assert.ts'
import { SharedLayout, WorkerSlot, WorkerState } from '../shared/layout.ts'
import type { FromWorker, ToWorker, WorkerData } from '../shared/messages.ts'
import { Acceptor, acceptHandedOver } from './acceptor.ts'
import { Context } from './context.ts'

const data = workerData as WorkerData
const port = parentPort
assert(port !== null, 'the worker entry runs in a worker thread')

function post(message: FromWorker): void {
  port!.postMessage(message)
}

const layout = new SharedLayout(data.workers, data.current.shapes)
const log = createLogger({
  ...data.log,
  control: layout.control(data.current.shared),
  component: `worker ${data.workerIndex}`,
})
const context = new Context({
  workerIndex: data.workerIndex,
  workers: data.workers,
  mbufBytes: data.mbufBytes,
  memoryLimitBytes: data.memoryLimitBytes,
  log,
  post,
})
const acceptor = new Acceptor(context)
context.adopt(data.current)
Atomics.store(context.slot, WorkerSlot.state, WorkerState.running)

function listen(pool: number): void {
  const status = acceptor.listen(context.pools[pool])
  if (status === 0) post({ type: 'listening', pool })
  else post({ type: 'listen-failed', pool, code: getSystemErrorName(status) })
}

function adopt(message: ToWorker & { readonly type: 'generation' }): void {
  const { next } = message
  const old = context.slot
  context.turn.begin()
  context.adopt(next)
  log.follow(new SharedLayout(data.workers, next.shapes).control(next.shared))
  Atomics.store(context.slot, WorkerSlot.state, Atomics.exchange(old, WorkerSlot.state, WorkerState.gone))
  post({ type: 'adopted', generation: next.generation })
}

port.on('message', (message: ToWorker) => {
  switch (message.type) {
    case 'clients':
      for (const [i, handle] of message.handles.entries()) acceptHandedOver(context.pools[message.pools[i]], handle)
      break
    case 'listen':
      listen(message.pool)
      break
    case 'unlisten':
      acceptor.unlisten(context.pools[message.pool].config.listen.text)
      break
    case 'generation':
      adopt(message)
      break
    case 'drain':
      Atomics.store(context.slot, WorkerSlot.state, WorkerState.draining)
      acceptor.close(() => context.drain(message.timeoutMs))
      break
    case 'reopen-log':
      log.reopen()
      break
  }
})

post({ type: 'ready' })
