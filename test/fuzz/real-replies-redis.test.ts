/** The reply parser on what a real server sends: whole, cut anywhere, and damaged. `npm run test:versions` runs it with each version. */

import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Case, readCases } from '../conformance/case-file.ts'
import { valueEnd } from '../conformance/value.ts'
import { stopAll } from '../support/processes/child.ts'
import { startRedis } from '../support/processes/servers.ts'
import { Random, runSeed } from '../support/random.ts'
import { encode } from '../support/wire/resp.ts'
import { Wire } from '../support/wire/wire.ts'
import { readReplies } from '../unit/protocol/redis/feeding.ts'
import { mutate } from './mutate.ts'

const ROUNDS = 1_500
const MOST_REPLIES = 12

/** Commands that change what a connection answers, or what it subscribes to, or that end it. */
const OTHERS = new RegExp(
  `^(?:${[
    'HELLO|RESET|QUIT|AUTH|MULTI|MONITOR|CLIENT|\\w*SUBSCRIBE|SHUTDOWN|DEBUG|REPLICAOF|SLAVEOF|FAILOVER|PSYNC|SYNC',
    'WAIT|B[LRZ]\\w*(?:POP|MOVE)|BRPOPLPUSH|XREAD',
  ].join('|')})`,
)

const replies = { 2: [] as Buffer[], 3: [] as Buffer[] }

function isPlain({ flags, command, steps }: Case): boolean {
  if (flags.has('danger') || OTHERS.test(command)) return false
  return steps.every(
    step => step.do === 'send' && step.client === 'A' && step.count === 1 && !step.closes && !step.raw && !step.scan,
  )
}

beforeAll(async () => {
  const server = await startRedis()
  for (const protocol of [2, 3] as const) {
    const wire = await Wire.open({ port: server.port })
    const send = async (...args: string[]): Promise<Buffer> => {
      wire.send(encode(...args))
      return (await wire.replies(1, valueEnd))[0]!
    }
    await send('HELLO', `${protocol}`)
    for (const one of readCases().filter(isPlain)) {
      await send('FLUSHALL')
      for (const { args } of one.steps) {
        if (args.length > 0 && !OTHERS.test(args[0]!.toUpperCase())) replies[protocol].push(await send(...args))
      }
    }
    wire.destroy()
  }
}, 60_000)

afterAll(stopAll)

/** @returns ascending offsets, from none to one for each byte. */
function cutsOf(random: Random, length: number): number[] {
  const cuts = Array.from({ length: random.below(Math.min(length, 40)) }, () => random.below(length))
  return [...new Set(cuts)].sort((a, b) => a - b)
}

test.each([2, 3] as const)('RESP%i: each reply is found where it ends, however it arrives', protocol => {
  const random = new Random(runSeed())
  expect(replies[protocol].length).toBeGreaterThan(800)
  for (let round = 0; round < ROUNDS; round++) {
    const chosen = Array.from({ length: random.between(1, MOST_REPLIES) }, () => random.pick(replies[protocol]))
    const stream = Buffer.concat(chosen)
    const found = readReplies(stream, cutsOf(random, stream.length), protocol === 3)
    expect(found, `seed ${random.seed}`).toEqual(chosen.map(reply => reply.toString('latin1')))
  }
})

test.each([2, 3] as const)('RESP%i: damaged replies are read alike in one piece and in many', protocol => {
  const random = new Random(runSeed())
  for (let round = 0; round < ROUNDS; round++) {
    const stream = mutate(random, replies[protocol])
    const whole = readReplies(stream, [], protocol === 3)
    expect(readReplies(stream, cutsOf(random, stream.length), protocol === 3), `seed ${random.seed}`).toEqual(whole)
  }
})
