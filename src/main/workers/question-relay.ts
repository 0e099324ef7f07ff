/**
 * Carries questions from one worker to others, and their answers back (`shared/questions.ts`).
 * Primary thread.
 *
 * A question is kept until the last worker has answered or died, or until its time limit; a worker
 * that never answers costs one small record until then.
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
  /** Id that the asking worker gave the question. */
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
  /**
   * A question with a lasting effect was asked (a pause, MONITOR): workers that begin later must be
   * told.
   */
  #somethingLasts = false

  constructor(options: QuestionRelayOptions) {
    this.#options = options
  }

  /** Number of questions that some worker has not answered. */
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

  /** A worker has begun. The other workers tell it about pauses and monitoring clients. */
  workerReady(worker: number): void {
    if (!this.#somethingLasts) return
    for (let other = 0; other < this.#options.workers; other++) {
      if (other !== worker && this.#options.isRunning(other)) this.#options.post(other, { type: 'joined', worker })
    }
  }

  /** A worker has died: it gives no more answers, and its own questions are forgotten. */
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
