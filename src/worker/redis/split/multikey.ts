/**
 * Commands with several keys that one server must have: found by the command table, forwarded
 * whole, or refused as Redis Cluster does. Data plane.
 *
 *     keys ─▶ router, each ─▶ one server: forward    several: -CROSSSLOT     strict pools never come here: nutcracker looks at one key only
 */

import { findByte, STAR } from '../../../bytes/ascii.ts'
import { argEnd, argIs, argStart } from '../../../protocol/redis/arguments.ts'
import { Action } from '../../../protocol/redis/commands.ts'
import { sortDenied } from '../../../protocol/redis/replies.ts'
import type { RespRequestParser } from '../../../protocol/redis/request-parser.ts'
import type { Client } from '../../client/client.ts'
import { answerFailure, answerLocally } from '../../request/delivery.ts'
import { Failure } from '../../request/failure.ts'
import { forScripts, isForScripts } from '../../server/connection-kind.ts'
import { redisOf } from '../redis-pool.ts'
import { knownSession } from '../session/session.ts'
import { refuseCrossServer, shownKey } from './cross-server.ts'
import { gatherRequest } from './gather.ts'

/** Result of `serverOfKeys` where no server has all keys. */
export const NO_SERVER = -1

/** Forwards the request to the server that has all its keys, or answers with an error. */
export function multiKeyRequest(client: Client, parser: RespRequestParser, buf: Uint8Array): void {
  const redis = redisOf(client.pool)
  const { command } = parser
  if (!redis.positions.find(parser, buf)) {
    redis.forwardKeyless(client, parser, buf)
    return
  }
  if (command.action === Action.gatherSets && client.pool.config.crossServer === 'gather') {
    const servers = severalServers(client, parser, buf)
    if (servers !== null) {
      gatherRequest(client, parser, buf, servers)
      return
    }
  }
  const server = serverOfKeys(client, parser, buf)
  if (server === NO_SERVER) return
  if (!deniedOnOneServer(client, parser, buf, server)) redis.forwardTo(client, parser, buf, server)
}

/**
 * Refuses what may use keys of other servers beside the one that it goes to: SORT with patterns,
 * scripts. The keys are in `redis.positions`.
 * @param server where it goes; NO_SERVER = any. @returns true when the client has had its error.
 */
export function deniedOnOneServer(client: Client, parser: RespRequestParser, buf: Uint8Array, server: number): boolean {
  if (client.pool.servers.length === 1) return false
  const { command } = parser
  if (command.action === Action.forwardScript) {
    const { scripts, positions } = redisOf(client.pool)
    const refusal = scripts.refusal(parser, buf, positions)
    if (refusal !== null) answerLocally(client, refusal)
    return refusal !== null
  }
  if (command.name !== 'SORT' && command.name !== 'SORT_RO') return false
  const option = foreignPattern(client, parser, buf, server)
  if (option === '') return false
  answerLocally(client, sortDenied(option))
  return true
}

/**
 * The server that has all keys in `redis.positions`; the key `placeholder`'s where there are none.
 * @param tell what the client has when no server is live.
 * @returns its index, or NO_SERVER when there is none or several: then the client has had its
 * error.
 */
export function serverOfKeys(
  client: Client,
  parser: RespRequestParser,
  buf: Uint8Array,
  tell: typeof answerFailure = answerFailure,
): number {
  const { router } = client.pool
  const redis = redisOf(client.pool)
  const { positions } = redis
  let server = NO_SERVER
  for (let i = 0; i < positions.count; i++) {
    const keyStart = argStart(parser, positions.args[i])
    const keyEnd = argEnd(parser, positions.args[i])
    if (keyEnd - keyStart > redis.longestKey) {
      redis.refuseKey(client, keyEnd - keyStart)
      return NO_SERVER
    }
    const keyServer = router.route(buf, keyStart, keyEnd)
    if (i > 0 && keyServer !== server) {
      refuseCrossServer(
        client,
        parser.command.name,
        shownKey(buf, argStart(parser, positions.args[0]), argEnd(parser, positions.args[0])),
        shownKey(buf, keyStart, keyEnd),
      )
      return NO_SERVER
    }
    server = keyServer
  }
  if (positions.count === 0) server = redis.keylessServer
  if (server < 0) tell(client, Failure.refused)
  return server
}

