/**
 * Commands about all keys, or about the servers themselves: asked of every server and put together.
 * Data plane. Of a pool with one server the one server answers.
 */

import { argEnd, argStart, argText, argTexts } from '../../../protocol/redis/arguments.ts'
import * as replies from '../../../protocol/redis/replies.ts'
import type { RespRequestParser } from '../../../protocol/redis/request-parser.ts'
import type { LoadedKind } from '../../../shared/messages.ts'
import type { Client } from '../../client/client.ts'
import type { Joiner } from '../../request/split-request.ts'
import { forKills } from '../../server/connection-kind.ts'
import { partialSumJoiner, statusJoiner, sumJoiner } from '../join/by-key.ts'
import { AnyJoiner, LeastJoiner, SameJoiner } from '../join/by-server.ts'
import {
  ConfigJoiner,
  LatencyHistoryJoiner,
  LatencyLatestJoiner,
  SlowlogJoiner,
  slowlogCount,
  TextsJoiner,
} from '../join/reports.ts'
import { ScriptExistsJoiner } from '../join/script-exists.ts'
import type { RedisPool } from '../redis-pool.ts'
import { broadcast, Reach } from './broadcast.ts'
import { configSetRefusal } from './config-set.ts'
import { KeysJoiner, RandomKeyJoiner, scanRequest } from './scan.ts'

type Handler = (redis: RedisPool, client: Client, parser: RespRequestParser, buf: Uint8Array) => void

/**
 * Asks the servers whose keys the pool shows. The joiner says whether all of them have to answer.
 */
function live(joinerOf: () => Joiner): Handler {
  return (_, client, parser, buf) => broadcast(client, parser, buf, joinerOf(), Reach.live)
}

/** Changes every server, or the reply says why not. */
function all(joinerOf: () => Joiner): Handler {
  return (_, client, parser, buf) => broadcast(client, parser, buf, joinerOf(), Reach.all)
}

/** Any server knows. */
const anyServer: Handler = (redis, client, parser, buf) => redis.forwardKeyless(client, parser, buf)

/** CONFIG SET and its like: only where the pool allows it. */
const changesServers: Handler = (redis, client, parser, buf) => {
  const refusal = changeRefusal(client, parser, buf)
  if (refusal !== null) redis.answerRefused(client, refusal)
  else broadcast(client, parser, buf, statusJoiner, Reach.all)
}

function changeRefusal(client: Client, parser: RespRequestParser, buf: Uint8Array): Uint8Array | null {
  const { pool } = client
  return pool.config.configSet ? configSetRefusal(pool, argTexts(parser, buf)) : replies.CONFIG_SET_REFUSED
}

function flushes(kind: LoadedKind): Handler {
  return (redis, client, parser, buf) => {
    redis.loading.drop(kind, null)
    broadcast(client, parser, buf, statusJoiner, Reach.all)
  }
}

const functionDelete: Handler = (redis, client, parser, buf) => {
  redis.loading.drop('function', argTexts(parser, buf)[2] ?? '')
  broadcast(client, parser, buf, new SameJoiner(), Reach.all)
}

/**
 * By command, or command and subcommand. What is not here has no one answer for several servers.
 */
const HANDLERS: ReadonlyMap<string, Handler> = new Map([
  ['DBSIZE', live(() => sumJoiner)],
  ['FLUSHALL', all(() => statusJoiner)],
  ['FLUSHDB', all(() => statusJoiner)],
  ['KEYS', live(() => new KeysJoiner())],
  ['RANDOMKEY', live(() => new RandomKeyJoiner())],
  ['LASTSAVE', live(() => new LeastJoiner(true))],
  ['SCAN', scanRequest],
  ['CONFIG GET', live(() => new ConfigJoiner(true))],
  ['CONFIG SET', changesServers],
  ['CONFIG RESETSTAT', changesServers],
  ['CONFIG REWRITE', changesServers],
  ['CONFIG HELP', anyServer],
  ['FUNCTION DELETE', functionDelete],
  ['FUNCTION DUMP', anyServer],
  ['FUNCTION FLUSH', flushes('function')],
  ['FUNCTION HELP', anyServer],
  ['FUNCTION KILL', kill],
  ['FUNCTION LIST', anyServer],
  ['FUNCTION LOAD', functionLoad],
  ['FUNCTION RESTORE', functionRestore],
  ['LATENCY DOCTOR', live(() => new TextsJoiner(true))],
  ['LATENCY GRAPH', live(() => new TextsJoiner(true))],
  ['LATENCY HELP', anyServer],
  ['LATENCY HISTORY', live(() => new LatencyHistoryJoiner(true))],
  ['LATENCY LATEST', live(() => new LatencyLatestJoiner(true))],
  ['LATENCY RESET', live(() => sumJoiner)],
  ['MEMORY DOCTOR', live(() => new TextsJoiner(true))],
  ['MEMORY HELP', anyServer],
  ['MEMORY MALLOC-STATS', live(() => new TextsJoiner(true))],
  ['MEMORY PURGE', live(() => statusJoiner)],
  ['MEMORY USAGE', memoryUsage],
  ['SCRIPT EXISTS', scriptExists],
  ['SCRIPT FLUSH', flushes('script')],
  ['SCRIPT HELP', anyServer],
  ['SCRIPT KILL', kill],
  ['SCRIPT LOAD', scriptLoad],
  ['SLOWLOG GET', slowlogGet],
  ['SLOWLOG HELP', anyServer],
  ['SLOWLOG LEN', live(() => partialSumJoiner)],
  ['SLOWLOG RESET', live(() => statusJoiner)],
])

