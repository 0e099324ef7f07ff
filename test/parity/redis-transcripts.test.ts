import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { stopAll } from '../support/processes/child.ts'
import { poolYml, type RunningProxy, SUBJECT, serverEntry, startProxy } from '../support/processes/proxy.ts'
import { startRedis } from '../support/processes/servers.ts'
import { encode, replyEnd } from '../support/wire/resp.ts'
import { Wire } from '../support/wire/wire.ts'
import { expectedOutcome, REDIS_DEPARTURES, REDIS_SERVER_REPLY_DEPARTURES } from './departures.ts'
import {
  checkExchange,
  checkServerReply,
  type Exchange,
  loadTranscripts,
  type ReplyPools,
  startReplyPools,
} from './transcripts.ts'

const { exchanges, server_replies: serverReplies } = loadTranscripts('redis-transcripts.json')
const PROBE = { request: '*1\r\n$4\r\nPING\r\n', reply: '+PONG\r\n', endOf: replyEnd }

/** Requests too long to be written out in the transcripts. */
const GENERATED: Readonly<Record<string, Buffer>> = {
  'key 16335': encode('GET', 'k'.repeat(16335)),
  'key 16336': encode('GET', 'k'.repeat(16336)),
  'set long key': encode('SET', 'k'.repeat(16335), 'v'),
  'exists first': encode('EXISTS', 'k'.repeat(16335)),
}

function requestOf(exchange: Exchange): Buffer {
  return exchange.request === null ? GENERATED[exchange.name]! : Buffer.from(exchange.request, 'latin1')
}

async function startPool(strict: boolean): Promise<RunningProxy> {
  const servers = await Promise.all(['a', 'b', 'c'].map(async name => serverEntry(await startRedis(), name)))
  const keys = { redis: true, timeout: 1000, ...(strict ? { strict: true } : {}) }
  return startProxy({ yml: poolYml({ keys, servers }) })
}

afterAll(stopAll)

const modes = SUBJECT === 'nutcracker' ? ['strict'] : ['default', 'strict']

describe.each(modes)('redis transcripts, %s pool', mode => {
  let proxy: RunningProxy
  beforeAll(async () => {
    proxy = await startPool(mode === 'strict' && SUBJECT === 'pistachio')
  })

  // In order: later exchanges read what earlier ones wrote.
  test.each(exchanges.map(exchange => [exchange.name, exchange] as const))('%s', async (name, exchange) => {
    const departure = SUBJECT === 'nutcracker' ? undefined : REDIS_DEPARTURES[name]
    const port = proxy.ports[0]!
    await checkExchange(port, requestOf(exchange), expectedOutcome(exchange, departure, mode === 'strict'), PROBE)
    if (departure?.undo !== undefined) await send(port, Buffer.from(departure.undo))
  })
})

async function send(port: number, request: Buffer): Promise<void> {
  const wire = await Wire.open({ port })
  wire.send(request)
  await wire.redisReplies(1)
  wire.destroy()
}

describe.each(modes)('what a server answers reaches the client as measured, %s pool', mode => {
  const strict = mode === 'strict' && SUBJECT === 'pistachio'
  let pools: ReplyPools
  beforeAll(async () => {
    pools = await startReplyPools('redis', serverReplies, strict)
  })
  afterAll(() => pools.stop())

  const named = serverReplies.map((vector, index) => [JSON.stringify(vector.server_reply), vector, index] as const)
  test.each(named)('%s', async (_, vector, index) => {
    const departure = SUBJECT === 'nutcracker' ? undefined : REDIS_SERVER_REPLY_DEPARTURES[vector.server_reply]
    const original = { reply: vector.client_reply, closed: vector.client_closed }
    await checkServerReply(pools.ports[index]!, vector, expectedOutcome(original, departure, strict))
  })
})

test('every departure names a measured exchange', () => {
  const names = new Set(exchanges.map(exchange => exchange.name))
  expect(Object.keys(REDIS_DEPARTURES).filter(name => !names.has(name))).toEqual([])
  const replies = new Set(serverReplies.map(vector => vector.server_reply))
  expect(Object.keys(REDIS_SERVER_REPLY_DEPARTURES).filter(reply => !replies.has(reply))).toEqual([])
})
