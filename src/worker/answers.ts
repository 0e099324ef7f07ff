/**
 * Answers the questions of other workers (`shared/questions.ts`): finds the pool, whose protocol
 * answers. Data plane.
 */

import type { WorkerAnswer, WorkerQuestion } from '../shared/questions.ts'
import type { Context } from './context.ts'
import { answerForPool } from './redis/clients/pool-questions.ts'
import { RedisProtocol } from './redis/redis-protocol.ts'

/** The answer for a pool that left the configuration or is no Redis pool. */
const NOTHING = 0

export function answerQuestion(context: Context, question: WorkerQuestion): WorkerAnswer {
  context.turn.begin()
  const clients = context.pools.find(({ pool }) => pool.config.name === question.pool)
  return clients?.pool.config.redis === true ? answerForPool(clients, question) : NOTHING
}

/**
 * Tells a new worker what its predecessor knew: pauses, and that clients of this worker monitor.
 */
export function tellWhatLasts(context: Context, worker: number): void {
  for (const { protocol } of context.pools) if (protocol instanceof RedisProtocol) protocol.watch?.tell(worker)
}

/**
 * The process is ending: requests that a CLIENT PAUSE delays are handled now, so that clients can
 * finish.
 */
export function endPauses(context: Context): void {
  for (const { protocol } of context.pools) if (protocol instanceof RedisProtocol) protocol.watch?.pause.end()
}
