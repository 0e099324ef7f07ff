/** Pub/sub through the proxy: channels of several servers, patterns of all, what a subscriber may do, and what ends it. */

import { connect } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { stopAll } from '../../support/processes/child.ts'
import { ask } from '../../support/processes/servers.ts'
import { array, closeTalks, keysByServer, type RedisPool, startRedisPool } from '../../support/wire/redis-pool.ts'
import { encode } from '../../support/wire/resp.ts'

/** Enough channels to have some of each server. */
const CHANNELS = Array.from({ length: 24 }, (_, i) => `channel${i}`)

let pool: RedisPool

beforeAll(async () => {
  pool = await startRedisPool()
})

afterEach(closeTalks)
afterAll(stopAll)

describe('subscribers', () => {
  test('have the messages of channels of all servers, in order, and one confirmation each', async () => {
    const subscriber = await pool.talk()
    const publisher = await pool.talk()
    subscriber.send('SUBSCRIBE', ...CHANNELS)
    expect(await subscriber.hear(CHANNELS.length)).toEqual(CHANNELS.map((name, i) => array('subscribe', name, i + 1)))
    for (const name of CHANNELS) {
      expect(await publisher.say('PUBLISH', name, `to ${name}`)).toBe(':1\r\n')
      expect(await subscriber.hear(1)).toEqual([array('message', name, `to ${name}`)])
    }
    for (let i = 0; i < 500; i++) publisher.send('PUBLISH', CHANNELS[0]!, i)
    await publisher.hear(500)
    expect(await subscriber.hear(500)).toEqual(
      Array.from({ length: 500 }, (_, i) => array('message', CHANNELS[0]!, `${i}`)),
    )
  })

  test('by pattern have the messages of all servers, each once', async () => {
    const subscriber = await pool.talk()
    const publisher = await pool.talk()
    expect(await subscriber.say('PSUBSCRIBE', 'channel*')).toBe(array('psubscribe', 'channel*', 1))
    for (const name of CHANNELS) {
      expect(await publisher.say('PUBLISH', name, name)).toBe(':1\r\n')
      expect(await subscriber.hear(1)).toEqual([array('pmessage', 'channel*', name, name)])
    }
  })

  test('of shard channels are counted apart', async () => {
    const subscriber = await pool.talk()
    const publisher = await pool.talk()
    subscriber.sendAll(['SUBSCRIBE', 'a'], ['SSUBSCRIBE', 's', 't'], ['SUNSUBSCRIBE', 't'])
    expect(await subscriber.hear(4)).toEqual([
      array('subscribe', 'a', 1),
      array('ssubscribe', 's', 1),
      array('ssubscribe', 't', 2),
      array('sunsubscribe', 't', 1),
    ])
    publisher.sendAll(['SPUBLISH', 's', 'm'], ['PUBLISH', 's', 'not for shards'])
    expect(await publisher.hear(2)).toEqual([':1\r\n', ':0\r\n'])
    expect(await subscriber.hear(1)).toEqual([array('smessage', 's', 'm')])
  })

  test('of key events have those of every server', async () => {
    for (const server of pool.servers) await ask(server, ['CONFIG', 'SET', 'notify-keyspace-events', 'KEA'])
    const subscriber = await pool.talk()
    expect(await subscriber.say('SUBSCRIBE', '__keyevent@0__:set')).toBe(array('subscribe', '__keyevent@0__:set', 1))
    const writer = await pool.talk()
    for (const name of CHANNELS) {
      await writer.say('SET', name, 'v')
      expect(await subscriber.hear(1)).toEqual([array('message', '__keyevent@0__:set', name)])
    }
    for (const server of pool.servers) await ask(server, ['CONFIG', 'SET', 'notify-keyspace-events', ''], ['FLUSHALL'])
  })

  test('may only subscribe, unsubscribe and PING, until they have unsubscribed from all', async () => {
    const talk = await pool.talk()
    talk.sendAll(
      ['SUBSCRIBE', 'a', 'b'],
      ['PSUBSCRIBE', 'p*'],
      ['GET', 'k'],
      ['PING'],
      ['PING', 'x'],
      ['NOSUCH'],
      ['GET'],
    )
    expect(await talk.hear(8)).toEqual([
      array('subscribe', 'a', 1),
      array('subscribe', 'b', 2),
      array('psubscribe', 'p*', 3),
      "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context\r\n",
      array('pong', ''),
      array('pong', 'x'),
      "-ERR unknown command 'NOSUCH', with args beginning with: \r\n",
      "-ERR wrong number of arguments for 'get' command\r\n",
    ])
    talk.sendAll(
      ['UNSUBSCRIBE', 'a', 'a', 'never'],
      ['UNSUBSCRIBE'],
      ['UNSUBSCRIBE'],
      ['PUNSUBSCRIBE'],
      ['GET', 'k'],
      ['PING'],
    )
    expect(await talk.hear(8)).toEqual([
      array('unsubscribe', 'a', 2),
      array('unsubscribe', 'a', 2),
      array('unsubscribe', 'never', 2),
      array('unsubscribe', 'b', 1),
      array('unsubscribe', null, 1),
      array('punsubscribe', 'p*', 0),
      '$-1\r\n',
      '+PONG\r\n',
    ])
  })

  test('a connection that a subscriber gave back has no messages for its next holder', async () => {
    const publisher = await pool.talk()
    for (let i = 0; i < 30; i++) {
      const talk = await pool.talk()
      talk.sendAll(['SUBSCRIBE', 'a'], ['UNSUBSCRIBE', 'a'], ['MULTI'], ['PING'], ['EXEC'])
      const replies = [
        array('subscribe', 'a', 1),
        array('unsubscribe', 'a', 0),
        '+OK\r\n',
        '+QUEUED\r\n',
        '*1\r\n+PONG\r\n',
      ]
      expect(await talk.hear(5)).toEqual(replies)
      expect(await publisher.say('PUBLISH', 'a', 'm')).toBe(':0\r\n')
    }
  })
})

