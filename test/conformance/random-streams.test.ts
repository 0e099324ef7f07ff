/**
 * Random requests of the server's whole table, pipelined and cut at random, to a server directly and to a pool with one such server: byte for
 * byte the same, with RESP2 and with RESP3. Over three servers each of them is answered rightly or refused.
 */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { stopAll } from '../support/processes/child.ts'
import { ask } from '../support/processes/servers.ts'
import { Random, runSeed } from '../support/random.ts'
import { encode, printable } from '../support/wire/resp.ts'
import { Wire } from '../support/wire/wire.ts'
import { type Comparison, sameValue } from './compare.ts'
import { type Grammar, readGrammars } from './grammar.ts'
import { type RandomRequest, RandomRequests, SCRIPTS } from './random-requests.ts'
import { type Protocol, Target } from './target.ts'
import { isError, readValue, textOf, type Value, valueEnd } from './value.ts'
import { REFUSALS } from './verdict.ts'

const REQUESTS = 8_000
const REQUESTS_OVER_SEVERAL = 4_000
const SELF_CHECK_REQUESTS = 3_000
const REPLY_TIMEOUT_MS = 20_000
const HISTORY = 8

/** A script that one server has learned from EVAL is unknown to the others: the client is told so, and sends EVAL. */
function isRefused(text: string): boolean {
  return REFUSALS.test(text) || text.startsWith('NOSCRIPT ')
}

/** Versions word some errors in other ways, which the pool gives in those of 7.0. */
function isSame(how: Comparison, direct: Value, subject: Value): boolean {
  if (process.env.REDIS_COMMAND !== undefined && isError(direct) && isError(subject)) return true
  return sameValue(how, direct, subject)
}

const seed = runSeed()
let direct: Target
let pool: Target
let several: Target
let gathering: Target
let grammars: Grammar[]

beforeAll(async () => {
  const started = await Promise.all([
    Target.direct(),
    Target.pool('one', 1, 2),
    Target.pool('many', 3, 2),
    Target.pool('gather', 3, 2, { cross_server: 'gather' }),
  ])
  direct = started[0]
  pool = started[1]
  several = started[2]
  gathering = started[3]
  const [docs, info] = await ask(direct.servers[0]!, ['COMMAND', 'DOCS'], ['COMMAND'])
  grammars = readGrammars(docs!, info!)
})

afterAll(async () => {
  for (const target of [direct, pool, several, gathering]) target.close()
  await stopAll()
})

async function open(target: Target, protocol: Protocol): Promise<Wire> {
  const wire = await Wire.open(target.address)
  if (protocol === 3) {
    wire.send(encode('HELLO', '3'))
    const [hello] = await wire.replies(1, valueEnd)
    expect(hello![0], `HELLO of ${target.name}`).toBe('%'.charCodeAt(0))
  }
  return wire
}

async function exchange(wire: Wire, random: Random, requests: readonly RandomRequest[], into: Buffer[]): Promise<void> {
  const bytes = Buffer.concat(requests.map(({ args }) => encode(...args)))
  await wire.sendCut(bytes, random.chance(0.5) ? [] : random.cuts(bytes.length, random.between(2, 8)))
  await wire.replies(requests.length, valueEnd, { timeoutMs: REPLY_TIMEOUT_MS, into })
}

/** @returns the first difference as text, or '' after `count` requests. */
async function firstDifference(subject: Target, random: Random, protocol: Protocol, count: number): Promise<string> {
  await Promise.all([direct.reset(), subject.reset()])
  const [left, right] = await Promise.all([open(direct, protocol), open(subject, protocol)])
  const requests = new RandomRequests(random, grammars)
  const history: string[] = []
  try {
    for (let sent = 0; sent < count; ) {
      const batch = Array.from({ length: random.between(1, 12) }, () => requests.next()).flat()
      sent += batch.length
      const expected: Buffer[] = []
      const actual: Buffer[] = []
      const ends = await Promise.allSettled([
        exchange(left, random.fork(sent), batch, expected),
        exchange(right, random.fork(sent), batch, actual),
      ])
      for (const [index, request] of batch.entries()) {
        const [wanted, got] = [expected[index], actual[index]]
        const same =
          wanted !== undefined && got !== undefined && isSame(request.compare, readValue(wanted), readValue(got))
        const line = printable(encode(...request.args), 300)
        if (!same) return difference(line, wanted, got, history, ends)
        history.push(line)
        if (history.length > HISTORY) history.shift()
      }
    }
    return ''
  } finally {
    left.destroy()
    right.destroy()
  }
}

