/**
 * Starts the worker threads, replaces those that die, and drains them at the end. Primary thread;
 * one for the process.
 *
 *     launch ─▶ booting ── 'ready' ─▶ running ── dies ─▶ onGone ─▶ launch (at once, or after a pause)
 *                 └─ dies: three times in a row ─▶ onFatal
 *
 * The first threads may be launched before there is a configuration, because loading their program
 * takes half of the start and needs none. `WorkerData` follows as their first message.
 *
 * When a worker dies, only its own clients are disconnected. `onReady` tells its successor the
 * listeners, which are not in `WorkerData`.
 */

import type { EventLoopUtilization } from 'node:perf_hooks'
import { Worker } from 'node:worker_threads'
import { assert } from '../../bytes/assert.ts'
import type { Logger } from '../../log/log.ts'
import type { AcceptedClient } from '../../net/listener.ts'
import type { FromWorker, ToWorker, WorkerData, WorkerStart } from '../../shared/messages.ts'
import type { HandOverTarget } from '../clients/hand-over.ts'

/**
 * Deaths of one worker in a row before it is ready after which the process ends: further attempts
 * would fail too.
 * @testOnly
 */
export const MAX_BOOT_CRASHES = 3
/** A worker that has lived for less than this and dies again is restarted after a pause, ms. */
const SHORT_LIFE_MS = 5_000
const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 1_000
/** Limit on clients in one message. */
const LARGEST_HAND_OVER = 64
/**
 * Shortest time between two messages with clients to one worker, ms. A full message is sent at
 * once.
 */
const HAND_OVER_PAUSE_MS = 1
/** Time after the drain timeout for workers to report that they are done, ms. */
const DRAIN_GRACE_MS = 500
/**
 * Limit on the JavaScript heap of one worker, MB; buffers lie outside the heap. A worker that
 * exceeds it dies, and the process does not.
 */
const WORKER_HEAP_MB = 1_024

export interface SupervisorOptions {
  /** File that the threads run. */
  readonly entry: URL
  readonly workers: number
  /** @returns what a worker that begins now begins with. */
  readonly dataFor: (worker: number) => WorkerData
  /** The worker is ready. It knows the generation that it began with, and no listener. */
  readonly onReady: (worker: number) => void
  /** The worker has died. Its successor is started after this returns. */
  readonly onGone: (worker: number) => void
  /** Called for every message but `ready` and `drained`. */
  readonly onMessage: (worker: number, message: FromWorker) => void
  /** A worker cannot be kept alive. Called once, and only after the start. */
  readonly onFatal: (reason: Error) => void
  readonly log: Logger
}

/** One worker of the process; the thread in it changes when the worker dies. */
interface WorkerSeat {
  readonly index: number
  thread: Worker | null
  state: 'booting' | 'running' | 'drained' | 'gone'
  /** Error that ends the thread, or null. */
  lastError: Error | null
  /** Exit code of a thread that ended before `start`, or null. */
  earlyExit: number | null
  readySinceMs: number
  /** Accepted clients for the next message, and the pool of each. */
  clients: AcceptedClient[]
  pools: number[]
  /** When clients were last handed over; time of `performance.now`. */
  handedOverMs: number
  bootCrashes: number
  /** Crashes in a row after a short life. */
  shortLives: number
  restart: NodeJS.Timeout | null
}

export class Supervisor implements HandOverTarget {
  readonly workers: number
  readonly #options: SupervisorOptions
  readonly #seats: WorkerSeat[]
  #started = false
  #stopping = false
  /** Settled when the first workers are ready or one has failed; null before and after that. */
  #starting: PromiseWithResolvers<void> | null = null
  #drained: PromiseWithResolvers<void> | null = null

