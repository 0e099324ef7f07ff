/**
 * Every message between the primary and a worker. Data goes by shared memory (`memory-layout.ts`);
 * only these go by port.
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

/**
 * What a worker begins with, and what a reload sends: one generation of configuration with its
 * memory.
 */
export interface Generation {
  /** 1 at the start; one more with each reload. */
  readonly id: number
  readonly config: Config
  readonly shapes: readonly PoolShape[]
  readonly shared: SharedArrayBuffer
}

/**
 * What a worker's thread is started with. The rest is its first message, so that it can load the
 * program before there is a configuration.
 */
export interface WorkerStart {
  readonly workerIndex: number
}

/** What a worker works with from its first message on. */
export interface WorkerData {
  readonly workerIndex: number
  readonly workers: number
  /** Size of nutcracker's mbuf: only its limit on key length remains, `mbufBytes - 49`. */
  readonly mbufBytes: number
  /** This worker's share of `--memory-limit`, bytes; 0 = no limit. */
  readonly memoryLimitBytes: number
  readonly log: LogOptions
  readonly current: Generation
}

export type LoadedKind = 'script' | 'function'

/**
 * What a worker tells the others of a pool's scripts and functions
 * (`worker/redis/scripts/script-registry.ts`). `loaded`: a text that servers have, but for those in
 * `owedTo`. `paid`: a server that had missed it has it now. `dropped`: deleted or flushed; `name`
 * null = all.
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
 * From one worker to all others; the primary passes it on. `pool`: its name, since indexes change
 * with a reload.
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
 * `generation`: a reload. `changes`: the pools that the generation before had too. `listen` /
 * `unlisten`: this worker owns the pool's listener (unix path, or SO_REUSEPORT). `hidden`: a unix
 * listener is not given its path yet (`socket-path.ts`). `ask` / `answer`: `questions.ts`.
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
   * `answer`: null = a worker that was asked is gone, or none was asked. `left`: answers that are
   * still to come.
   */
  /** Worker `worker` has begun: it knows nothing of a pause, and of who monitors. */
  | { readonly type: 'joined'; readonly worker: number }
  | { readonly type: 'answer'; readonly id: number; readonly answer: WorkerAnswer | null; readonly left: number }
  | Tell

export type FromWorker =
  | { readonly type: 'ready' }
  | { readonly type: 'listening'; readonly pool: number }
  /** `code` is the errno name, for instance `EADDRINUSE`. */
  | { readonly type: 'listen-failed'; readonly pool: number; readonly code: string }
  /**
   * A failure count reached its limit; the state in shared memory is already `ejected`. `reason`:
   * text of the last failure, for the log.
   */
  | { readonly type: 'ejected'; readonly pool: number; readonly server: number; readonly reason: string }
  /**
   * The worker has moved its gauges and its `WorkerBlock.clients` to the new memory (old zeroed)
   * and writes only there from now on. Pool and server indexes in its earlier messages are the old
   * generation's, in later ones the new generation's.
   */
  | { readonly type: 'adopted'; readonly generationId: number }
  | { readonly type: 'drained' }
  /**
   * `to`: workers that are asked; null = all others. `timeoutMs`: after which the asking worker
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
