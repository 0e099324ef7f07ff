/** What a worker asks the others: it ends with the answers, or without them. */

import { expect, test, vi } from 'vitest'
import type { FromWorker } from '../../../../src/shared/messages.ts'
import type { WorkerAnswer, WorkerQuestion } from '../../../../src/shared/questions.ts'
import { Questions } from '../../../../src/worker/io/questions.ts'

const QUESTION: WorkerQuestion = { kind: 'unblock-client', pool: 'p', id: 1, withError: false }

function questionsOf(workers: number): { questions: Questions; posts: FromWorker[]; turns: () => number } {
  const posts: FromWorker[] = []
  let turns = 0
  const questions = new Questions({ workers, post: message => void posts.push(message), beginTurn: () => turns++ })
  return { questions, posts, turns: () => turns }
}

test('the only worker asks nobody and goes on at once', () => {
  const { questions, posts } = questionsOf(1)
  const done = vi.fn()
  expect(questions.ask(QUESTION, done)).toBe(true)
  expect(done).toHaveBeenCalledExactlyOnceWith([], true)
  expect(posts).toEqual([])
})

test('answers gather until the last; a dead worker has none', () => {
  const { questions, posts, turns } = questionsOf(4)
  const done = vi.fn()
  questions.ask(QUESTION, done)
  expect(posts).toEqual([{ type: 'ask', id: 1, to: null, timeoutMs: 1_000, question: QUESTION }])
  questions.onAnswer(1, 3, 2)
  questions.onAnswer(1, null, 1)
  expect(done).not.toHaveBeenCalled()
  questions.onAnswer(1, 4, 0)
  expect(done).toHaveBeenCalledExactlyOnceWith([3, 4], true)
  expect(turns()).toBe(1)
  questions.onAnswer(1, 5, 0)
  expect(done).toHaveBeenCalledTimes(1)
})

test('a worker that is slow is waited for no longer than the time given', () => {
  vi.useFakeTimers()
  try {
    const { questions } = questionsOf(3)
    const answers: [readonly WorkerAnswer[], boolean][] = []
    questions.ask(QUESTION, (...answer) => void answers.push(answer), null, 500)
    questions.onAnswer(1, 7, 1)
    vi.advanceTimersByTime(499)
    expect(answers).toEqual([])
    vi.advanceTimersByTime(1)
    expect(answers).toEqual([[[7], false]])
    questions.onAnswer(1, 8, 0)
    expect(answers).toHaveLength(1)
  } finally {
    vi.useRealTimers()
  }
})

test('open questions are bounded', () => {
  const { questions } = questionsOf(2)
  const done = vi.fn()
  let open = 0
  while (questions.ask(QUESTION, done)) open++
  expect(open).toBe(256)
  questions.onAnswer(1, 1, 0)
  expect(questions.ask(QUESTION, done)).toBe(true)
  expect(questions.ask(QUESTION, done)).toBe(false)
  for (let id = 2; id <= 257; id++) questions.onAnswer(id, 1, 0)
  expect(done).toHaveBeenCalledTimes(257)
})
