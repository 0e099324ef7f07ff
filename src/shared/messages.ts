/**
 * Every message between the primary and a worker. Counters, health and tables are in shared memory
 * (`memory-layout.ts`); the rest are these messages.
 */

import type { Config } from './config.ts'
import type { PoolChange } from './config-diff.ts'
import type { PoolShape } from './memory-layout.ts'
import type { WorkerAnswer, WorkerQuestion } from './questions.ts'

export interface LogOptions {
  /** Path of the log file, or '' for stderr. */
  readonly path: string
  readonly format: 'nutcracker' | 'json'
}

/** One configuration with its memory: a worker begins with one, and a reload sends the next. */
export interface Generation {
  /** 1 at the start; one more with each reload. */
  readonly id: number
  readonly config: Config
  readonly shapes: readonly PoolShape[]
  readonly shared: SharedArrayBuffer
}

/**
 * What a worker's thread is started with. `WorkerData` follows as its first message, so that the
 * thread can load the program before there is a configuration.
 */
export interface WorkerStart {
  readonly workerIndex: number
}

/** Content of a worker's first message. */
export interface WorkerData {
  readonly workerIndex: number
  readonly workers: number
  /** Size of nutcracker's mbuf, bytes. It only limits the length of a key, to `mbufBytes - 49`. */
  readonly mbufBytes: number
  /** This worker's share of `--memory-limit`, bytes; 0 = no limit. */
  readonly memoryLimitBytes: number
  readonly log: LogOptions
  readonly current: Generation
}

export type LoadedKind = 'script' | 'function'

/**
 * What a worker tells the other workers about a pool's scripts and functions
 * (`worker/redis/scripts/script-registry.ts`). `loaded`: all servers but those in `owedTo` have
 * this text. `paid`: a server of `owedTo` has it now. `dropped`: deleted or flushed; `name` null =
 * all.
 */
export type LoadNotice =
  | {
      readonly type: 'loaded'
      readonly kind: LoadedKind
      readonly name: string
      readonly text: string
      readonly owedTo: readonly string[]
    }
  | { readonly type: 'paid'; readonly kind: LoadedKind; readonly name: string; readonly server: string }
  | { readonly type: 'dropped'; readonly kind: LoadedKind; readonly name: string | null }

/**
 * From one worker to all others; the primary passes it on. `pool` is the pool's name, because
 * indexes change with a reload.
 */
export interface Tell {
  readonly type: 'tell'
  readonly pool: string
  readonly notice: LoadNotice
}

/**
 * `begin`: the first message, and only the first.
 * `clients`: accepted connections and the pool of each; the handles travel in the transfer list
 * (raw TCP handles: `net/raw-handle.ts`).
 * `generation`: a reload. `changes`: the pools that the previous generation had too. `listen` /
 * `unlisten`: this worker opens or closes the pool's listener (unix path, or SO_REUSEPORT).
 * `hidden`: a unix listener does not get its path yet (`socket-path.ts`). `ask` / `answer`:
 * `questions.ts`.
 */
export type ToWorker =
  | { readonly type: 'begin'; readonly data: WorkerData }
  | { readonly type: 'clients'; readonly pools: readonly number[]; readonly handles: readonly unknown[] }
  | { readonly type: 'listen'; readonly pool: number; readonly hidden: boolean }
  | { readonly type: 'unlisten'; readonly pool: number }
  | { readonly type: 'generation'; readonly next: Generation; readonly changes: readonly PoolChange[] }
  | { readonly type: 'drain'; readonly timeoutMs: number }
  | { readonly type: 'reopen-log' }
  | { readonly type: 'ask'; readonly relayId: number; readonly question: WorkerQuestion }
  /**
   * `answer`: null = a worker that was asked has died, or none was asked. `left`: number of answers
   * still to come.
   */
  /** Worker `worker` has begun: it knows of no pause and of no monitoring client yet. */
  | { readonly type: 'joined'; readonly worker: number }
  | { readonly type: 'answer'; readonly id: number; readonly answer: WorkerAnswer | null; readonly left: number }
  | Tell

export type FromWorker =
  | { readonly type: 'ready' }
  | { readonly type: 'listening'; readonly pool: number }
  /** `code` is the errno name, for instance `EADDRINUSE`. */
  | { readonly type: 'listen-failed'; readonly pool: number; readonly code: string }
  /**
   * A server's failure count has reached its limit; the worker has already set its state in shared
   * memory to `ejected`. `reason`: text of the last failure, for the log.
   */
  | { readonly type: 'ejected'; readonly pool: number; readonly server: number; readonly reason: string }
  /**
   * The worker has moved its gauges and its `WorkerBlock.clients` to the new memory, set the old
   * ones to zero, and writes only to the new memory from now on. Pool and server indexes in its
   * earlier messages are the old generation's, in later ones the new generation's.
   */
  | { readonly type: 'adopted'; readonly generationId: number }
  | { readonly type: 'drained' }
  /**
   * `to`: workers to ask; null = all others. `timeoutMs`: time after which the asking worker
   * expects no answer.
   */
  | {
      readonly type: 'ask'
      readonly id: number
      readonly to: readonly number[] | null
      readonly timeoutMs: number
      readonly question: WorkerQuestion
    }
  | { readonly type: 'answer'; readonly relayId: number; readonly answer: WorkerAnswer }
  | Tell