/**
 * The server of each key in `redis.positions`; null where they are on one, or where one of them is
 * refused or has no server.
 */
function severalServers(client: Client, parser: RespRequestParser, buf: Uint8Array): number[] | null {
  const { positions, longestKey } = redisOf(client.pool)
  const servers: number[] = []
  for (let i = 0; i < positions.count; i++) {
    const keyStart = argStart(parser, positions.args[i])
    const keyEnd = argEnd(parser, positions.args[i])
    const server = keyEnd - keyStart > longestKey ? -1 : client.pool.router.route(buf, keyStart, keyEnd)
    if (server < 0) return null
    servers.push(server)
  }
  return servers.every(server => server === servers[0]) ? null : servers
}

/**
 * SORT … BY weight_* GET object_*: keys that only the server knows, and may not have.
 * @returns BY or GET where such a key may be on another server than `server`, else ''.
 */
function foreignPattern(client: Client, parser: RespRequestParser, buf: Uint8Array, server: number): string {
  const { argCount } = parser
  for (let arg = 2; arg < argCount - 1; ) {
    const by = argIs(parser, buf, arg, 'BY')
    if (by || argIs(parser, buf, arg, 'GET')) {
      const from = argStart(parser, arg + 1)
      const to = argEnd(parser, arg + 1)
      if (isPattern(buf, from, to) && !staysOn(client, buf, from, to, server)) return by ? 'BY' : 'GET'
      arg += 2
    } else {
      arg += argIs(parser, buf, arg, 'LIMIT') ? 3 : argIs(parser, buf, arg, 'STORE') ? 2 : 1
    }
  }
  return ''
}

/** A pattern without a star names no key: BY nosort, GET #. */
function isPattern(buf: Uint8Array, from: number, to: number): boolean {
  return findByte(buf, from, to, STAR) < to
}

/** Only a hash tag before the star keeps every key that the pattern can make on one server. */
function staysOn(client: Client, buf: Uint8Array, from: number, to: number, server: number): boolean {
  const { hashTag } = client.pool.config
  if (hashTag === null) return false
  const open = findByte(buf, from, to, hashTag[0])
  const close = open < to ? findByte(buf, open + 1, to, hashTag[1]) : to
  if (close >= findByte(buf, from, to, STAR) || close === open + 1) return false
  return client.pool.router.route(buf, from, to) === server
}

/**
 * EVAL, EVALSHA, FCALL: by their keys; what a pool of several servers asks of them: `scripts.ts`.
 */
export function scriptRequest(client: Client, parser: RespRequestParser, buf: Uint8Array): void {
  const redis = redisOf(client.pool)
  if (!redis.positions.find(parser, buf)) {
    redis.forwardKeyless(client, parser, buf)
    return
  }
  if (deniedOnOneServer(client, parser, buf, NO_SERVER) || !runsScripts(client)) return
  const server = serverOfKeys(client, parser, buf)
  if (server !== NO_SERVER) redis.forwardTo(client, parser, buf, server)
}

/**
 * From its first script on, all that a client asks goes by connections for such clients, so that
 * its requests keep their order.
 * @returns false when the request is postponed: earlier ones are in flight on other connections.
 */
function runsScripts(client: Client): boolean {
  const session = knownSession(client)
  // A request with its replies off cannot be postponed.
  if (isForScripts(client.connectionKind) || (session !== null && !session.isServed)) return true
  if (client.pending > 0) {
    client.postpone(true)
    return false
  }
  client.connectionKind = forScripts(client.connectionKind)
  return true
}
