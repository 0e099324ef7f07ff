/** What a client's transaction has come to: its requests so far and the server connections that it holds. Data plane. */

import type { Client } from '../../client/client.ts'
import { answerStateLoss } from '../../request/delivery.ts'
import { Failure } from '../../request/failure.ts'
import type { ConnectionUser, ServerConnection } from '../../server/server-connection.ts'
import type { ExecPlace } from '../join/exec.ts'
import { knownSession, type RedisSession, type SessionTransaction } from '../session/session.ts'

export const NONE: ServerConnection[] = []

export class Transaction implements ConnectionUser, SessionTransaction {
  readonly listens = false
  readonly stateful = true
  readonly session: RedisSession
  /** MULTI was said. */
  open = false
  /** A request was refused, or the connection lost: EXEC runs nothing. */
  aborted = false
  /** Its server's, from WATCH or the first key on. */
  connection: ServerConnection | null = null
  /** The server knows of MULTI. */
  begun = false
  /** Requests before the first key, as the server takes them. */
  kept: Uint8Array[] = []
  keptBytes = 0
  /** Requests that the client was told are queued. */
  requests = 0
  watchedKeys = 0
  mayWrite = false
  /** The database that EXEC leaves the connection in, by SELECT among the requests; -1 = it stays where it is. */
  selected = -1
  /** What every request is answered since the proxy refused one, until EXEC or DISCARD; null = it has refused none. */
  refusal: Uint8Array | null = null
  /** A server refused to queue a request. */
  refusedByServer = false
  /** The key that decided the server, as a refusal shows it. */
  firstKey = ''
  /** Connections to further servers with a part of the transaction. */
  others: ServerConnection[] = NONE
  /** Where each queued request's reply comes from; null = all from `connection`, in order. */
  places: ExecPlace[] | null = null

  constructor(session: RedisSession) {
    this.session = session
  }

  takesPush(): boolean {
    return false
  }

  connectionIdle(): void {}

  /** What was watched or queued is lost with it, and no reply of MULTI's could say so. */
  connectionLost(connection: ServerConnection): void {
    this.aborted = true
    const isOther = this.others.includes(connection)
    if (this.connection !== connection && !isOther) return
    if (isOther) this.others = this.others.filter(each => each !== connection)
    else this.connection = null
    const { client } = this.session
    // Nothing was under way: no request's failure has told the client.
    if (!client.ending) answerStateLoss(client, Failure.closed)
  }

  /** The client is gone, or has said RESET: the server discards on its own. */
  end(): void {
    const { connection, others } = this
    this.connection = null
    this.others = NONE
    connection?.close(Failure.closed)
    for (const other of others) other.close(Failure.closed)
  }

  /** A request is queued. @param place where EXEC's reply to it comes from. */
  addRequest(place: ExecPlace): void {
    if (this.places === null && place !== 0) this.places = new Array<ExecPlace>(this.requests).fill(0)
    this.places?.push(place)
    this.requests++
  }
}

/** The transaction in which the client has said MULTI; null = there is none. */
export function openTransactionOf(client: Client): Transaction | null {
  const transaction = transactionOf(knownSession(client))
  return transaction?.open === true ? transaction : null
}

/** The transaction of a session, by its class. */
export function transactionOf(session: RedisSession | null): Transaction | null {
  return (session?.transaction ?? null) as Transaction | null
}
