/**
 * HELLO: protocol version, password and name in one request, answered with the version of the
 * servers. Data plane. A client gets an answer also when no server is reachable; its first request
 * with a key then fails.
 */

import { encodeText } from '../../../bytes/ascii.ts'
import { argTexts } from '../../../protocol/redis/arguments.ts'
import { WRONG_PASS } from '../../../protocol/redis/replies.ts'
import { ReplyWriter } from '../../../protocol/redis/reply-writer.ts'
import type { RespRequestParser } from '../../../protocol/redis/request-parser.ts'
import type { Client } from '../../client/client.ts'
import { connectionKind } from '../../server/connection-kind.ts'
import type { RedisPool } from '../redis-pool.ts'
import { withVersion } from '../servers/server-version.ts'
import { isUser } from './auth.ts'
import { isClientText, NAME_REFUSED } from './client-text.ts'
import { knownSession, sessionOf } from './session.ts'

const NOPROTO = encodeText('-NOPROTO unsupported protocol version\r\n')
const BAD_VERSION = encodeText('-ERR Protocol version is not an integer or out of range\r\n')
const NOT_AUTHENTICATED = encodeText(
  '-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option ' +
    'can be used to authenticate the client and select the RESP protocol version at the same time\r\n',
)
const BUSY = encodeText('-ERR HELLO cannot change the protocol within a transaction or subscription\r\n')
/** The first Redis with RESP3. */
const RESP3_VERSION = 6

interface Hello {
  /** 2, 3, or 0 = unchanged. */
  readonly version: number
  /** Index of the user's name among the arguments; 0 = no AUTH. */
  readonly auth: number
  readonly name: string | null
}

export function helloRequest(redis: RedisPool, client: Client, parser: RespRequestParser, buf: Uint8Array): void {
  const hello = readHello(argTexts(parser, buf))
  if (hello instanceof Uint8Array) {
    redis.answer(client, hello)
    return
  }
  const resp3 = hello.version === 0 ? client.resp3 : hello.version === 3
  const changes = resp3 !== client.resp3
  // The requests in flight belong to the other protocol version and to other server connections.
  if (client.pending > 0 && (changes || redis.serverVersion === '')) {
    client.postpone(true)
    return
  }
  if (hello.auth > 0) {
    if (!isUser(client, parser, buf, hello.auth)) {
      redis.answer(client, WRONG_PASS)
      return
    }
    client.setAuthenticated(true)
  }
  if (!client.authenticated) {
    redis.answer(client, NOT_AUTHENTICATED)
  } else if (changes && knownSession(client)?.hasOpenState === true) {
    redis.answer(client, BUSY)
  } else {
    withVersion(redis, client, version => {
      redis.answer(client, greeting(redis, client, resp3, hello.name, version))
    })
  }
}

/** @returns the request's arguments, or the error reply. */
function readHello(args: readonly string[]): Hello | Uint8Array {
  let version = 0
  let auth = 0
  let name: string | null = null
  if (args.length > 1) {
    if (!/^-?\d{1,18}$/.test(args[1])) return BAD_VERSION
    version = Number(args[1])
    if (version !== 2 && version !== 3) return NOPROTO
  }
  for (let i = 2; i < args.length; ) {
    const option = args[i].toUpperCase()
    if (option === 'AUTH' && i + 2 < args.length) {
      auth = i + 1
      i += 3
    } else if (option === 'SETNAME' && i + 1 < args.length) {
      name = args[i + 1]
      if (!isClientText(name)) return NAME_REFUSED
      i += 2
    } else {
      return encodeText(`-ERR Syntax error in HELLO option '${args[i].replace(/[\r\n]/g, ' ').slice(0, 128)}'\r\n`)
    }
  }
  return { version, auth, name }
}

/** Changes the client's protocol version and name. @returns the reply. */
function greeting(redis: RedisPool, client: Client, resp3: boolean, name: string | null, version: string): Uint8Array {
  if (resp3 && (redis.refusesResp3 || Number.parseInt(version, 10) < RESP3_VERSION)) return NOPROTO
  client.resp3 = resp3
  client.connectionKind = connectionKind(client.database, resp3)
  client.updateFastPath()
  const session = sessionOf(client)
  if (name !== null) session.name = name
  const writer = new ReplyWriter(resp3).map(7)
  writer.bulk('server').bulk('redis').bulk('version').bulk(version).bulk('proto')
  writer
    .integer(resp3 ? 3 : 2)
    .bulk('id')
    .integer(session.id)
    .bulk('mode')
    .bulk('standalone')
  return writer.bulk('role').bulk('master').bulk('modules').array(0).bytes()
}
