/** `server_loss_wait`: requests wait for a server that is restarted, in order and within bounds. */

import { afterAll, afterEach, beforeEach, expect, test } from 'vitest'
import { stopAll } from '../../support/processes/child.ts'
import { poolYml, type RunningProxy, startProxy } from '../../support/processes/proxy.ts'
import { RestartableServer } from '../../support/processes/restartable-server.ts'
import { waitUntil } from '../../support/wait.ts'
import { array, closeTalks, Talk } from '../../support/wire/redis-pool.ts'
import { Wire } from '../../support/wire/wire.ts'

let server: RestartableServer
let proxy: RunningProxy

beforeEach(async () => {
  server = await RestartableServer.start()
})

afterEach(async () => {
  closeTalks()
  await proxy.stop()
  await server.kill()
})
afterAll(stopAll)

async function start(keys: Readonly<Record<string, string | number | boolean>>): Promise<void> {
  const yml = poolYml({ keys: { redis: true, ...keys }, servers: [`127.0.0.1:${server.port}:1 server`] })
  proxy = await startProxy({ kind: 'pistachio', workers: 2, yml })
}

async function talk(): Promise<Talk> {
  return new Talk(await Wire.open({ port: proxy.ports[0]! }))
}

test('a restart is invisible: what comes meanwhile is answered in order, longer than `timeout` after it was sent', async () => {
  await start({ server_loss_wait: 20_000, timeout: 200 })
  const [busy, idle, late] = [await talk(), await talk(), await talk()]
  expect(await busy.say('SET', 'k', '0')).toBe('+OK\r\n')
  await server.kill()
  busy.sendAll(...Array.from({ length: 100 }, () => ['INCR', 'n']))
  const killedMs = Date.now()
  await waitUntil(() => Date.now() - killedMs > 600, 'three timeouts')
  idle.sendAll(['BLPOP', 'list', '0'])
  late.sendAll(['MULTI'], ['INCR', 'm'], ['EXEC'])
  expect(await late.hear(1)).toEqual(['+OK\r\n'])
  await server.start()
  expect(await busy.hear(100)).toEqual(Array.from({ length: 100 }, (_, i) => `:${i + 1}\r\n`))
  expect(await late.hear(2)).toEqual(['+QUEUED\r\n', '*1\r\n:1\r\n'])
  await busy.say('RPUSH', 'list', 'v')
  expect(await idle.hear(1)).toEqual([array('list', 'v')])
})

test('requests fail together when the server stays away, later ones at once, and all is well when it is back', async () => {
  await start({ server_loss_wait: 500 })
  const client = await talk()
  expect(await client.say('PING')).toBe('+PONG\r\n')
  expect(await client.say('SET', 'k', 'v')).toBe('+OK\r\n')
  await server.kill()
  const startedMs = Date.now()
  client.sendAll(['GET', 'k'], ['GET', 'k'])
  expect(await client.hear(2)).toEqual(['-ERR Connection refused\r\n', '-ERR Connection refused\r\n'])
  expect(Date.now() - startedMs).toBeGreaterThan(300)
  const failedMs = Date.now()
  expect(await client.say('GET', 'k')).toBe('-ERR Connection refused\r\n')
  expect(Date.now() - failedMs).toBeLessThan(300)
  await server.start()
  expect(await client.say('SET', 'k', '2')).toBe('+OK\r\n')
})

test('with `server_loss: close` those who waited in vain are disconnected', async () => {
  await start({ server_loss_wait: 200, server_loss: 'close' })
  const client = await talk()
  await client.say('SET', 'k', 'v')
  await server.kill()
  client.send('GET', 'k')
  expect(String(await client.wire.untilClosed())).toBe('')
})

test('a server that loads its data is not back yet', async () => {
  await start({ server_loss_wait: 20_000 })
  const client = await talk()
  await client.say('SET', 'k', 'v')
  await server.kill()
  client.send('GET', 'k')
  // Two seconds of loading, in which a server answers `-LOADING`.
  const direct = await RestartableServer.start()
  const source = new Talk(await Wire.open({ port: direct.port }))
  await source.say('DEBUG', 'POPULATE', '20000', 'key', '10')
  await source.say('SET', 'k', 'loaded')
  await source.say('SAVE')
  const folder = (await source.say('CONFIG', 'GET', 'dir')).split('\r\n')[4]!
  await server.start('--dir', folder, '--key-load-delay', '100', '--loading-process-events-interval-bytes', '1024')
  const loading = new Talk(await Wire.open({ port: server.port }))
  expect(await loading.say('GET', 'k')).toMatch(/^-LOADING /)
  expect(await client.hear(1)).toEqual(['$6\r\nloaded\r\n'])
  await direct.kill()
})

test('no more wait than may, the others are refused at once', async () => {
  await start({ server_loss_wait: 20_000, server_queue_bytes: 4_096 })
  const client = await talk()
  await client.say('SET', 'k', 'v')
  await server.kill()
  const value = 'v'.repeat(4_000)
  for (let i = 0; i < 30; i++) client.send('SET', 'k', `${value}${i}`)
  const other = await talk()
  other.send('PING')
  expect(await other.hear(1)).toEqual(['+PONG\r\n'])
  await server.start()
  const replies = await client.hear(30)
  expect(replies.slice(0, 16)).toEqual(Array(16).fill('+OK\r\n'))
  expect(replies.at(-1)).toBe('-ERR server queue is full\r\n')
})
