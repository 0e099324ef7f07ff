/** What clients do cannot fill the log, in either protocol. */

import { afterEach, describe, expect, test } from 'vitest'
import { LINES_PER_INTERVAL } from '../../../src/log/limited-log.ts'
import { waitUntil } from '../../support/wait.ts'
import { encode } from '../../support/wire/resp.ts'
import { Harness } from '../../support/worker/harness.ts'

let harness: Harness

afterEach(async () => {
  await harness.stop()
})

const many = 1_000

describe('a redis pool', () => {
  test.each([
    ['unknown commands', encode('FOO')],
    ['keys that are too long', encode('GET', 'x'.repeat(20_000))],
  ])('%s', async (_name, request) => {
    harness = await Harness.start({ servers: 2 })
    const wire = await harness.wire()
    wire.send(Buffer.concat(Array(many).fill(request)))
    await wire.redisReplies(many)
    expect(harness.logs.messages()).toHaveLength(LINES_PER_INTERVAL)
    harness.pool.limitedLog.flush()
    expect(harness.logs.messages().at(-1)).toContain(`${many - LINES_PER_INTERVAL} more lines`)
  })

  test('clients that end with half a request', async () => {
    harness = await Harness.start()
    for (let i = 0; i < LINES_PER_INTERVAL * 2; i++) {
      const wire = await harness.wire()
      wire.send(Buffer.from('*2\r\n$3\r\nGE'))
      wire.end()
      await wire.untilClosed()
    }
    await waitUntil(() => harness.poolStat('client_eof') === LINES_PER_INTERVAL * 2, 'all to end')
    expect(harness.logs.messages()).toHaveLength(LINES_PER_INTERVAL)
  })
})

test('a memcached pool: keys that are too long', async () => {
  harness = await Harness.start({ pool: { redis: false } })
  const wire = await harness.wire()
  wire.send(Buffer.from(`get ${'x'.repeat(251)}\r\n`.repeat(many)))
  await wire.memcacheReplies(many)
  expect(harness.logs.messages()).toHaveLength(LINES_PER_INTERVAL)
})
