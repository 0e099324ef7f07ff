/**
 * A request that any server can answer: one server is asked, and the next one where that one cannot
 * answer. Data plane, for rare requests that change nothing, so that two servers may execute the
 * same one.
 *
 *     version ─▶ s1: connection refused ─▶ s2: VERSION 1.6.18 ─▶ client
 */

import { answerFailure } from '../request/delivery.ts'
import { Failure, type FailureCode } from '../request/failure.ts'
import { STRAGGLER_MS } from '../request/fan-out.ts'
import type { Message } from '../request/message.ts'
import { type Joiner, SplitRequest } from '../request/split-request.ts'
import type { Pool } from '../server/pool.ts'
import type { ServerConnection } from '../server/server-connection.ts'
import type { Client } from './client.ts'

/**
 * Appends the request to the connection's output and queues `fragment` for it. The request's bytes
 * must outlive the client's buffer.
 */
export type SendFragment = (connection: ServerConnection, fragment: Message) => void

/**
 * Sends a request to the first server that answers.
 * @param preferred index of the server to ask first; -1 = no server is live, and the client gets
 * its error.
 * @param joiner passes the one reply on; it calls `askNext` for a reply that is none.
 */
export function askAnyServer(client: Client, preferred: number, joiner: Joiner, send: SendFragment): void {
  if (preferred < 0) {
    answerFailure(client, Failure.refused)
    return
  }
  new AnyServerRequest(client, joiner, preferred, send).askNext()
}

export class AnyServerRequest extends SplitRequest {
  private readonly target: Pool
  private readonly send: SendFragment
  /** Indexes of the servers that are still to be asked. */
  private readonly servers: number[]
  private timer: NodeJS.Timeout | null = null

  constructor(client: Client, joiner: Joiner, preferred: number, send: SendFragment) {
    super(client, joiner)
    this.target = client.pool
    this.send = send
    this.servers = inOrder(client.pool, preferred)
    // Closed from the start: a fragment is added before the last one's failure is counted.
    this.waiting = 0
  }

  /** Asks one more server. @returns false when all were asked. */
  askNext(): boolean {
    const server = this.servers.shift()
    if (server === undefined || this.parent.client === null) return false
    const fragment = this.addFragment()
    if (this.servers.length > 0) this.restartTimer()
    const connection = this.target.connectionForFragment(fragment, server)
    if (connection !== null) this.send(connection, fragment)
    return true
  }

  /**
   * The reply has come: later ones are dropped. Called by the joiner, before the fragment leaves
   * `waiting`.
   */
  answered(): void {
    this.waiting = 1
    this.errorReply = null
  }

  /**
   * Where a server fails the next one is asked; the client gets the failure of the last one only.
   */
  override fail(failure: FailureCode): void {
    if (!this.askNext() && this.waiting <= 1) super.fail(failure)
  }

  override release(): void {
    if (this.timer !== null) clearTimeout(this.timer)
    super.release()
  }

  /** Where a server does not answer in time, the next one is asked too; the first reply counts. */
  private restartTimer(): void {
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = setTimeout(() => {
      if (this.waiting <= 0) return
      this.target.context.turn.begin()
      this.askNext()
    }, STRAGGLER_MS)
  }
}

/**
 * The preferred server, then the others that are live, then those that were last found lost.
 * Ejected ones are left out.
 */
function inOrder(pool: Pool, preferred: number): number[] {
  const live: number[] = []
  const lost: number[] = []
  for (const server of [pool.servers[preferred], ...pool.servers]) {
    const { index } = server
    if (server.health.isEjected || live.includes(index) || lost.includes(index)) continue
    if (server.health.isLost) lost.push(index)
    else live.push(index)
  }
  // With `eject_keep_ring` all may be ejected: the preferred one's failure is the answer.
  return live.length + lost.length > 0 ? [...live, ...lost] : [preferred]
}
