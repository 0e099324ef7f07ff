/**
 * Which listeners are open and which threads listen: the primary (TCP), one worker (a unix path,
 * whose handle cannot change its thread), or every worker (`reuseport: true`). Primary thread;
 * `primary.ts` calls it at start, reload and end.
 *
 * A reload has three steps, so that an address that cannot be bound stops it before anything has
 * changed:
 *
 *     prepare   new addresses of the primary are bound (their clients wait), the others tried
 *     release   workers close what they no longer listen on, while they still know the old pools
 *     (the workers are sent the generation)
 *     commit    listeners serve the new pools, workers open theirs, the primary closes the rest
 */

import { accessSync, constants, renameSync, rmSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { LimitedLog } from '../../log/limited-log.ts'
import type { Logger } from '../../log/log.ts'
import { type AcceptedClient, type Listener, ListenFailure, openListener, pathFailure } from '../../net/listener.ts'
import type { Config, PoolConfig } from '../../shared/config.ts'
import type { ListenerChange } from '../../shared/config-diff.ts'
import type { FromWorker, ToWorker } from '../../shared/messages.ts'
import { boundPathOf } from '../../shared/socket-path.ts'
import { strerror } from '../../shared/strerror.ts'

/** Time limit for an address that another thread has listened on to become free, ms. */
const TAKE_OVER_MS = 2_000
const TAKE_OVER_STEP_MS = 10

export interface ListenerSetOptions {
  readonly workers: number
  /**
   * Sends to a worker. @returns false when it is not there: it is told its listeners when it is
   * ready again.
   */
  readonly post: (worker: number, message: ToWorker) => boolean
  /** A client of a pool of the current configuration. */
  readonly onClient: (pool: number, client: AcceptedClient) => void
  readonly log: Logger
}

/** A listener: open, or about to be. */
interface Entry {
  pool: PoolConfig
  poolIndex: number
  /** Workers that listen; empty = the primary. */
  listeningWorkers: readonly number[]
  /** The primary's socket. */
  listener: Listener | null
  /** Clients accepted before their pool is in force; null = they are handed over at once. */
  waiting: AcceptedClient[] | null
  /** true while accepting fails; the log has a line when that begins and when it ends. */
  failing: boolean
  /** The unix socket as bound, `device:inode`; '' = none. */
  file: string
  /** A unix socket that is bound under another name until `publish`. */
  hidden: boolean
}

/** Addresses of the primary that `prepare` has bound. */
export type PreparedListeners = ReadonlyMap<string, Entry>

export class ListenerSet {
  readonly #options: ListenerSetOptions
  readonly #limitedLog: LimitedLog
  /** By the text of the address. */
  readonly #entries = new Map<string, Entry>()
  /**
   * By worker: entries that it was asked to listen on and has not answered for. It answers in
   * order.
   */
  readonly #asked: { entry: Entry; answer: (code: string) => void }[][]

  constructor(options: ListenerSetOptions) {
    this.#options = options
    this.#limitedLog = new LimitedLog(options.log, 'the listeners')
    this.#asked = Array.from({ length: options.workers }, () => [])
  }

  /**
   * Opens the listeners of all pools, in their order. Unix sockets do not get their paths yet, so
   * that a start that fails later takes no path from another process. Rejects with nutcracker's
   * line about the first that failed.
   */
  async openAll(config: Config): Promise<void> {
    const answers: Promise<void>[] = []
    for (const [index, pool] of config.pools.entries()) {
      const entry = this.#newEntry(pool, index)
      entry.hidden = pool.listen.path !== ''
      this.#entries.set(pool.listen.text, entry)
      if (entry.listeningWorkers.length === 0) await this.#bind(entry)
      for (const worker of entry.listeningWorkers) answers.push(this.#ask(worker, entry))
    }
    await Promise.all(answers)
  }

  /**
   * Gives the unix sockets of `openAll` their paths.
   * @throws Error with nutcracker's line about the first that failed.
   */
  publish(): void {
    for (const entry of this.#entries.values()) {
      if (!entry.hidden) continue
      entry.hidden = false
      const { path } = entry.pool.listen
      const boundPath = boundPathOf(path)
      try {
        if (boundPath !== path) renameSync(boundPath, path)
      } catch (error) {
        throw failureOf(entry, error)
      }
    }
  }

  /**
   * First step of a reload. Rejects with nutcracker's line about the first address that failed;
   * then nothing has changed.
   */
  async prepare(changes: readonly ListenerChange[], next: Config): Promise<PreparedListeners> {
    const prepared = new Map<string, Entry>()
    try {
      for (const change of changes) {
        if (change.action !== 'open') continue
        const entry = this.#newEntry(next.pools[change.after], change.after)
        if (entry.listeningWorkers.length > 0) {
          await this.#tryAddress(entry)
          continue
        }
        entry.waiting = []
        await this.#bind(entry)
        prepared.set(change.listen.text, entry)
      }
    } catch (error) {
      this.discard(prepared)
      throw error
    }
    return prepared
  }

  /** Undoes `prepare`. */
  discard(prepared: PreparedListeners): void {
    for (const { listener, waiting } of prepared.values()) {
      listener?.close()
      for (const client of waiting ?? []) client.close()
    }
  }

  /** Second step of a reload, before the workers get the new generation. */
  release(changes: readonly ListenerChange[], next: Config): void {
    for (const change of changes) {
      const entry = this.#entries.get(change.listen.text)
      if (entry === undefined || !needsRebind(change, entry, next)) continue
      for (const worker of entry.listeningWorkers)
        this.#options.post(worker, { type: 'unlisten', pool: entry.poolIndex })
    }
  }

  /**
   * Last step of a reload, after the workers were sent the new generation. From here on failures
   * are only logged.
   */
  commit(changes: readonly ListenerChange[], next: Config, prepared: PreparedListeners): void {
    for (const change of changes) {
      const { text } = change.listen
      const entry =
        this.#entries.get(text) ?? prepared.get(text) ?? this.#newEntry(next.pools[change.after], change.after)
      const rebinds = change.action === 'open' || needsRebind(change, entry, next)
      if (change.action === 'close') {
        entry.listener?.close()
        removeFile(entry)
        this.#entries.delete(text)
        continue
      }
      entry.pool = next.pools[change.after]
      entry.poolIndex = change.after
      this.#entries.set(text, entry)
      if (entry.listener !== null && entry.listeningWorkers.length === 0) entry.listener.setBacklog(entry.pool.backlog)
      if (rebinds) this.#rebind(entry)
      const waiting = entry.waiting ?? []
      entry.waiting = null
      for (const client of waiting) this.#options.onClient(entry.poolIndex, client)
    }
  }

  /** Tells a worker that has started its listeners. */
  workerReady(worker: number): void {
    for (const entry of this.#entries.values()) {
      if (entry.listeningWorkers.includes(worker)) this.#askLater(worker, entry)
    }
  }

  /** The worker has died; `workerReady` follows. */
  workerGone(worker: number): void {
    for (const { answer } of this.#asked[worker].splice(0)) answer('')
  }

  /** A worker's answer to `listen`. */
  onAnswer(worker: number, message: FromWorker & { readonly type: 'listening' | 'listen-failed' }): void {
    const asked = this.#asked[worker].shift()
    if (asked === undefined) return
    if (message.type === 'listening') asked.entry.file = fileIdentity(pathNow(asked.entry))
    asked.answer(message.type === 'listening' ? '' : message.code)
  }

  /** Stops accepting on the primary; workers close their own listeners when they drain. */
  close(): void {
    for (const entry of this.#entries.values()) entry.listener?.close()
  }

  /**
   * Accepts the connections that the kernel has already completed, then closes every listener.
   * Closing earlier would reset those connections.
   */
  async closeWhenQuiet(): Promise<void> {
    await Promise.all([...this.#entries.values()].map(entry => entry.listener?.closeWhenQuiet()))
  }

  /**
   * Removes the files of unix sockets that are still this process's: a successor may have replaced
   * them with its own.
   */
  removeFiles(): void {
    for (const entry of this.#entries.values()) removeFile(entry)
  }

  #newEntry(pool: PoolConfig, poolIndex: number): Entry {
    const listeningWorkers = listeningWorkersOf(pool, poolIndex, this.#options.workers)
    return { pool, poolIndex, listeningWorkers, listener: null, waiting: null, failing: false, file: '', hidden: false }
  }

  async #bind(entry: Entry): Promise<void> {
    const { listen, backlog } = entry.pool
    try {
      entry.listener = await openListener({
        address: listen.host,
        port: listen.port,
        backlog,
        reuseport: false,
        onClient: client => this.#accepted(entry, client),
        onError: code => this.#acceptFailed(entry, code),
      })
    } catch (error) {
      throw failureOf(entry, error)
    }
  }

  #accepted(entry: Entry, client: AcceptedClient): void {
    if (entry.failing) {
      entry.failing = false
      this.#limitedLog.notice('accept works again', () => `accept on p ${entry.listener?.fd ?? -1} works again`)
    }
    if (entry.waiting !== null) entry.waiting.push(client)
    else this.#options.onClient(entry.poolIndex, client)
  }

  #acceptFailed(entry: Entry, code: string): void {
    if (entry.failing) return
    entry.failing = true
    this.#limitedLog.alert('accept failed', () => `accept on p ${entry.listener?.fd ?? -1} failed: ${strerror(code)}`)
  }

  /** Finds out on the primary whether workers could listen there. Rejects like `#bind`. */
  async #tryAddress(entry: Entry): Promise<void> {
    const { listen, backlog } = entry.pool
    try {
      if (listen.path !== '') {
        accessSync(dirname(listen.path), constants.W_OK)
        return
      }
      const ignore = (): void => {}
      const onClient = (client: AcceptedClient): void => client.close()
      const options = { address: listen.host, port: listen.port, backlog, reuseport: true, onClient, onError: ignore }
      const listener = await openListener(options)
      listener.close()
    } catch (error) {
      throw failureOf(entry, error)
    }
  }

  /** Opens an entry that is new or has other threads than before. */
  #rebind(entry: Entry): void {
    const wasPrimary = entry.listeningWorkers.length === 0
    const isPath = entry.pool.listen.path !== ''
    // A path stays with its worker: closing a unix socket removes its file, which may be another
    // worker's by then.
    const listeningWorkers =
      isPath && !wasPrimary
        ? entry.listeningWorkers
        : listeningWorkersOf(entry.pool, entry.poolIndex, this.#options.workers)
    entry.listeningWorkers = listeningWorkers
    if (listeningWorkers.length > 0) {
      entry.listener?.close()
      entry.listener = null
      for (const worker of listeningWorkers) this.#askLater(worker, entry)
    } else if (!wasPrimary) {
      void this.#takeOver(entry)
    }
  }

  /** Binds an address that workers were told to close. */
  async #takeOver(entry: Entry): Promise<void> {
    const deadline = performance.now() + TAKE_OVER_MS
    for (;;) {
      try {
        await this.#bind(entry)
        return
      } catch (error) {
        if (performance.now() > deadline) {
          this.#options.log.error((error as Error).message)
          return
        }
        await delay(TAKE_OVER_STEP_MS)
      }
    }
  }

  #askLater(worker: number, entry: Entry): void {
    this.#ask(worker, entry).catch((error: Error) => this.#options.log.error(error.message))
  }

  /** Rejects like `#bind`. A worker that dies meanwhile is asked again once it is ready. */
  #ask(worker: number, entry: Entry): Promise<void> {
    return new Promise((resolve, reject) => {
      if (!this.#options.post(worker, { type: 'listen', pool: entry.poolIndex, hidden: entry.hidden })) {
        resolve()
        return
      }
      const answer = (code: string): void => {
        if (code === '') resolve()
        else reject(failureOf(entry, new ListenFailure(pathFailure(code, entry.pool.listen.path), -1, 'bind')))
      }
      this.#asked[worker].push({ entry, answer })
    })
  }
}

