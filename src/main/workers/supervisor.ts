/**
 * The worker threads: started, watched, replaced when they die, drained at the end. Primary thread; one for the process.
 *
 *     launch ─▶ booting ── 'ready' ─▶ running ── dies ─▶ onGone ─▶ launch (at once; a worker that keeps dying, after a pause)
 *                 └─ dies: three times in a row ─▶ onFatal
 *
 * The first threads may be launched before there is a configuration: half of a process's start is theirs, and they need nothing for it.
 * `WorkerData` follows as their first message.
 *
 * A worker that dies takes its clients with it and nothing else. What it needs besides its `WorkerData` (listeners) it is told again
 * by `onReady`.
 */

import type { EventLoopUtilization } from 'node:perf_hooks'
import { Worker } from 'node:worker_threads'
import { assert } from '../../bytes/assert.ts'
import type { Logger } from '../../log/log.ts'
import type { AcceptedClient } from '../../net/listener.ts'
import type { FromWorker, ToWorker, WorkerBirth, WorkerData } from '../../shared/messages.ts'
import type { HandOverTarget } from '../clients/hand-over.ts'

/** A worker that dies so often before it is ready stops the process: it would die for ever. */
export const MAX_BOOT_CRASHES = 3
/** A worker that lived for less is restarted after a pause. */
const SHORT_LIFE_MS = 5_000
const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 1_000
/** Clients in one message at most. */
const LARGEST_HAND_OVER = 64
/** From one message with clients to the next of the same worker, unless one is full. */
const HAND_OVER_PAUSE_MS = 1
/** How much longer than the drain timeout workers may take to say that they are done. */
const DRAIN_GRACE_MS = 500
/** JavaScript heap of one worker; buffers lie outside of it. Beyond it the worker dies, not the process. */
const WORKER_HEAP_MB = 1_024

export interface SupervisorOptions {
  /** File that the threads run. */
  readonly entry: URL
  readonly workers: number
  /** What a worker that begins now begins with. */
  readonly dataFor: (worker: number) => WorkerData
  /** The worker is ready and knows the generation it began with, and no listener. */
  readonly onReady: (worker: number) => void
  /** The worker is dead; none takes its place before this returns. */
  readonly onGone: (worker: number) => void
  /** Every message but `ready` and `drained`. */
  readonly onMessage: (worker: number, message: FromWorker) => void
  /** A worker cannot be kept alive. Called once, and only after the start. */
  readonly onFatal: (reason: Error) => void
  readonly log: Logger
}

/** A place for a worker; the thread in it changes. */
interface Place {
  readonly index: number
  thread: Worker | null
  state: 'booting' | 'running' | 'drained' | 'gone'
  /** Why the thread ends, once it has said so. */
  lastError: Error | null
  /** Exit code of a thread that ended before `start`. */
  earlyExit: number | null
  readySinceMs: number
  /** Accepted clients that are about to be handed over, and their pools. */
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
  readonly #places: Place[]
  #started = false
  #stopping = false
  /** Settled once; not null while the first workers boot. */
  #starting: PromiseWithResolvers<void> | null = null
  #drained: PromiseWithResolvers<void> | null = null

