/** What this worker answers to the questions of others (`shared/questions.ts`): finds the pool, and lets its protocol answer. Data plane. */

import type { WorkerAnswer, WorkerQuestion } from '../shared/questions.ts'
import type { Context } from './context.ts'
import { answerForPool } from './redis/pool-questions.ts'

/** Of a pool that is no longer configured, or never was a Redis pool, there is nothing to tell. */
const NOTHING = 0

export function answerQuestion(context: Context, question: WorkerQuestion): WorkerAnswer {
  context.turn.begin()
  const clients = context.pools.find(({ pool }) => pool.config.name === question.pool)
  return clients?.pool.config.redis === true ? answerForPool(clients, question) : NOTHING
}
