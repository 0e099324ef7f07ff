/** What every room may ask of the worker that it works in. Data plane. `worker/context.ts` implements it. */

import type { LimitedLog } from '../../log/limited-log.ts'
import type { Logger } from '../../log/log.ts'
import type { FromWorker } from '../../shared/messages.ts'
import type { PollBarrier } from '../io/poll-barrier.ts'
import type { Questions } from '../io/questions.ts'
import type { Timer } from '../io/timer.ts'
import type { Turn } from '../io/turn.ts'
import type { MessagePool } from './message.ts'

/** Has input that waits. */
export interface Resumable {
  resume(): void
}

/** Has counts that the statistics do not show yet. */
export interface Publishable {
  publish(): void
}

export interface WorkerScope {
  readonly turn: Turn
  readonly timer: Timer
  /** The records of requests in flight. */
  readonly messages: MessagePool
  /** Whether other workers have read what had come. */
  readonly barrier: PollBarrier
  readonly workerIndex: number
  readonly workers: number
  readonly mbufBytes: number
  readonly log: Logger
  /** For every line that a client can cause and that belongs to no pool. */
  readonly limitedLog: LimitedLog
  /** Sends a message to the primary. */
  readonly post: (message: FromWorker) => void
  /** To the other workers. */
  readonly questions: Questions
  readonly memory: {
    /** Memory is short: clients are not read. */
    readonly pressed: boolean
    /** This worker's share of `--memory-limit`, bytes; Infinity = no limit. */
    readonly limitBytes: number
    /** To be called when bytes have come. */
    check(): void
  }
  /** This worker's block (`WorkerBlock`). */
  readonly block: Int32Array
  /** The control block (`Control`). */
  readonly control: Int32Array
  /** The counts are published at the end of the turn. */
  publishLater(tally: Publishable): void
  /** The client goes on with its input once this turn's replies are all in. */
  resumeLater(client: Resumable): void
  /** A number that no other client of the process has. */
  newClientId(): number
  countConnection(sign: number): void
  /** Clients of the process, those on their way to a worker included. */
  clientsOverall(): number
  clientGone(): void
}