function difference(
  line: string,
  wanted: Buffer | undefined,
  got: Buffer | undefined,
  history: readonly string[],
  ends: readonly PromiseSettledResult<void>[],
): string {
  const shown = (reply: Buffer | undefined): string => (reply === undefined ? 'no reply' : printable(reply))
  const troubles = ends.flatMap(end => (end.status === 'rejected' ? [`  trouble: ${end.reason}`] : []))
  return [
    `command: ${line}`,
    `  direct:  ${shown(wanted)}`,
    `  subject: ${shown(got)}`,
    ...troubles,
    '  before:',
    ...history.map(earlier => `    ${earlier}`),
  ].join('\n')
}

/** Every key that a target's servers hold, with a digest of its value that does not depend on the order in memory. */
async function contents(target: Target): Promise<string[]> {
  const found: string[] = []
  for (const server of target.servers) {
    const [keys] = await ask(server, ['KEYS', '*'])
    const names = readValue(keys!).elements!.map(element => element.text!)
    const replies = await ask(server, ...names.map(name => ['DEBUG', 'DIGEST-VALUE', name]))
    for (const [index, name] of names.entries())
      found.push(`${printable(Buffer.from(name, 'latin1'))} ${textOf(readValue(replies[index]!))}`)
  }
  return found.sort()
}

/**
 * One request (or transaction) at a time, first to the subject: what it refuses, the server is not asked, so that a refusal must not have
 * done anything. @returns the first difference as text, and how many requests were answered.
 */
async function firstWrongReply(
  subject: Target,
  random: Random,
  protocol: Protocol,
  count: number,
): Promise<[string, number]> {
  await Promise.all([direct.reset(), subject.reset()])
  // One server knows the scripts that it has run; a pool those that were loaded, on all servers.
  const load = SCRIPTS.map(script => ['SCRIPT', 'LOAD', script])
  await Promise.all([direct.tellServers(...load), subject.tellServers(...load)])
  const [left, right] = await Promise.all([open(direct, protocol), open(subject, protocol)])
  const requests = new RandomRequests(random, grammars, ['SCRIPT FLUSH'])
  let answered = 0
  try {
    for (let sent = 0; sent < count; sent++) {
      const batch = requests.next()
      const actual: Buffer[] = []
      const ends = await Promise.allSettled([exchange(right, random.fork(sent), batch, actual)])
      if (actual.some(reply => isRefused(textOf(readValue(reply))))) continue
      answered++
      const expected: Buffer[] = []
      ends.push(...(await Promise.allSettled([exchange(left, random.fork(sent), batch, expected)])))
      for (const [index, request] of batch.entries()) {
        const [wanted, got] = [expected[index], actual[index]]
        const same =
          wanted !== undefined && got !== undefined && isSame(request.compare, readValue(wanted), readValue(got))
        if (!same) return [difference(printable(encode(...request.args), 300), wanted, got, [], ends), answered]
      }
    }
    return ['', answered]
  } finally {
    left.destroy()
    right.destroy()
  }
}

describe('a pool answers as one server', () => {
  test.each([2, 3] as const)(
    `${REQUESTS} random requests over one server with RESP%i`,
    async protocol => {
      const random = new Random(seed).fork(protocol)
      expect(await firstDifference(pool, random, protocol, REQUESTS), `seed ${seed}`).toBe('')
      expect(await contents(pool), `data, seed ${seed}`).toEqual(await contents(direct))
    },
    120_000,
  )

  test.each([
    [2, 'many'],
    [3, 'many'],
    [2, 'gather'],
    [3, 'gather'],
  ] as const)(
    `${REQUESTS_OVER_SEVERAL} random requests over three servers with RESP%i (%s) are right or refused`,
    async (protocol, name) => {
      const subject = name === 'many' ? several : gathering
      const random = new Random(seed).fork(20 + protocol + name.length)
      const [different, answered] = await firstWrongReply(subject, random, protocol, REQUESTS_OVER_SEVERAL)
      expect(different, `seed ${seed}`).toBe('')
      expect(answered).toBeGreaterThan(REQUESTS_OVER_SEVERAL / 2)
      expect(await contents(subject), `data, seed ${seed}`).toEqual(await contents(direct))
    },
    120_000,
  )

  test('what is compared does not depend on the server that is asked', async () => {
    const other = await Target.direct()
    for (const protocol of [2, 3] as const) {
      const random = new Random(seed).fork(10 + protocol)
      expect(await firstDifference(other, random, protocol, SELF_CHECK_REQUESTS), `seed ${seed}`).toBe('')
    }
    other.close()
  })

  test('the requests cover the table, and most of them are valid', async () => {
    const requests = new RandomRequests(new Random(seed), grammars)
    expect(requests.names.length).toBeGreaterThan(160)
    const wire = await Wire.open(direct.address)
    const batch = Array.from({ length: 2_000 }, () => requests.next()).flat()
    const replies: Buffer[] = []
    await exchange(wire, new Random(seed), batch, replies)
    wire.destroy()
    const errors = replies.filter(reply => reply[0] === '-'.charCodeAt(0)).length
    expect(errors).toBeGreaterThan(0)
    expect(errors).toBeLessThan(replies.length / 2)
  })
})