  constructor(options: SupervisorOptions) {
    this.#options = options
    this.workers = options.workers
    this.#seats = Array.from({ length: options.workers }, (_, index) => ({
      index,
      thread: null,
      state: 'gone',
      lastError: null,
      earlyExit: null,
      readySinceMs: 0,
      clients: [],
      pools: [],
      handedOverMs: 0,
      bootCrashes: 0,
      shortLives: 0,
      restart: null,
    }))
  }

  /**
   * Launches all threads, which load their program until `start`. The death of one is handled in
   * `start`.
   */
  prepare(): void {
    for (const seat of this.#seats) this.#launch(seat)
  }

  /**
   * Starts all workers, prepared or not. Resolves when all are ready; rejects when one dies three
   * times before it is.
   */
  start(): Promise<void> {
    assert(!this.#started, 'the supervisor starts once')
    this.#started = true
    const starting = Promise.withResolvers<void>()
    this.#starting = starting
    for (const seat of this.#seats) {
      if (seat.thread === null) this.#launch(seat)
      this.#begin(seat)
      if (seat.earlyExit !== null) this.#onExit(seat, seat.earlyExit)
    }
    return starting.promise
  }

  isRunning(worker: number): boolean {
    return this.#seats[worker].state === 'running'
  }

  /** How busy each worker has been since it started; null = it does not run. */
  eventLoops(): (EventLoopUtilization | null)[] {
    return this.#seats.map(({ state, thread }) =>
      state === 'running' && thread !== null ? thread.performance.eventLoopUtilization() : null,
    )
  }

  /**
   * Moves the client's handle to the worker.
   * @returns false when the worker is not there; the handle is still the caller's.
   */
  handClient(worker: number, pool: number, client: AcceptedClient): boolean {
    const seat = this.#seats[worker]
    if (seat.thread === null) return false
    seat.clients.push(client)
    seat.pools.push(pool)
    if (seat.clients.length >= LARGEST_HAND_OVER) this.#handOver(seat)
    else if (seat.clients.length === 1) this.#handOverSoon(seat)
    return true
  }

  /**
   * A message costs more than the client in it, and wakes a thread. So a client is handed over at
   * once if the last message is a millisecond old; clients that come faster go together in one
   * message (measured: see `docs/decisions/0002-connection-hand-over.md`).
   */
  #handOverSoon(seat: WorkerSeat): void {
    const isPause = performance.now() - seat.handedOverMs < HAND_OVER_PAUSE_MS
    if (isPause) setTimeout(this.#handOverRest, HAND_OVER_PAUSE_MS, seat)
    else setImmediate(this.#handOverRest, seat)
  }

  readonly #handOverRest = (seat: WorkerSeat): void => {
    if (seat.clients.length > 0) this.#handOver(seat)
  }

  #handOver(seat: WorkerSeat): void {
    const { clients, pools } = seat
    seat.clients = []
    seat.pools = []
    seat.handedOverMs = performance.now()
    const message: ToWorker = { type: 'clients', pools, handles: clients }
    // Node moves TCP handles since 24.21; its types do not know yet.
    seat.thread!.postMessage(message, clients as unknown as ArrayBuffer[])
  }

  /**
   * @returns false when the worker is not there or has not begun. It will begin with the generation
   * in force then.
   */
  post(worker: number, message: ToWorker): boolean {
    const seat = this.#seats[worker]
    if (seat.thread === null || !this.#started) return false
    // Clients go first: they were accepted under the configuration that the worker has now.
    if (seat.clients.length > 0) this.#handOver(seat)
    seat.thread.postMessage(message)
    return true
  }

  broadcast(message: ToWorker): void {
    this.broadcastFrom(-1, message)
  }

  /** Passes a worker's message on to all others. */
  broadcastFrom(worker: number, message: ToWorker): void {
    for (const { index } of this.#seats) if (index !== worker) this.post(index, message)
  }

  /**
   * Lets the workers finish.
   * @returns false when some had not finished in time. No worker is replaced from now on.
   */
  async drain(timeoutMs: number): Promise<boolean> {
    this.#stopping = true
    this.#drained = Promise.withResolvers<void>()
    for (const seat of this.#seats) {
      if (seat.restart !== null) clearTimeout(seat.restart)
    }
    this.broadcast({ type: 'drain', timeoutMs })
    this.#checkDrained()
    const late = Promise.withResolvers<void>()
    const timer = setTimeout(late.resolve, timeoutMs + DRAIN_GRACE_MS)
    await Promise.race([this.#drained.promise, late.promise])
    clearTimeout(timer)
    return this.#seats.every(seat => seat.state === 'drained' || seat.state === 'gone')
  }

  /** Ends all workers at once. */
  async terminate(): Promise<void> {
    this.#stopping = true
    await Promise.all(this.#seats.map(seat => seat.thread?.terminate()))
  }

  #relaunch(seat: WorkerSeat): void {
    seat.restart = null
    this.#launch(seat)
    this.#begin(seat)
  }

  #launch(seat: WorkerSeat): void {
    seat.state = 'booting'
    seat.lastError = null
    const start: WorkerStart = { workerIndex: seat.index }
    const thread = new Worker(this.#options.entry, {
      name: `worker-${seat.index}`,
      workerData: start,
      resourceLimits: { maxOldGenerationSizeMb: WORKER_HEAP_MB },
    })
    seat.thread = thread
    thread.on('message', (message: FromWorker) => this.#onMessage(seat, message))
    thread.on('messageerror', error => this.#options.log.error(`a message from worker ${seat.index} was lost`, error))
    thread.on('error', error => {
      seat.lastError = error instanceof Error ? error : new Error(String(error))
    })
    thread.on('exit', code => {
      if (this.#started) this.#onExit(seat, code)
      else seat.earlyExit = code
    })
  }

  #begin(seat: WorkerSeat): void {
    this.post(seat.index, { type: 'begin', data: this.#options.dataFor(seat.index) })
  }

  #onMessage(seat: WorkerSeat, message: FromWorker): void {
    if (message.type === 'ready') {
      seat.state = 'running'
      seat.readySinceMs = performance.now()
      seat.bootCrashes = 0
      if (this.#starting === null) this.#options.log.notice(`worker ${seat.index} is running again`)
      this.#options.onReady(seat.index)
      if (this.#starting !== null && this.#seats.every(other => other.state === 'running')) {
        this.#starting.resolve()
        this.#starting = null
      }
    } else if (message.type === 'drained') {
      seat.state = 'drained'
      this.#checkDrained()
    } else {
      this.#options.onMessage(seat.index, message)
    }
  }

  #checkDrained(): void {
    const busy = this.#seats.some(seat => seat.state === 'running' || seat.state === 'booting')
    if (!busy) this.#drained?.resolve()
  }

  #onExit(seat: WorkerSeat, code: number): void {
    const { log, onGone } = this.#options
    const booting = seat.state === 'booting'
    const cause = seat.lastError ?? new Error(`Worker ${seat.index} exited with code ${code}`)
    seat.thread = null
    seat.state = 'gone'
    // These clients are counted for this worker: they must end before its successor begins.
    for (const client of seat.clients.splice(0)) client.close()
    seat.pools.length = 0
    onGone(seat.index)
    if (this.#stopping) {
      // `terminate` ended it, or it died during the drain.
      if (seat.lastError !== null) log.error(`worker ${seat.index} died`, cause)
      this.#checkDrained()
    } else if (booting) {
      this.#bootFailed(seat, cause)
    } else {
      const pauseMs = pauseAfter(seat)
      log.error(`worker ${seat.index} died; the supervisor starts another`, cause)
      seat.restart = setTimeout(() => this.#relaunch(seat), pauseMs)
    }
  }

  #bootFailed(seat: WorkerSeat, cause: Error): void {
    seat.bootCrashes++
    const times = `${seat.bootCrashes} of ${MAX_BOOT_CRASHES}`
    this.#options.log.error(`worker ${seat.index} died before it was ready (${times})`, cause)
    if (seat.bootCrashes < MAX_BOOT_CRASHES) {
      this.#relaunch(seat)
      return
    }
    this.#stopping = true
    const reason = new Error(`worker ${seat.index} died ${MAX_BOOT_CRASHES} times before it was ready`, { cause })
    if (this.#starting === null) this.#options.onFatal(reason)
    else this.#starting.reject(reason)
  }
}

/**
 * Pause before the restart, ms: none after a long life or the first short one, then doubling, so
 * that a worker that always dies does not use up the CPU.
 */
function pauseAfter(seat: WorkerSeat): number {
  const livedMs = performance.now() - seat.readySinceMs
  seat.shortLives = livedMs < SHORT_LIFE_MS ? seat.shortLives + 1 : 0
  if (seat.shortLives <= 1) return 0
  return Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (seat.shortLives - 2))
}
