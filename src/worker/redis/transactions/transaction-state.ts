/** A client's transaction: its requests so far and its exclusive connections. Data plane. */

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
  /** True from MULTI on; false while only WATCH was sent. */
  open = false
  /** True after a request was refused or a connection lost: EXEC discards the transaction. */
  aborted = false
  /** The connection to the transaction's server, from WATCH or the first key on; null before. */
  connection: ServerConnection | null = null
  /** True after MULTI was sent to the server. */
  begun = false
  /** Requests before the first key, as the server gets them; empty once `begun`. */
  kept: Uint8Array[] = []
  keptBytes = 0
  /** Requests that were answered with QUEUED. */
  requests = 0
  watchedKeys = 0
  mayWrite = false
  /**
   * The database of the last SELECT among the requests: EXEC moves the connection there. -1 = there
   * is no SELECT.
   */
  selected = -1
  /**
   * The reply to every further request once the proxy has refused one, until EXEC or DISCARD; null
   * = none was refused.
   */
  refusal: Uint8Array | null = null
  /** True after a server refused to queue a request. `RedisProtocol.inspect` writes it. */
  refusedByServer = false
  /** The key that chose the server, as a refusal shows it; '' before. */
  firstKey = ''
  /** Connections to further servers that have a part of the transaction. */
  others: ServerConnection[] = NONE
  /** By queued request: what answers it; null = all from `connection`, in order. */
  places: ExecPlace[] | null = null

  constructor(session: RedisSession) {
    this.session = session
  }

  takesPush(): boolean {
    return false
  }

  connectionIdle(): void {}

  /**
   * The watched keys and queued requests are lost with the connection, and no reply to a queued
   * request can say so.
   */
  connectionLost(connection: ServerConnection): void {
    this.aborted = true
    const isOther = this.others.includes(connection)
    if (this.connection !== connection && !isOther) return
    if (isOther) this.others = this.others.filter(each => each !== connection)
    else this.connection = null
    const { client } = this.session
    // Nothing was in flight, so no failed request has told the client.
    if (!client.ending) answerStateLoss(client, Failure.closed)
  }

  /** Closes the connections: the servers then discard the transaction. */
  end(): void {
    const { connection, others } = this
    this.connection = null
    this.others = NONE
    connection?.close(Failure.closed)
    for (const other of others) other.close(Failure.closed)
  }

  /** Counts a queued request. @param place what answers it in EXEC's reply. */
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
