/**
 * Entry of a worker thread: one event loop, its own clients, its own server connections.
 * `main/workers/supervisor.ts` starts it and sends it `WorkerData` first, then the other messages
 * of `shared/messages.ts`.
 */

import { getSystemErrorName } from 'node:util'
import { parentPort } from 'node:worker_threads'
import { assert } from '../bytes/assert.ts'
import { createLogger, type Logger } from '../log/log.ts'
import type { PoolChange } from '../shared/config-diff.ts'
import { SharedLayout } from '../shared/memory-layout.ts'
import type { FromWorker, Generation, Tell, ToWorker, WorkerData } from '../shared/messages.ts'
import { answerQuestion, endPauses, tellWhatLasts } from './answers.ts'
import { Acceptor, acceptHandedOver } from './client/acceptor.ts'
import { Context } from './context.ts'
import { heedNotice } from './protocols.ts'

const port = parentPort
assert(port !== null, 'the worker entry runs in a worker thread')

function post(message: FromWorker): void {
  port!.postMessage(message)
}

/** A worker that has its `WorkerData`. */
class WorkerThread {
  readonly #workers: number
  readonly #log: Logger
  readonly #context: Context
  readonly #acceptor: Acceptor

  constructor(data: WorkerData) {
    const { workerIndex, workers, mbufBytes, memoryLimitBytes, current } = data
    const layout = new SharedLayout(workers, current.shapes)
    const control = layout.control(current.shared)
    this.#workers = workers
    this.#log = createLogger({ ...data.log, control, component: `worker ${workerIndex}` })
    this.#context = new Context({ workerIndex, workers, mbufBytes, memoryLimitBytes, log: this.#log, post })
    this.#acceptor = new Acceptor(this.#context, name => this.#context.findPool(name))
    this.#context.adopt(current, [])
  }

  obey(message: ToWorker): void {
    const { pools } = this.#context
    switch (message.type) {
      case 'clients':
        for (const [i, handle] of message.handles.entries()) acceptHandedOver(pools[message.pools[i]], handle)
        break
      case 'listen':
        this.#listen(message.pool, message.hidden)
        break
      case 'unlisten':
        this.#acceptor.unlisten(pools[message.pool].pool.config.listen.text)
        break
      case 'generation':
        this.#adopt(message.next, message.changes)
        break
      case 'drain':
        endPauses(this.#context)
        this.#acceptor.close(() => this.#context.drain(message.timeoutMs))
        break
      case 'tell':
        this.#heed(message)
        break
      case 'reopen-log':
        this.#log.reopen()
        break
      case 'ask':
        post({ type: 'answer', relayId: message.relayId, answer: answerQuestion(this.#context, message.question) })
        break
      case 'joined':
        tellWhatLasts(this.#context, message.worker)
        break
      case 'answer':
        this.#context.questions.onAnswer(message.id, message.answer, message.left)
        break
    }
  }

  #heed({ pool, notice }: Tell): void {
    const known = this.#context.pools.find(each => each.pool.config.name === pool)
    if (known !== undefined) heedNotice(known, notice)
  }

  #listen(pool: number, hidden: boolean): void {
    const status = this.#acceptor.listen(this.#context.pools[pool].pool, hidden)
    if (status === 0) post({ type: 'listening', pool })
    else post({ type: 'listen-failed', pool, code: getSystemErrorName(status) })
  }

  #adopt(next: Generation, changes: readonly PoolChange[]): void {
    this.#context.turn.begin()
    this.#context.adopt(next, changes)
    this.#log.follow(new SharedLayout(this.#workers, next.shapes).control(next.shared))
    post({ type: 'adopted', generationId: next.id })
  }
}

let thread: WorkerThread | null = null

port.on('message', (message: ToWorker) => {
  if (message.type !== 'begin') {
    thread!.obey(message)
    return
  }
  thread = new WorkerThread(message.data)
  post({ type: 'ready' })
})