  constructor(options: SupervisorOptions) {
    this.#options = options
    this.workers = options.workers
    this.#places = Array.from({ length: options.workers }, (_, index) => ({
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

  /** Launches all threads, to load their program until `start`. One that dies meanwhile has died at boot once `start` is called. */
  prepare(): void {
    for (const place of this.#places) this.#launch(place)
  }

  /** Starts all workers, prepared or not. Resolves when all are ready; rejects when one dies three times before it is. */
  start(): Promise<void> {
    assert(!this.#started, 'the supervisor starts once')
    this.#started = true
    const starting = Promise.withResolvers<void>()
    this.#starting = starting
    for (const place of this.#places) {
      if (place.thread === null) this.#launch(place)
      this.#begin(place)
      if (place.earlyExit !== null) this.#onExit(place, place.earlyExit)
    }
    return starting.promise
  }

  isRunning(worker: number): boolean {
    return this.#places[worker].state === 'running'
  }

  /** How busy each worker was since it started; null = it does not run. */
  eventLoops(): (EventLoopUtilization | null)[] {
    return this.#places.map(({ state, thread }) =>
      state === 'running' && thread !== null ? thread.performance.eventLoopUtilization() : null,
    )
  }

  /** Moves the client's handle to the worker. @returns false when the worker is not there; the handle is still the caller's. */
  handClient(worker: number, pool: number, client: AcceptedClient): boolean {
    const place = this.#places[worker]
    if (place.thread === null) return false
    place.clients.push(client)
    place.pools.push(pool)
    if (place.clients.length >= LARGEST_HAND_OVER) this.#handOver(place)
    else if (place.clients.length === 1) this.#handOverSoon(place)
    return true
  }

  /**
   * A message costs more than the client in it, and wakes a thread. So one that comes alone goes at once, and where clients come quickly one
   * after the other they go together, a millisecond later (measured: see `docs/decisions/0002-connection-hand-over.md`).
   */
  #handOverSoon(place: Place): void {
    const isPause = performance.now() - place.handedOverMs < HAND_OVER_PAUSE_MS
    if (isPause) setTimeout(this.#handOverRest, HAND_OVER_PAUSE_MS, place)
    else setImmediate(this.#handOverRest, place)
  }

  readonly #handOverRest = (place: Place): void => {
    if (place.clients.length > 0) this.#handOver(place)
  }

  #handOver(place: Place): void {
    const { clients, pools } = place
    place.clients = []
    place.pools = []
    place.handedOverMs = performance.now()
    const message: ToWorker = { type: 'clients', pools, handles: clients }
    // Node moves TCP handles since 24.21; its types do not know yet.
    place.thread!.postMessage(message, clients as unknown as ArrayBuffer[])
  }

  /** @returns false when the worker is not there, or has not begun: it will begin with what is in force then. */
  post(worker: number, message: ToWorker): boolean {
    const place = this.#places[worker]
    if (place.thread === null || !this.#started) return false
    // Clients come first: they were accepted under the configuration that the worker knows.
    if (place.clients.length > 0) this.#handOver(place)
    place.thread.postMessage(message)
    return true
  }

  broadcast(message: ToWorker): void {
    this.broadcastFrom(-1, message)
  }

  /** Passes a worker's message on to all others. */
  broadcastFrom(worker: number, message: ToWorker): void {
    for (const { index } of this.#places) if (index !== worker) this.post(index, message)
  }

  /** Lets the workers finish. @returns false when some had not finished in time. No worker is replaced from now on. */
  async drain(timeoutMs: number): Promise<boolean> {
    this.#stopping = true
    this.#drained = Promise.withResolvers<void>()
    for (const place of this.#places) {
      if (place.restart !== null) clearTimeout(place.restart)
    }
    this.broadcast({ type: 'drain', timeoutMs })
    this.#checkDrained()
    const late = Promise.withResolvers<void>()
    const timer = setTimeout(late.resolve, timeoutMs + DRAIN_GRACE_MS)
    await Promise.race([this.#drained.promise, late.promise])
    clearTimeout(timer)
    return this.#places.every(place => place.state === 'drained' || place.state === 'gone')
  }

  /** Ends all workers at once. */
  async terminate(): Promise<void> {
    this.#stopping = true
    await Promise.all(this.#places.map(place => place.thread?.terminate()))
  }

  #relaunch(place: Place): void {
    place.restart = null
    this.#launch(place)
    this.#begin(place)
  }

  #launch(place: Place): void {
    place.state = 'booting'
    place.lastError = null
    const birth: WorkerBirth = { workerIndex: place.index }
    const thread = new Worker(this.#options.entry, {
      name: `worker-${place.index}`,
      workerData: birth,
      resourceLimits: { maxOldGenerationSizeMb: WORKER_HEAP_MB },
    })
    place.thread = thread
    thread.on('message', (message: FromWorker) => this.#onMessage(place, message))
    thread.on('messageerror', error => this.#options.log.error(`a message of worker ${place.index} is lost`, error))
    thread.on('error', error => {
      place.lastError = error instanceof Error ? error : new Error(String(error))
    })
    thread.on('exit', code => {
      if (this.#started) this.#onExit(place, code)
      else place.earlyExit = code
    })
  }

  #begin(place: Place): void {
    this.post(place.index, { type: 'begin', data: this.#options.dataFor(place.index) })
  }

  #onMessage(place: Place, message: FromWorker): void {
    if (message.type === 'ready') {
      place.state = 'running'
      place.readySinceMs = performance.now()
      place.bootCrashes = 0
      if (this.#starting === null) this.#options.log.notice(`worker ${place.index} is in place again`)
      this.#options.onReady(place.index)
      if (this.#starting !== null && this.#places.every(other => other.state === 'running')) {
        this.#starting.resolve()
        this.#starting = null
      }
    } else if (message.type === 'drained') {
      place.state = 'drained'
      this.#checkDrained()
    } else {
      this.#options.onMessage(place.index, message)
    }
  }

  #checkDrained(): void {
    const busy = this.#places.some(place => place.state === 'running' || place.state === 'booting')
    if (!busy) this.#drained?.resolve()
  }

  #onExit(place: Place, code: number): void {
    const { log, onGone } = this.#options
    const booting = place.state === 'booting'
    const cause = place.lastError ?? new Error(`Worker ${place.index} exited with code ${code}`)
    place.thread = null
    place.state = 'gone'
    // They were counted as this worker's; its successor must not be charged with their end.
    for (const client of place.clients.splice(0)) client.close()
    place.pools.length = 0
    onGone(place.index)
    if (this.#stopping) {
      // Ended by `terminate`, or on its own while it should have drained.
      if (place.lastError !== null) log.error(`worker ${place.index} died`, cause)
      this.#checkDrained()
    } else if (booting) {
      this.#bootFailed(place, cause)
    } else {
      const pauseMs = pauseAfter(place)
      log.error(`worker ${place.index} died, another takes its place`, cause)
      place.restart = setTimeout(() => this.#relaunch(place), pauseMs)
    }
  }

  #bootFailed(place: Place, cause: Error): void {
    place.bootCrashes++
    const times = `${place.bootCrashes} of ${MAX_BOOT_CRASHES}`
    this.#options.log.error(`worker ${place.index} died before it was ready (${times})`, cause)
    if (place.bootCrashes < MAX_BOOT_CRASHES) {
      this.#relaunch(place)
      return
    }
    this.#stopping = true
    const reason = new Error(`worker ${place.index} died ${MAX_BOOT_CRASHES} times before it was ready`, { cause })
    if (this.#starting === null) this.#options.onFatal(reason)
    else this.#starting.reject(reason)
  }
}

/** None after a long life or a first short one; then doubling, so that a worker that always dies does not eat the machine. */
function pauseAfter(place: Place): number {
  const livedMs = performance.now() - place.readySinceMs
  place.shortLives = livedMs < SHORT_LIFE_MS ? place.shortLives + 1 : 0
  if (place.shortLives <= 1) return 0
  return Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (place.shortLives - 2))
}
