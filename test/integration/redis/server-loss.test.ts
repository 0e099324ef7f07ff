/** What a client meets when a server of its pool is killed: what it had there ends with its connection, as with Redis itself. */

import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { stopAll } from '../../support/processes/child.ts'
import { poolYml, type RunningProxy, startProxy } from '../../support/processes/proxy.ts'
import { RestartableServer } from '../../support/processes/restartable-server.ts'
import { array, closeTalks, Talk } from '../../support/wire/redis-pool.ts'
import { Wire } from '../../support/wire/wire.ts'

let servers: RestartableServer[]
let proxy: RunningProxy

beforeEach(async () => {
  servers = [await RestartableServer.start(), await RestartableServer.start()]
})

afterEach(async () => {
  closeTalks()
  await proxy.stop()
  await Promise.all(servers.map(server => server.kill()))
})
afterAll(stopAll)

async function start(keys: Readonly<Record<string, string | number | boolean>> = {}): Promise<void> {
  const yml = poolYml({
    keys: { redis: true, hash: 'md5', hash_tag: '"{}"', timeout: 1_000, ...keys },
    servers: servers.map((server, index) => `127.0.0.1:${server.port}:1 server${index}`),
  })
  proxy = await startProxy({ kind: 'pistachio', workers: 2, yml })
}

async function talk(): Promise<Talk> {
  return new Talk(await Wire.open({ port: proxy.ports[0]! }))
}

/** A key of server 0 and one of server 1: written, then looked for. */
async function keysByServer(): Promise<[string, string]> {
  const client = await talk()
  const keys = ['', '']
  for (let i = 0; keys.includes(''); i++) {
    await client.say('SET', `loss${i}`, 'v')
    const direct = new Talk(await Wire.open({ port: servers[0]!.port }))
    keys[(await direct.say('EXISTS', `loss${i}`)) === ':1\r\n' ? 0 : 1] = `loss${i}`
  }
  return keys as [string, string]
}

describe('what is lost with a server', () => {
  test.each<{ name: string; requests: string[][] }>([
    { name: 'BLPOP', requests: [['BLPOP', 'none-{KEY}', '0']] },
    { name: 'XREAD', requests: [['XREAD', 'BLOCK', '0', 'STREAMS', 'none-{KEY}', '$']] },
    { name: 'WATCH', requests: [['WATCH', '{KEY}']] },
    { name: 'MULTI', requests: [['MULTI'], ['SET', '{KEY}', '1']] },
    { name: 'MULTI after WATCH', requests: [['WATCH', '{KEY}'], ['MULTI']] },
  ])('$name ends the connection without a reply', async ({ name, requests }) => {
    await start()
    const [key] = await keysByServer()
    const client = await talk()
    const replies: string[] = []
    for (const request of requests) {
      const args = request.map(arg => arg.replace('KEY', key))
      if (name === 'BLPOP' || name === 'XREAD') client.send(...args)
      else replies.push(await client.say(...args))
    }
    if (replies.length === 0) await servers[0]!.shows('clients', 'blocked_clients', 1)
    await servers[0]!.kill()
    expect(String(await client.wire.untilClosed())).toBe('')
    expect(replies.every(reply => /^\+(OK|QUEUED)\r\n$/.test(reply))).toBe(true)
  })

  test('is not begun without it either: the connection ends where Redis would refuse it', async () => {
    await start()
    const [key, other] = await keysByServer()
    await servers[0]!.kill()
    for (const requests of [[['BLPOP', key, '0']], [['WATCH', key]], [['MULTI'], ['GET', key]]]) {
      const client = await talk()
      client.sendAll(['GET', other], ...requests, ['GET', other])
      const replies = String(await client.wire.untilClosed())
      expect(replies).toBe(requests.length === 2 ? '$1\r\nv\r\n+OK\r\n' : '$1\r\nv\r\n')
    }
  })

  test('an EXEC under way ends the connection, and a transaction of the other server goes on', async () => {
    await start()
    const [key, other] = await keysByServer()
    const client = await talk()
    const neighbour = await talk()
    await neighbour.say('MULTI')
    await neighbour.say('SET', other, 'kept')
    await client.say('MULTI')
    await client.say('EVAL', 'while true do end', '1', key)
    client.send('EXEC')
    const direct = new Talk(await Wire.open({ port: servers[0]!.port }))
    direct.send('PING')
    await servers[0]!.kill()
    expect(String(await client.wire.untilClosed())).toBe('')
    expect(await neighbour.say('EXEC')).toBe('*1\r\n+OK\r\n')
  })

  test('RESET and DISCARD leave the transaction in order: the client stays', async () => {
    await start()
    const [key] = await keysByServer()
    const client = await talk()
    for (const last of ['RESET', 'DISCARD']) {
      await client.say('MULTI')
      await client.say('SET', key, '1')
      await client.say(last)
    }
    await servers[0]!.kill()
    expect(await client.say('PING')).toBe('+PONG\r\n')
  })
})

