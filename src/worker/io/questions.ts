/**
 * This worker's questions to the other workers, until they are answered. Data plane, for rare commands. The protocol: `shared/questions.ts`.
 *
 * A question costs nothing before it is asked: no timer, no message, no state.
 */

import type { FromWorker } from '../../shared/messages.ts'
import { ANSWER_TIMEOUT_MS, type WorkerAnswer, type WorkerQuestion } from '../../shared/questions.ts'

/** Questions of one worker that may be open at once. Beyond that, askers are told so. */
const MAX_OPEN_QUESTIONS = 256

/**
 * Called once. @param answers of the workers that answered, in the order of their answers.
 * @param complete false: the time is over and a worker that is alive has not answered.
 */
export type OnAnswers = (answers: readonly WorkerAnswer[], complete: boolean) => void

interface OpenQuestion {
  readonly answers: WorkerAnswer[]
  readonly done: OnAnswers
  readonly timer: NodeJS.Timeout
}

export interface QuestionsOptions {
  /** Workers of the process, this one included. */
  readonly workers: number
  readonly post: (message: FromWorker) => void
  /** Called before `done` where that comes from outside a turn of the loop: begins the turn. */
  readonly beginTurn: () => void
}

export class Questions {
  readonly #options: QuestionsOptions
  readonly #open: Map<number, OpenQuestion> = new Map()
  #lastId = 0

  constructor(options: QuestionsOptions) {
    this.#options = options
  }

  /**
   * Asks the other workers. With none, `done` is called at once.
   * @param to the workers asked; null = all others.
   * @returns false when too many questions are open: `done` is not called.
   */
  ask(
    question: WorkerQuestion,
    done: OnAnswers,
    to: readonly number[] | null = null,
    timeoutMs: number = ANSWER_TIMEOUT_MS,
  ): boolean {
    if (to === null ? this.#options.workers === 1 : to.length === 0) {
      done([], true)
      return true
    }
    if (this.#open.size >= MAX_OPEN_QUESTIONS) return false
    this.#lastId++
    const id = this.#lastId
    const timer = setTimeout(() => this.#finish(id, false), timeoutMs)
    timer.unref()
    this.#open.set(id, { answers: [], done, timer })
    this.#options.post({ type: 'ask', id, to, timeoutMs, question })
    return true
  }

  /** Takes an answer. One that comes too late is dropped. @param left answers that are still to come. */
  onAnswer(id: number, answer: WorkerAnswer | null, left: number): void {
    const open = this.#open.get(id)
    if (open === undefined) return
    if (answer !== null) open.answers.push(answer)
    if (left === 0) this.#finish(id, true)
  }

  #finish(id: number, complete: boolean): void {
    const { answers, done, timer } = this.#open.get(id)!
    this.#open.delete(id)
    clearTimeout(timer)
    this.#options.beginTurn()
    done(answers, complete)
  }
}