describe('PUBSUB', () => {
  test('tells of all servers at once', async () => {
    const subscribers = [await pool.talk(), await pool.talk()]
    for (const subscriber of subscribers) {
      subscriber.sendAll(['SUBSCRIBE', ...CHANNELS], ['PSUBSCRIBE', 'x*', 'y*'])
      await subscriber.hear(CHANNELS.length + 2)
    }
    const talk = await pool.talk()
    const channels = (await talk.say('PUBSUB', 'CHANNELS', 'channel*'))
      .split('\r\n')
      .filter(line => /^[a-z]/.test(line))
    expect(channels.sort()).toEqual([...CHANNELS].sort())
    expect(await talk.say('PUBSUB', 'NUMSUB', ...CHANNELS, 'none')).toBe(
      array(...CHANNELS.flatMap(name => [name, 2]), 'none', 0),
    )
    expect(await talk.say('PUBSUB', 'NUMPAT')).toBe(':2\r\n')
    expect(await talk.say('PUBSUB', 'NUMSUB')).toBe('*0\r\n')
    expect(await talk.say('PUBSUB', 'NOSUCH')).toMatch(/^-ERR /)
  })
})

describe('when somebody leaves', () => {
  test('a subscriber is forgotten by the servers', async () => {
    const subscriber = await pool.talk()
    subscriber.send('SUBSCRIBE', ...CHANNELS)
    await subscriber.hear(CHANNELS.length)
    subscriber.wire.destroy()
    const talk = await pool.talk()
    await expect.poll(() => talk.say('PUBSUB', 'CHANNELS')).toBe('*0\r\n')
  })

  test('a server: its subscribers are closed, others are not', async () => {
    const publisher = await pool.talk()
    const subscribers = await Promise.all(CHANNELS.map(() => pool.talk()))
    for (const [i, subscriber] of subscribers.entries()) await subscriber.say('SUBSCRIBE', CHANNELS[i]!)
    const gone = new Set<string>()
    const channels = `${(await ask(pool.servers[1]!, ['PUBSUB', 'CHANNELS']))[0]}`
    for (const name of CHANNELS) if (channels.includes(`\r\n${name}\r\n`)) gone.add(name)
    expect(gone.size).toBeGreaterThan(0)
    await ask(pool.servers[1]!, ['CLIENT', 'KILL', 'TYPE', 'pubsub'])
    for (const [i, subscriber] of subscribers.entries()) {
      if (gone.has(CHANNELS[i]!)) await subscriber.wire.untilClosed()
      else expect(await publisher.say('PUBLISH', CHANNELS[i]!, 'still here')).toBe(':1\r\n')
    }
  })

  test('a server, and comes back: no subscriber is closed, and all have its messages again', async () => {
    const own = await startRedisPool({
      auto_eject_hosts: true,
      server_failure_limit: 1,
      server_retry_timeout: 500,
      timeout: 200,
    })
    const publisher = await own.talk()
    const [before, channel] = [await own.talk(), await own.talk()]
    await before.say('PSUBSCRIBE', 'p*')
    const [[kept], [lost]] = (await keysByServer(own, 'name', 1)) as [[string], [string]]
    await channel.say('SUBSCRIBE', kept)
    process.kill(own.servers[1]!.pid, 'SIGSTOP')
    await expect.poll(() => publisher.say('PUBLISH', lost, 'm'), { timeout: 5_000 }).toBe(':0\r\n')
    const between = await own.talk()
    await expect.poll(() => between.say('PSUBSCRIBE', 'p*')).toBe(array('psubscribe', 'p*', 1))
    process.kill(own.servers[1]!.pid, 'SIGCONT')
    await expect.poll(() => publisher.say('PUBLISH', 'p-back', 'm'), { timeout: 10_000 }).toBe(':2\r\n')
    const after = await own.talk()
    expect(await after.say('PSUBSCRIBE', `${lost}*`)).toBe(array('psubscribe', `${lost}*`, 1))
    expect(await publisher.say('PUBLISH', lost, 'm')).toBe(':1\r\n')
    expect(await after.hear(1)).toEqual([array('pmessage', `${lost}*`, lost, 'm')])
    expect(await publisher.say('PUBLISH', kept, 'm')).toBe(':1\r\n')
    expect(await channel.hear(1)).toEqual([array('message', kept, 'm')])
  })

  test('a subscriber that does not read is closed, and the others go on', async () => {
    const own = await startRedisPool({ client_queue_bytes: 65_536 })
    const [quick, publisher] = [await own.talk(), await own.talk()]
    // Nobody listens to its data: it is not read.
    const slow = connect(own.port, '127.0.0.1')
    slow.on('error', () => {})
    slow.write(encode('SUBSCRIBE', 'news'))
    await expect.poll(() => publisher.say('PUBLISH', 'news', 'anybody')).toBe(':1\r\n')
    await quick.say('SUBSCRIBE', 'news')
    const text = 'n'.repeat(100_000)
    let receivers = ':2\r\n'
    for (let i = 0; i < 2_000 && receivers === ':2\r\n'; i++) {
      receivers = await publisher.say('PUBLISH', 'news', text)
      expect(await quick.hear(1)).toEqual([array('message', 'news', text)])
    }
    slow.destroy()
    expect(receivers).toBe(':1\r\n')
  })
})
