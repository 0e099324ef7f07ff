/** SUBSCRIBE, and at once PUBLISH by another connection: the message arrives, whichever workers have the two. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { stopAll } from '../../support/processes/child.ts'
import { ask } from '../../support/processes/servers.ts'
import {
  array,
  closeTalks,
  keysByServer,
  type RedisPool,
  startRedisPool,
  type Talk,
} from '../../support/wire/redis-pool.ts'

const ROUNDS = 50
const WORKERS = [1, 3]

afterEach(closeTalks)
afterAll(stopAll)

describe.each(WORKERS)('with %i workers', workers => {
  let pool: RedisPool

  beforeAll(async () => {
    pool = await startRedisPool({}, workers)
  })

  async function talks(count: number, resp3 = false): Promise<Talk[]> {
    const made = await Promise.all(Array.from({ length: count }, () => pool.talk()))
    // Answered once: each is with its worker by now.
    for (const talk of made) {
      talk.send(...(resp3 ? ['HELLO', '3'] : ['PING']))
      await talk.hear(1)
    }
    return made
  }

  test.each([
    ['SUBSCRIBE', 'PUBLISH', false],
    ['SUBSCRIBE', 'PUBLISH', true],
    ['PSUBSCRIBE', 'PUBLISH', false],
    ['SSUBSCRIBE', 'SPUBLISH', false],
  ] as const)('%s and then %s, RESP3 %s', async (subscribe, publish, resp3) => {
    const [publisher] = await talks(1)
    const subscribers = await talks(ROUNDS, resp3)
    for (const [i, subscriber] of subscribers.entries()) {
      subscriber.send(subscribe, `channel${i}`)
      publisher!.send(publish, `channel${i}`, 'first')
    }
    for (const [i, subscriber] of subscribers.entries()) {
      const [confirmation, message] = await subscriber.hear(2)
      expect(confirmation).toContain(subscribe.toLowerCase())
      expect(message).toContain(`channel${i}\r\n$5\r\nfirst\r\n`)
    }
    expect(await publisher!.hear(ROUNDS)).toEqual(Array(ROUNDS).fill(':1\r\n'))
  })

  test('the publisher keeps its order, with what it sends behind the publish', async () => {
    const [publisher, subscriber] = await talks(2)
    subscriber!.send('SUBSCRIBE', 'order')
    publisher!.sendAll(
      ['SET', 'k', '1'],
      ['PUBLISH', 'order', 'a'],
      ['INCR', 'k'],
      ...Array.from({ length: 200 }, () => ['PUBLISH', 'order', 'b']),
      ['GET', 'k'],
    )
    const replies = await publisher!.hear(204)
    expect(replies).toEqual(['+OK\r\n', ':1\r\n', ':2\r\n', ...Array(200).fill(':1\r\n'), '$1\r\n2\r\n'])
    expect((await subscriber!.hear(202)).slice(1, 3)).toEqual([
      array('message', 'order', 'a'),
      array('message', 'order', 'b'),
    ])
  })

  test('a subscription that its server does not confirm holds up nobody for long', async () => {
    const own = await startRedisPool({ timeout: 30_000 }, workers)
    const [, [channel]] = (await keysByServer(own, 'channel', 1)) as [unknown, [string]]
    const [publisher, stuck] = [await own.talk(), await own.talk()]
    process.kill(own.servers[0]!.pid, 'SIGSTOP')
    try {
      stuck.send('PSUBSCRIBE', '*')
      await expect.poll(async () => String(await ask(own.servers[1]!, ['PUBSUB', 'NUMPAT']))).toBe(':1\r\n')
      const startedMs = Date.now()
      for (let i = 0; i < 20; i++) expect(await publisher.say('PUBLISH', channel, 'm')).toBe(':1\r\n')
      expect(Date.now() - startedMs).toBeLessThan(2_000)
    } finally {
      process.kill(own.servers[0]!.pid, 'SIGCONT')
    }
  })
})
