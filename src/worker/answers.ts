/** What this worker answers to the questions of others (`shared/questions.ts`): finds the pool, and lets its protocol answer. Data plane. */

import type { WorkerAnswer, WorkerQuestion } from '../shared/questions.ts'
import type { Context } from './context.ts'
import { answerForPool } from './redis/clients/pool-questions.ts'
import { RedisProtocol } from './redis/redis-protocol.ts'

/** Of a pool that is no longer configured, or never was a Redis pool, there is nothing to tell. */
const NOTHING = 0

export function answerQuestion(context: Context, question: WorkerQuestion): WorkerAnswer {
  context.turn.begin()
  const clients = context.pools.find(({ pool }) => pool.config.name === question.pool)
  return clients?.pool.config.redis === true ? answerForPool(clients, question) : NOTHING
}

/** Tells a worker that has just begun what its predecessor knew: pauses, and that clients of this worker monitor. */
export function tellWhatLasts(context: Context, worker: number): void {
  for (const { protocol } of context.pools) if (protocol instanceof RedisProtocol) protocol.watch?.tell(worker)
}

/** The process is ending: what a pause holds back is served, so that clients can finish. */
export function endPauses(context: Context): void {
  for (const { protocol } of context.pools) if (protocol instanceof RedisProtocol) protocol.watch?.pause.end()
}
