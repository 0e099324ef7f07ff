import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { stopAll } from '../support/processes/child.ts'
import { poolYml, type RunningProxy, SUBJECT, serverEntry, startProxy } from '../support/processes/proxy.ts'
import { startMemcached } from '../support/processes/servers.ts'
import { memcacheReplyEnd } from '../support/wire/memcache-wire.ts'
import { expectedOutcome, MEMCACHE_DEPARTURES, MEMCACHE_SERVER_REPLY_DEPARTURES } from './departures.ts'
import { checkExchange, checkServerReply, loadTranscripts, type ReplyPools, startReplyPools } from './transcripts.ts'

const { exchanges, server_replies: serverReplies } = loadTranscripts('memcache-transcripts.json')
const PROBE = { request: 'get probe\r\n', reply: 'END\r\n', endOf: memcacheReplyEnd }

async function startPool(strict: boolean): Promise<RunningProxy> {
  const servers = await Promise.all(['a', 'b'].map(async name => serverEntry(await startMemcached(), name)))
  const keys = { timeout: 1000, ...(strict ? { strict: true } : {}) }
  return startProxy({ yml: poolYml({ keys, servers }) })
}

afterAll(stopAll)

const modes = SUBJECT === 'nutcracker' ? ['strict'] : ['default', 'strict']

describe.each(modes)('memcache transcripts, %s pool', mode => {
  let proxy: RunningProxy
  beforeAll(async () => {
    proxy = await startPool(mode === 'strict' && SUBJECT === 'pistachio')
  })

  // In order: later exchanges read what earlier ones wrote.
  test.each(exchanges.map(exchange => [exchange.name, exchange] as const))('%s', async (name, exchange) => {
    const departure = SUBJECT === 'nutcracker' ? undefined : MEMCACHE_DEPARTURES[name]
    const expected = expectedOutcome(exchange, departure, mode === 'strict')
    await checkExchange(proxy.ports[0]!, Buffer.from(exchange.request!, 'latin1'), expected, PROBE)
  })
})

describe.each(modes)('what a server answers reaches the client as measured, %s pool', mode => {
  const strict = mode === 'strict' && SUBJECT === 'pistachio'
  let pools: ReplyPools
  beforeAll(async () => {
    pools = await startReplyPools('memcache', serverReplies, strict)
  })
  afterAll(() => pools.stop())

  const named = serverReplies.map(
    (vector, index) => [JSON.stringify([vector.request, vector.server_reply]), vector, index] as const,
  )
  test.each(named)('%s', async (name, vector, index) => {
    const departure = SUBJECT === 'nutcracker' ? undefined : MEMCACHE_SERVER_REPLY_DEPARTURES[name]
    const original = { reply: vector.client_reply, closed: vector.client_closed }
    await checkServerReply(pools.ports[index]!, vector, expectedOutcome(original, departure, strict))
  })
})

test('every departure names a measured exchange', () => {
  const names = new Set(exchanges.map(exchange => exchange.name))
  expect(Object.keys(MEMCACHE_DEPARTURES).filter(name => !names.has(name))).toEqual([])
})
