/** Questions between workers, as the primary carries them. */

import { expect, test } from 'vitest'
import { QuestionRelay } from '../../../../src/main/workers/question-relay.ts'
import type { ToWorker } from '../../../../src/shared/messages.ts'
import type { WorkerQuestion } from '../../../../src/shared/questions.ts'

const QUESTION: WorkerQuestion = { kind: 'unblock-client', pool: 'p', id: 1, withError: false }

function relayOf(workers: number): { relay: QuestionRelay; running: Set<number>; posts: [number, ToWorker][] } {
  const running = new Set(Array.from({ length: workers }, (_, worker) => worker))
  const posts: [number, ToWorker][] = []
  const relay = new QuestionRelay({
    workers,
    isRunning: worker => running.has(worker),
    post: (worker, message) => {
      posts.push([worker, message])
      return true
    },
  })
  return { relay, running, posts }
}

function ask(relay: QuestionRelay, from: number, id: number, timeoutMs = 60_000, to: number[] | null = null): void {
  relay.ask(from, { type: 'ask', id, to, timeoutMs, question: QUESTION })
}

test('every other worker that runs is asked, and each answer goes back with what is left', () => {
  const { relay, running, posts } = relayOf(4)
  running.delete(3)
  ask(relay, 1, 7)
  expect(posts.splice(0)).toEqual([
    [0, { type: 'ask', relayId: 1, question: QUESTION }],
    [2, { type: 'ask', relayId: 1, question: QUESTION }],
  ])
  relay.answer(2, 1, 5)
  relay.answer(2, 1, 5)
  relay.answer(0, 1, 6)
  expect(posts.splice(0)).toEqual([
    [1, { type: 'answer', id: 7, answer: 5, left: 1 }],
    [1, { type: 'answer', id: 7, answer: 6, left: 0 }],
  ])
  expect(relay.size).toBe(0)
})

test('only the workers named are asked', () => {
  const { relay, posts } = relayOf(4)
  ask(relay, 0, 1, 1_000, [2])
  expect(posts.map(([worker]) => worker)).toEqual([2])
})

test('with no other worker the question ends at once', () => {
  const { relay, posts } = relayOf(1)
  ask(relay, 0, 3)
  expect(posts).toEqual([[0, { type: 'answer', id: 3, answer: null, left: 0 }]])
})

test('a worker that dies answers nothing, and its own questions end', () => {
  const { relay, posts } = relayOf(3)
  ask(relay, 0, 1)
  ask(relay, 2, 1)
  posts.length = 0
  relay.workerGone(2)
  expect(posts.splice(0)).toEqual([[0, { type: 'answer', id: 1, answer: null, left: 1 }]])
  relay.answer(1, 2, 9)
  expect(posts).toEqual([])
  relay.answer(1, 1, 9)
  expect(posts).toEqual([[0, { type: 'answer', id: 1, answer: 9, left: 0 }]])
  expect(relay.size).toBe(0)
})

test('questions whose time is over are forgotten', () => {
  const { relay } = relayOf(2)
  ask(relay, 0, 1, -1)
  ask(relay, 0, 2)
  expect(relay.size).toBe(1)
})
