/** Single streams that once gave another client a wrong reply, or look as if they could: the next client on the same server must not notice. */

import { afterAll, describe, expect, test } from 'vitest'
import { startFakeServer } from '../support/fakes/fake-server.ts'
import { stopAll } from '../support/processes/child.ts'
import { poolYml, serverEntry, startProxy } from '../support/processes/proxy.ts'
import { startMemcached, startRedis } from '../support/processes/servers.ts'
import { encode } from '../support/wire/resp.ts'
import { Wire } from '../support/wire/wire.ts'
import { loadCorpus } from './mutate.ts'

const QUIET_MS = 50

afterAll(stopAll)

const TARGETS = [
  {
    protocol: 'redis',
    start: () => startRedis(),
    request: Buffer.concat([encode('SET', 'neighbour', 'mine'), encode('GET', 'neighbour')]),
    reply: '+OK\r\n$4\r\nmine\r\n',
  },
  {
    protocol: 'memcache',
    start: () => startMemcached(),
    request: Buffer.from('set neighbour 0 0 4\r\nmine\r\nget neighbour\r\n'),
    reply: 'STORED\r\nVALUE neighbour 0 4\r\nmine\r\nEND\r\n',
  },
]

describe.each(TARGETS)(
  'after this $protocol stream the next client gets its own replies',
  ({ protocol, start, request, reply }) => {
    const streams = loadCorpus(`${protocol}-found.json`)
    test.each(streams.map(stream => [JSON.stringify(stream.toString('latin1')).slice(0, 80), stream] as const))(
      '%s',
      async (_, stream) => {
        const keys = { timeout: 1000, ...(protocol === 'redis' ? { redis: true } : {}) }
        const proxy = await startProxy({ yml: poolYml({ keys, servers: [serverEntry(await start(), 'only')] }) })
        const sender = await Wire.open({ port: proxy.ports[0]! })
        const neighbour = await Wire.open({ port: proxy.ports[0]! })
        sender.send(stream)
        await sender.untilQuiet(QUIET_MS)
        for (let round = 0; round < 3; round++) {
          neighbour.send(request)
          expect(String(await neighbour.take(reply.length).catch(() => neighbour.received))).toBe(reply)
        }
        expect(String(await neighbour.untilQuiet(QUIET_MS))).toBe('')
        sender.destroy()
        neighbour.destroy()
        await proxy.stop()
      },
    )
  },
)

test('part of a reply without a request ends the server connection, before another request can get it', async () => {
  const replies = ['+OK\r\n$5\r\nhe', 'llo\r\n']
  const server = await startFakeServer('redis', (_, connection) => {
    const text = connection === 0 ? replies.shift()! : '+fresh\r\n'
    return { do: 'reply', bytes: Buffer.from(text) }
  })
  const proxy = await startProxy({
    yml: poolYml({ keys: { redis: true, timeout: 1000 }, servers: [`127.0.0.1:${server.port}:1 only`] }),
  })
  const wire = await Wire.open({ port: proxy.ports[0]! })
  for (const reply of ['+OK\r\n', '+fresh\r\n']) {
    wire.send(encode('GET', 'key'))
    expect(String(await wire.redisReplies(1))).toBe(reply)
  }
  wire.destroy()
  await proxy.stop()
  await server.stop()
})
