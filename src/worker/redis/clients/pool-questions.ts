/**
 * Commands about all clients of a pool, in all workers: what this worker does for such a command,
 * and how a client's command asks the other workers (`shared/questions.ts`). Data plane, for rare
 * requests.
 */

import type { ClientFilter, WorkerAnswer, WorkerQuestion } from '../../../shared/questions.ts'
import type { Client } from '../../client/client.ts'
import { awaitReply, lateReply } from '../../client/late-reply.ts'
import type { PoolClients } from '../../client/pool-clients.ts'
import { CloseReason } from '../../request/reply-target.ts'
import { watchOf } from '../redis-pool.ts'
import { knownSession } from '../session/session.ts'
import { type CurrentRequest, clientLines, clientsThatFit, EVERY_CLIENT } from './client-list.ts'

/**
 * @returns this worker's answer to a question.
 * @param current the request that asks, if a client of this worker sent it.
 */
export function answerForPool(
  clients: PoolClients,
  question: WorkerQuestion,
  current: CurrentRequest | null = null,
): WorkerAnswer {
  switch (question.kind) {
    case 'list-clients':
      return clientLines(clients, question.filter, question.version, current)
    case 'kill-clients':
      return killClients(clients, question.filter, current)
    case 'unblock-client':
      return unblockClient(clients, question.id, question.withError)
    default:
      return watchOf(clients).answer(question)
  }
}

/**
 * Closes the clients that a filter selects. The client that asks is closed later, after its reply.
 * @returns how many.
 */
function killClients(members: PoolClients, filter: ClientFilter, current: CurrentRequest | null): number {
  const clients = clientsThatFit(members, filter)
  for (const client of clients) if (client !== current?.client) client.close(CloseReason.none)
  return clients.length
}

function unblockClient(members: PoolClients, id: number, withError: boolean): number {
  const [client] = clientsThatFit(members, { ...EVERY_CLIENT, ids: [id] })
  const blocking = client === undefined ? null : knownSession(client)?.blocking
  if (blocking == null) return 0
  blocking.unblock(withError)
  return 1
}

/**
 * Answers the current request with the answers of all workers. Until then later requests of the
 * client wait.
 * @param combine makes the reply. Answers that came too late are missing.
 */
export function askWorkers(
  current: CurrentRequest,
  question: WorkerQuestion,
  combine: (answers: readonly WorkerAnswer[]) => Uint8Array,
  refusal: Uint8Array,
): void {
  const { client } = current
  const { pool } = client
  const give = current.give ?? giverOf(client)
  const own = answerForPool(client.poolClients, question, current)
  const asked = pool.context.questions.ask(question, (answers, complete) => {
    if (!complete) {
      const { name } = pool.config
      pool.limitedLog.warn(
        'worker without an answer',
        () => `a worker did not answer '${question.kind}' of pool '${name}'`,
      )
    }
    give(combine([own, ...answers]))
  })
  if (!asked) give(refusal)
}

function giverOf(client: Client): (reply: Uint8Array) => void {
  const message = awaitReply(client)
  client.waitForReplies()
  return reply => lateReply(message, reply)
}
