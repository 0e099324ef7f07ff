/** The reply parser on what a real memcached sends: whole, cut anywhere, and damaged. `npm run test:versions` runs it with each version. */

import { afterAll, beforeAll, expect, test } from 'vitest'
import { stopAll } from '../support/processes/child.ts'
import { startMemcached } from '../support/processes/servers.ts'
import { Random, runSeed } from '../support/random.ts'
import { Wire } from '../support/wire/wire.ts'
import { readReplies } from '../unit/protocol/memcache/feeding.ts'
import { mutate } from './mutate.ts'

const ROUNDS = 1_500
const MOST_REPLIES = 12
/** Its reply says that the one before is whole: memcached answers in order, and no other reply looks like it. */
const FENCE = 'mn\r\n'
const FENCE_REPLY = 'MN\r\n'

const BIG = 'v'.repeat(5_000)

/** One request each; storage commands with their data. */
const REQUESTS: readonly string[] = [
  'set k 0 0 5\r\nhello\r\n',
  'set end 5 0 5\r\nEND\r\n\r\n',
  `set big 0 0 ${BIG.length}\r\n${BIG}\r\n`,
  'set n 0 0 2\r\n10\r\n',
  'add k 0 0 1\r\nx\r\n',
  'add new 0 0 1\r\nx\r\n',
  'replace missing 0 0 1\r\nx\r\n',
  'append k 0 0 1\r\n!\r\n',
  'prepend k 0 0 1\r\n!\r\n',
  'cas k 0 0 1 1\r\nx\r\n',
  'cas missing 0 0 1 1\r\nx\r\n',
  ...['get k', 'get k end big missing', 'gets k end', 'get missing', 'gat 100 k end', 'gats 100 k'],
  ...['incr n 5', 'decr n 100', 'incr k 1', 'incr missing 1', 'touch k 100', 'touch missing 1'],
  ...[
    'delete new',
    'delete missing',
    'version',
    'verbosity 1',
    'flush_all 1000',
    'nonsense',
    'get',
    'set k',
    'incr n x',
  ],
  ...[
    'mg k',
    'mg k v t f s c k O1',
    'mg end v',
    'mg missing v',
    'mg big v q',
    'me k',
    'me missing',
    'ma n t v',
    'ma missing',
  ],
  ...['md missing', 'md n I', 'mg k T50 v E9', 'mg nothing N30 v t', 'mg nothing v k W'],
  'ms m 2 T100 F5 c\r\nhi\r\n',
  'ms m 2 MA\r\n!!\r\n',
  'ms m 2 C1\r\nno\r\n',
  'ms m 2 ME O7 k\r\nno\r\n',
  ...['stats', 'stats settings', 'stats items', 'stats slabs', 'stats sizes', 'stats reset'],
].map(request => (request.endsWith('\r\n') ? request : `${request}\r\n`))

const replies: Buffer[] = []

beforeAll(async () => {
  const server = await startMemcached()
  const wire = await Wire.open({ port: server.port })
  for (const request of REQUESTS) {
    wire.send(Buffer.from(request + FENCE, 'latin1'))
    const text = String(await wire.until(all => all.endsWith(FENCE_REPLY), `the reply to ${request}`))
    if (text !== FENCE_REPLY) replies.push(Buffer.from(text.slice(0, -FENCE_REPLY.length), 'latin1'))
  }
  wire.destroy()
})

afterAll(stopAll)

function cutsOf(random: Random, length: number): number[] {
  const cuts = Array.from({ length: random.below(Math.min(length, 40)) }, () => random.below(length))
  return [...new Set(cuts)].sort((a, b) => a - b)
}

test('each reply is found where it ends, however it arrives', () => {
  const random = new Random(runSeed())
  expect(replies.length).toBeGreaterThan(50)
  for (let round = 0; round < ROUNDS; round++) {
    const chosen = Array.from({ length: random.between(1, MOST_REPLIES) }, () => random.pick(replies))
    const stream = Buffer.concat(chosen)
    const found = readReplies(stream, cutsOf(random, stream.length)).map(event => event.slice(event.indexOf(' ') + 1))
    expect(found, `seed ${random.seed}`).toEqual(chosen.map(reply => reply.toString('latin1')))
  }
})

test('damaged replies are read alike in one piece and in many', () => {
  const random = new Random(runSeed())
  for (let round = 0; round < ROUNDS; round++) {
    const stream = mutate(random, replies)
    const whole = readReplies(stream, [])
    expect(readReplies(stream, cutsOf(random, stream.length)), `seed ${random.seed}`).toEqual(whole)
  }
})
