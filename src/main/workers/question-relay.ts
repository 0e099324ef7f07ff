/**
 * Carries questions from one worker to others, and their answers back (`shared/questions.ts`).
 * Primary thread.
 *
 * A question stays here until the last worker has answered or is dead, or until its time is over: a
 * worker that never answers costs one small record until then.
 */

import type { FromWorker, ToWorker } from '../../shared/messages.ts'
import type { WorkerAnswer } from '../../shared/questions.ts'

export interface QuestionRelayOptions {
  readonly workers: number
  readonly isRunning: (worker: number) => boolean
  /** @returns false when the worker is not there. */
  readonly post: (worker: number, message: ToWorker) => boolean
}

interface RelayedQuestion {
  readonly from: number
  /** The asking worker's number for it. */
  readonly id: number
  /** Workers that have not answered. */
  readonly waiting: Set<number>
  /** `performance.now()` scale. */
  readonly deadlineMs: number
}

export class QuestionRelay {
  readonly #options: QuestionRelayOptions
  readonly #questions: Map<number, RelayedQuestion> = new Map()
  #lastRelayId = 0
  /** A question was asked whose effect lasts: workers that begin later must hear of it. */
  #somethingLasts = false

  constructor(options: QuestionRelayOptions) {
    this.#options = options
  }

  /** Questions that are not answered by all yet. */
  get size(): number {
    return this.#questions.size
  }

  ask(from: number, message: FromWorker & { readonly type: 'ask' }): void {
    const { workers, isRunning, post } = this.#options
    const { id, question, timeoutMs } = message
    const nowMs = performance.now()
    this.#forgetLate(nowMs)
    if (question.kind === 'pause' || question.kind === 'watch') this.#somethingLasts = true
    this.#lastRelayId++
    const relayId = this.#lastRelayId
    const asked = message.to ?? Array.from({ length: workers }, (_, worker) => worker)
    const waiting = new Set<number>()
    for (const worker of asked) {
      if (worker === from || !isRunning(worker)) continue
      if (post(worker, { type: 'ask', relayId, question })) waiting.add(worker)
    }
    if (waiting.size === 0) post(from, { type: 'answer', id, answer: null, left: 0 })
    else this.#questions.set(relayId, { from, id, waiting, deadlineMs: nowMs + timeoutMs })
  }

  answer(worker: number, relayId: number, answer: WorkerAnswer): void {
    const question = this.#questions.get(relayId)
    if (question !== undefined) this.#answered(relayId, question, worker, answer)
  }

  /** A worker has begun. The others tell it what lasts. */
  workerReady(worker: number): void {
    if (!this.#somethingLasts) return
    for (let other = 0; other < this.#options.workers; other++) {
      if (other !== worker && this.#options.isRunning(other)) this.#options.post(other, { type: 'joined', worker })
    }
  }

  /** A worker is dead: it answers no more, and its own questions matter to none. */
  workerGone(worker: number): void {
    for (const [relayId, question] of this.#questions) {
      if (question.from === worker) this.#questions.delete(relayId)
      else this.#answered(relayId, question, worker, null)
    }
  }

  #answered(relayId: number, question: RelayedQuestion, worker: number, answer: WorkerAnswer | null): void {
    const { from, id, waiting } = question
    if (!waiting.delete(worker)) return
    if (waiting.size === 0) this.#questions.delete(relayId)
    this.#options.post(from, { type: 'answer', id, answer, left: waiting.size })
  }

  #forgetLate(nowMs: number): void {
    for (const [relayId, { deadlineMs }] of this.#questions) if (nowMs > deadlineMs) this.#questions.delete(relayId)
  }
}