const NEVER_FORWARDED: ReadonlySet<Handler | undefined> = new Set([changesServers, kill])

/** They act on the connection that they come over, which clients share. */
const ALWAYS_REFUSED = new Set(['SCRIPT DEBUG'])
const CONTAINERS = new Set(['CONFIG', 'FUNCTION', 'LATENCY', 'MEMORY', 'SCRIPT', 'SLOWLOG'])
/** Subcommands of which several servers have several answers. */
const ONE_SERVER = new Set(['FUNCTION STATS', 'LATENCY HISTOGRAM', 'MEMORY STATS'])

/** @returns why even a pool of one server does not pass on a request; null = it does. */
export function refusedOnOneServer(client: Client, parser: RespRequestParser, buf: Uint8Array): Uint8Array | null {
  const name = nameOf(parser, buf)
  if (ALWAYS_REFUSED.has(name)) return replies.unsupportedCommand(name.replace(' ', '|'))
  return HANDLERS.get(name) === changesServers ? changeRefusal(client, parser, buf) : null
}

/** The command; of a container, with its subcommand in upper case. */
function nameOf(parser: RespRequestParser, buf: Uint8Array): string {
  const { command } = parser
  if (!CONTAINERS.has(command.name)) return command.name
  return `${command.name} ${argText(parser, buf, 1).toUpperCase()}`
}

export function keyspaceRequest(redis: RedisPool, client: Client, parser: RespRequestParser, buf: Uint8Array): void {
  const { command } = parser
  const name = nameOf(parser, buf)
  const handler = HANDLERS.get(name)
  if (ALWAYS_REFUSED.has(name)) {
    redis.answerRefused(client, replies.unsupportedCommand(name.replace(' ', '|')))
  } else if (client.pool.servers.length === 1 && !NEVER_FORWARDED.has(handler) && (handler ?? ONE_SERVER.has(name))) {
    redis.forwardTo(client, parser, buf, redis.keylessServer)
  } else if (handler !== undefined) {
    handler(redis, client, parser, buf)
  } else if (ONE_SERVER.has(name)) {
    redis.answerRefused(client, replies.unsupportedCommand(name.replace(' ', '|')))
  } else {
    redis.answerRefused(client, replies.unknownSubcommand(command.name, argText(parser, buf, 1)))
  }
}

function memoryUsage(redis: RedisPool, client: Client, parser: RespRequestParser, buf: Uint8Array): void {
  if (parser.argCount > 2) redis.forward(client, parser, buf, 2)
  else redis.forwardKeyless(client, parser, buf)
}

function slowlogGet(_redis: RedisPool, client: Client, parser: RespRequestParser, buf: Uint8Array): void {
  broadcast(client, parser, buf, new SlowlogJoiner(slowlogCount(parser, buf)), Reach.live)
}

function scriptLoad(redis: RedisPool, client: Client, parser: RespRequestParser, buf: Uint8Array): void {
  const { argCount } = parser
  const refusal = argCount === 3 ? redis.scripts.loading(buf, argStart(parser, 2), argEnd(parser, 2)) : null
  if (refusal !== null) redis.answer(client, refusal)
  else redis.loading.load(client, parser, buf, 'script')
}

function scriptExists(redis: RedisPool, client: Client, parser: RespRequestParser, buf: Uint8Array): void {
  const digests = argTexts(parser, buf).slice(2)
  const onOneServer = digests.map(digest => redis.scripts.ranWithoutKeys(digest))
  broadcast(client, parser, buf, new ScriptExistsJoiner(onOneServer, redis.keylessServer), Reach.live)
}

/** FUNCTION LOAD [REPLACE] text. */
function functionLoad(redis: RedisPool, client: Client, parser: RespRequestParser, buf: Uint8Array): void {
  const { argCount } = parser
  if (argCount > 2) redis.scripts.loadingLibrary(buf, argStart(parser, argCount - 1), argEnd(parser, argCount - 1))
  redis.loading.load(client, parser, buf, 'function')
}

function functionRestore(redis: RedisPool, client: Client, parser: RespRequestParser, buf: Uint8Array): void {
  redis.scripts.restoringFunctions()
  broadcast(client, parser, buf, statusJoiner, Reach.all)
}

/**
 * A server whose script runs reads no connection on which something waits behind a script: kills go
 * by connections of their own.
 */
function kill(_redis: RedisPool, client: Client, parser: RespRequestParser, buf: Uint8Array): void {
  const kind = client.connectionKind
  client.connectionKind = forKills(client.resp3)
  broadcast(client, parser, buf, new AnyJoiner(), Reach.live)
  client.connectionKind = kind
}
