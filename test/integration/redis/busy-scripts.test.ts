/** While a script runs without end: others hear it from the server, and can end it. */

import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { stopAll } from '../../support/processes/child.ts'
import { poolYml, type RunningProxy, serverEntry, startProxy } from '../../support/processes/proxy.ts'
import { ask, startRedis, type TestServer } from '../../support/processes/servers.ts'
import { waitUntil } from '../../support/wait.ts'
import { closeTalks, Talk } from '../../support/wire/redis-pool.ts'
import { Wire } from '../../support/wire/wire.ts'

const ENDLESS = 'while true do end'
const BUSY = /^-BUSY Redis is busy running a script/

let server: TestServer
let proxy: RunningProxy

afterEach(closeTalks)
afterAll(stopAll)

async function talk(): Promise<Talk> {
  return new Talk(await Wire.open({ port: proxy.ports[0]! }))
}

async function isBusy(): Promise<void> {
  await waitUntil(async () => BUSY.test(`${(await ask(server, ['GET', 'x']))[0]}`), 'the script to run')
}

describe.each([1, 2])('a pool of %d servers, one worker', count => {
  beforeEach(async () => {
    server = await startRedis({ args: ['--lua-time-limit', '10'] })
    const servers = [serverEntry(server, 'a'), ...(count === 1 ? [] : [serverEntry(await startRedis(), 'b')])]
    proxy = await startProxy({ kind: 'pistachio', yml: poolYml({ keys: { redis: true, hash_tag: '"{}"' }, servers }) })
  })

  /** A key of the first server. */
  async function keyOf(client: Talk): Promise<string> {
    for (let i = 0; ; i++) {
      await client.say('SET', `k${i}`, 'v')
      if (`${(await ask(server, ['DEL', `k${i}`]))[0]}` === ':1\r\n') return `k${i}`
    }
  }

  test('others that ask at once hear -BUSY, and SCRIPT KILL ends the script', async () => {
    const [running, other, third] = [await talk(), await talk(), await talk()]
    const key = await keyOf(other)
    running.send('EVAL', ENDLESS, 1, key)
    await isBusy()
    expect(await other.say('GET', key)).toMatch(BUSY)
    expect(await third.say('SCRIPT', 'KILL')).toBe('+OK\r\n')
    expect((await running.hear(1))[0]).toMatch(/^-ERR .*Script killed by user/)
    expect(await other.say('GET', key)).toBe('$-1\r\n')
    expect(await running.say('EVAL', 'return 1', 1, key)).toBe(':1\r\n')
    expect(await third.say('SCRIPT', 'KILL')).toMatch(/^-NOTBUSY /)
  })

  test('so do clients that run scripts themselves, once it has run for a moment', async () => {
    const [running, other] = [await talk(), await talk()]
    const key = await keyOf(other)
    expect(await other.say('EVAL', 'return 1', 1, key)).toBe(':1\r\n')
    running.send('EVAL', ENDLESS, 1, key)
    await isBusy()
    // A request that comes before the connection is set aside waits for the script's end.
    await waitUntil(async () => {
      const each = await talk()
      each.send('EVAL', 'return 1', 1, key)
      const replies = await each.wire.redisReplies(1, { timeoutMs: 300 }).catch(() => [])
      return BUSY.test(`${replies[0]}`)
    }, 'a connection beside the busy one')
    expect(await other.say('SCRIPT', 'KILL')).toBe('+OK\r\n')
    expect((await running.hear(1))[0]).toMatch(/^-ERR .*Script killed by user/)
  })

  test('a function is ended by FUNCTION KILL', async () => {
    const [running, other] = [await talk(), await talk()]
    const key = await keyOf(other)
    await other.say('FUNCTION', 'LOAD', `#!lua name=l\nredis.register_function('f', function() ${ENDLESS} end)`)
    running.send('FCALL', 'f', 1, key)
    await isBusy()
    expect(await other.say('GET', key)).toMatch(BUSY)
    expect(await other.say('FUNCTION', 'KILL')).toBe('+OK\r\n')
    expect((await running.hear(1))[0]).toMatch(/^-ERR .*Script killed by user/)
  })

  test('a pipeline keeps its order where scripts and other requests take turns', async () => {
    const client = await talk()
    const key = await keyOf(client)
    const increment = "return redis.call('INCR', KEYS[1])"
    const requests = Array.from({ length: 50 }, (_, i) =>
      i % 3 === 1 ? ['EVAL', increment, 1, key] : i % 3 === 2 ? ['GET', key] : ['INCR', key],
    )
    client.sendAll(...requests)
    let value = 0
    const expected = requests.map(([name]) =>
      name === 'GET' ? `$${`${value}`.length}\r\n${value}\r\n` : `:${++value}\r\n`,
    )
    expect(await client.hear(50)).toEqual(expected)
  })
})