function listeningWorkersOf(pool: PoolConfig, poolIndex: number, workers: number): readonly number[] {
  if (pool.listen.path !== '') return [poolIndex % workers]
  return pool.reuseport ? Array.from({ length: workers }, (_, worker) => worker) : []
}

/** Whether the listener needs a new socket. The primary changes the backlog of an open one. */
function needsRebind(change: ListenerChange, entry: Entry, next: Config): boolean {
  if (change.action === 'open') return false
  if (change.action === 'close') return true
  const pool = next.pools[change.after]
  const byWorkers = pool.reuseport || pool.listen.path !== ''
  if (entry.listeningWorkers.length === 0) return byWorkers
  // A worker identifies its listeners by their pool.
  return !byWorkers || change.action === 'reopen' || pool.name !== entry.pool.name
}

/** nutcracker's line. */
function failureOf({ pool }: Entry, error: unknown): Error {
  const { text } = pool.listen
  if (error instanceof ListenFailure) {
    const { fd, step, code } = error
    const what = step === 'bind' ? `bind on p ${fd} to addr` : `listen on p ${fd} on addr`
    return new Error(`${what} '${text}' failed: ${strerror(code)}`, { cause: error })
  }
  const { code } = error as NodeJS.ErrnoException
  return new Error(`bind on p -1 to addr '${text}' failed: ${strerror(code ?? String(error))}`, { cause: error })
}

function pathNow({ pool, hidden }: Entry): string {
  return hidden ? boundPathOf(pool.listen.path) : pool.listen.path
}

function removeFile(entry: Entry): void {
  const path = pathNow(entry)
  if (entry.file !== '' && fileIdentity(path) === entry.file) rmSync(path, { force: true })
}

/** `device:inode` of the file at a path; '' when there is none. */
function fileIdentity(path: string): string {
  if (path === '') return ''
  try {
    const { dev, ino } = statSync(path)
    return `${dev}:${ino}`
  } catch {
    return ''
  }
}
