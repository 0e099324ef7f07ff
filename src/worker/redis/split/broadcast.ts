/**
 * One request to several servers of a pool, whole or in parts that their caller wrote. Data plane,
 * for rare requests. Their joiners are in `join/`; requests with many keys are split by `split.ts`.
 */

import type { RespRequestParser } from '../../../protocol/redis/request-parser.ts'
import { askAnyServer } from '../../client/any-server.ts'
import type { Client } from '../../client/client.ts'
import { answerFailure, closeSplit } from '../../request/delivery.ts'
import { Failure } from '../../request/failure.ts'
import { FanOut } from '../../request/fan-out.ts'
import type { Message } from '../../request/message.ts'
import { type Joiner, SplitRequest } from '../../request/split-request.ts'
import type { Pool } from '../../server/pool.ts'
import { firstJoiner } from '../join/by-server.ts'

/**
 * Which servers are asked: `live` = those that are not ejected, with `eject_keep_ring` all; `all` =
 * ejected ones too.
 */
export const Reach = { live: 0, all: 1 } as const

/** Sends the current request, unchanged, to every server. */
export function broadcast(
  client: Client,
  parser: RespRequestParser,
  buf: Uint8Array,
  joiner: Joiner,
  reach: number,
): void {
  broadcastBytes(client, buf.subarray(parser.start, parser.end), joiner, reach)
}

/** Sends `request` to every server. */
export function broadcastBytes(client: Client, request: Uint8Array, joiner: Joiner, reach: number): void {
  const servers = reached(client.pool, reach)
  sendFragments(
    client,
    servers,
    servers.map(() => request),
    joiner,
  )
}

function reached(pool: Pool, reach: number): number[] {
  const servers: number[] = []
  for (let i = 0; i < pool.servers.length; i++) {
    if (reach === Reach.all || pool.servers[i].health.isInRing) servers.push(i)
  }
  return servers
}

/**
 * Sends `requests[i]` to server `servers[i]`, each as one fragment of the client's request. Several
 * may go to one server. `SplitRequest.serverOfFragment` is the array `servers`, to which a joiner
 * that adds fragments appends.
 */
export function sendFragments(
  client: Client,
  servers: readonly number[],
  requests: readonly Uint8Array[],
  joiner: Joiner,
): void {
  const { pool } = client
  if (servers.length === 0) {
    answerFailure(client, Failure.refused)
    return
  }
  const split = joiner.partial ? new FanOut(client, joiner, pool.context.turn) : new SplitRequest(client, joiner)
  split.serverOfFragment = servers
  for (const [i, server] of servers.entries()) sendOne(pool, split.addFragment(), server, requests[i])
  closeSplit(split)
}

/** Sends a fragment, or fails it where its server takes none. */
export function sendOne(pool: Pool, fragment: Message, server: number, request: Uint8Array): void {
  const connection = pool.connectionForFragment(fragment, server)
  if (connection === null) return
  connection.enqueue(fragment, request.length)
  connection.socket.append(request, 0, request.length)
}

/**
 * Sends a request without a key, which all servers would answer alike, to one server.
 * @param preferred see `askAnyServer`.
 */
export function forwardToAny(client: Client, parser: RespRequestParser, buf: Uint8Array, preferred: number): void {
  const request = Uint8Array.prototype.slice.call(buf, parser.start, parser.end)
  askAnyServer(client, preferred, firstJoiner, (connection, fragment) => {
    connection.enqueue(fragment, request.length)
    connection.socket.append(request, 0, request.length)
  })
}
