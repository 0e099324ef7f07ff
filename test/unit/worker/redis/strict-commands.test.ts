/** Every name and every number of arguments that were measured on nutcracker, given to a pool that behaves like it. */

import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { encode } from '../../../support/wire/resp.ts'
import { Harness } from '../../../support/worker/harness.ts'
import { answerWithKey } from '../../../support/worker/scripted-server.ts'

interface MeasuredCommand {
  readonly name: string
  readonly handling: string
  readonly accepted_argument_counts_0_to_7: readonly number[]
}

const vectors = JSON.parse(readFileSync(new URL('../../../vectors/redis-commands.json', import.meta.url), 'utf8')) as {
  readonly commands: readonly MeasuredCommand[]
  readonly measured_as_rejected: readonly string[]
}

/** Answered here although nutcracker leaves them without an answer: nobody can rely on that. */
const ANSWERED_ALL_THE_SAME = ['MOVE']

let harness: Harness

beforeAll(async () => {
  harness = await Harness.start({ servers: 3, answer: answerWithKey, pool: { strict: true, redisAuth: '' } })
})

afterAll(() => harness.stop())

/** @returns what comes back for the request and a PING behind it, or `closed`. */
async function outcome(name: string, count: number): Promise<string> {
  const wire = await harness.connect()
  wire.send(Buffer.concat([encode(name, ...Array.from({ length: count }, () => '1')), encode('PING')]))
  const [reply] = await wire.redisReplies(2).catch(() => ['closed'])
  wire.destroy()
  return reply === 'closed' ? 'closed' : 'answered'
}

test.each(vectors.commands)('$name', async ({ name, accepted_argument_counts_0_to_7: accepted }) => {
  if (ANSWERED_ALL_THE_SAME.includes(name)) return
  const counts = [0, 1, 2, 3, 4, 5, 6, 7]
  const outcomes = await Promise.all(counts.map(count => outcome(name.toLowerCase(), count)))
  expect(outcomes).toEqual(counts.map(count => (accepted.includes(count) ? 'answered' : 'closed')))
})

test.each(vectors.measured_as_rejected)('%s is refused', async name => {
  for (const count of [0, 1, 2, 5]) expect([count, await outcome(name, count)]).toEqual([count, 'closed'])
})