describe('an ordinary request of a lost server', () => {
  test('is answered with nutcracker’s error by default, and the client stays', async () => {
    await start()
    const [key, other] = await keysByServer()
    await servers[0]!.kill()
    const client = await talk()
    client.sendAll(['GET', key], ['GET', other], ['MGET', key, other])
    expect(await client.hear(3)).toEqual([
      expect.stringMatching(/^-ERR Connection refused\r\n$/),
      '$1\r\nv\r\n',
      '-ERR Connection refused\r\n',
    ])
  })

  test.each(['GET', 'MGET'])(
    '%s ends the connection behind the replies before it, with `server_loss: close`',
    async name => {
      await start({ server_loss: 'close' })
      const [key, other] = await keysByServer()
      const client = await talk()
      expect(await client.say('GET', key)).toBe('$1\r\nv\r\n')
      await servers[0]!.kill()
      client.sendAll(['GET', other], name === 'GET' ? ['GET', key] : ['MGET', key, other], ['GET', other])
      expect(String(await client.wire.untilClosed())).toBe('$1\r\nv\r\n')
      expect(proxy.log()).toMatch(/disconnected, its server failed: /)
    },
  )

  test('is cut off in flight as well, and others keep what they have under way', async () => {
    await start({ server_loss: 'close' })
    const [key, other] = await keysByServer()
    const client = await talk()
    const neighbour = await talk()
    client.sendAll(['GET', other], ['EVAL', 'while true do end', '1', key], ['GET', other])
    expect(await client.hear(1)).toEqual(['$1\r\nv\r\n'])
    neighbour.sendAll(['GET', other], ['SET', other, '2'])
    expect(await neighbour.hear(2)).toEqual(['$1\r\nv\r\n', '+OK\r\n'])
    await servers[0]!.kill()
    expect(String(await client.wire.untilClosed())).toBe('')
    expect(await neighbour.say('GET', other)).toBe('$1\r\n2\r\n')
  })
})

describe('a subscriber of several servers', () => {
  /** A channel of each server. */
  async function channels(): Promise<[string, string]> {
    const [key, other] = await keysByServer()
    return [key, other]
  }

  async function reaches(publisher: Talk, channel: string, receivers: number): Promise<void> {
    await expect.poll(() => publisher.say('PUBLISH', channel, 'm'), { timeout: 5_000 }).toBe(`:${receivers}\r\n`)
  }

  test.each([2, 3])(
    'goes on with those that are there, and has the lost one again when it is back (RESP%i)',
    async proto => {
      await start()
      const [gone, live] = await channels()
      const [byPattern, byChannels, publisher] = [await talk(), await talk(), await talk()]
      const push = (...items: string[]): string => array(...items).replace('*', proto === 3 ? '>' : '*')
      for (const subscriber of [byPattern, byChannels]) {
        subscriber.send('HELLO', proto)
        await subscriber.hear(1)
      }
      await byPattern.say('PSUBSCRIBE', 'loss*')
      byChannels.send('SUBSCRIBE', gone, live)
      await byChannels.hear(2)
      await servers[0]!.kill()
      await expect.poll(() => proxy.log()).toMatch(/is lost: its subscribers stay connected/)
      expect(await publisher.say('PUBLISH', live, 'meanwhile')).toBe(':2\r\n')
      expect(await byPattern.hear(1)).toEqual([push('pmessage', 'loss*', live, 'meanwhile')])
      expect(await byChannels.hear(1)).toEqual([push('message', live, 'meanwhile')])
      await servers[0]!.start()
      await reaches(publisher, gone, 2)
      expect((await byPattern.hear(1)).at(-1)).toBe(push('pmessage', 'loss*', gone, 'm'))
      expect((await byChannels.hear(1)).at(-1)).toBe(push('message', gone, 'm'))
      expect(proxy.log().match(/is lost: its subscribers stay connected/g)!.length).toBeLessThanOrEqual(2)
    },
  )

  test('may begin while one is down', async () => {
    await start()
    const [gone, live] = await channels()
    await servers[0]!.kill()
    const [byPattern, byChannels, publisher] = [await talk(), await talk(), await talk()]
    expect(await byPattern.say('PSUBSCRIBE', 'loss*')).toBe(array('psubscribe', 'loss*', 1))
    byChannels.send('SUBSCRIBE', live, gone)
    expect(await byChannels.hear(2)).toEqual([array('subscribe', live, 1), array('subscribe', gone, 2)])
    expect(await publisher.say('PUBLISH', live, 'm')).toBe(':2\r\n')
    await servers[0]!.start()
    await reaches(publisher, gone, 2)
  })

  test('is disconnected when no server of its channels is left', async () => {
    await start()
    const [gone, live] = await channels()
    const [lost, left] = [await talk(), await talk()]
    await lost.say('SUBSCRIBE', gone)
    left.send('SUBSCRIBE', gone, live)
    await left.hear(2)
    await servers[0]!.kill()
    await lost.wire.untilClosed()
    left.send('UNSUBSCRIBE', live)
    expect(String(await left.wire.untilClosed())).toBe(array('unsubscribe', live, 1))
    const late = await talk()
    late.send('SUBSCRIBE', gone)
    expect(String(await late.wire.untilClosed())).toBe('')
  })

  test('may unsubscribe from what is lost, and is not subscribed to it again', async () => {
    await start()
    const [gone, live] = await channels()
    const [subscriber, other, publisher] = [await talk(), await talk(), await talk()]
    subscriber.send('SUBSCRIBE', gone, live)
    await subscriber.hear(2)
    await servers[0]!.kill()
    await expect.poll(() => proxy.log()).toMatch(/is lost: its subscribers stay connected/)
    expect(await subscriber.say('UNSUBSCRIBE', gone)).toBe(array('unsubscribe', gone, 1))
    await other.say('PSUBSCRIBE', 'loss*')
    await servers[0]!.start()
    await reaches(publisher, gone, 1)
  })
})
