/**
 * Forty clients that transact, block, subscribe and leave at any moment, over three servers and two workers: every reply is the client's own,
 * nobody waits for another, and nothing of those who left stays behind.
 */

import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { stopAll } from '../support/processes/child.ts'
import { Random, runSeed } from '../support/random.ts'
import { waitUntil } from '../support/wait.ts'
import { encode } from '../support/wire/resp.ts'
import { Wire } from '../support/wire/wire.ts'
import { Target } from './target.ts'
import { readValue, textOf, valueEnd } from './value.ts'

const CLIENTS = 40
const DURATION_MS = 6_000
/** Far below what a client that waits for a blocked one would take. */
const SLOWEST_REPLY_MS = 5_000
/** Keys of all three servers. */
const TAGS = ['one', 'news', 'three', 'ch1', 'x']

const seed = runSeed()
let pool: Target

beforeAll(async () => {
  pool = await Target.pool('many', 3, 2)
})

afterAll(async () => {
  pool.close()
  await stopAll()
})

class Actor {
  answered = 0
  readonly #id: number
  readonly #random: Random
  #wire: Wire
  #round = 0

  private constructor(id: number, wire: Wire) {
    this.#id = id
    this.#random = new Random(seed).fork(id)
    this.#wire = wire
  }

  static async run(id: number, until: number): Promise<number> {
    const actor = new Actor(id, await Wire.open(pool.address))
    const doings = [...Object.values(actor.#doings)]
    while (Date.now() < until) {
      actor.#round++
      await actor.#random.pick(doings)(`{${actor.#random.pick(TAGS)}}${id}`, `${id}.${actor.#round}`)
    }
    actor.#wire.destroy()
    return actor.answered
  }

  /** Sends requests at once and compares the texts of their replies. */
  async #expect(requests: readonly (readonly string[])[], replies: readonly string[]): Promise<void> {
    this.#wire.send(Buffer.concat(requests.map(request => encode(...request))))
    const got = await this.#wire.replies(replies.length, valueEnd, { timeoutMs: SLOWEST_REPLY_MS })
    const told = `client ${this.#id}, seed ${seed}: ${requests.map(request => request.join(' ')).join('; ')}`
    expect(
      got.map(reply => textOf(readValue(reply))),
      told,
    ).toEqual(replies)
    this.answered += replies.length
  }

  /** One request of somebody else. */
  async #other(...request: string[]): Promise<string> {
    const wire = await Wire.open(pool.address)
    wire.send(encode(...request))
    const [reply] = await wire.replies(1, valueEnd, { timeoutMs: SLOWEST_REPLY_MS })
    wire.destroy()
    return textOf(readValue(reply!))
  }

  async #leave(): Promise<void> {
    if (this.#random.chance(0.5)) await delay(this.#random.below(20))
    if (this.#random.chance(0.5)) this.#wire.destroy()
    else this.#wire.reset()
    this.#wire = await Wire.open(pool.address)
  }

  #doings: Readonly<Record<string, (key: string, value: string) => Promise<void>>> = {
    plain: (key, value) =>
      this.#expect(
        [
          ['SET', key, value],
          ['GET', key],
        ],
        ['OK', value],
      ),
    spread: (_, value) => {
      const keys = ['one', 'news', 'three'].map(name => `${name}${this.#id}`)
      return this.#expect(
        [
          ['MSET', ...keys.flatMap(key => [key, value])],
          ['MGET', ...keys],
        ],
        ['OK', `[${value} ${value} ${value}]`],
      )
    },
    transact: (key, value) =>
      this.#expect(
        [['MULTI'], ['SET', key, value], ['GET', key], ['EXEC'], ['GET', key]],
        ['OK', 'QUEUED', 'QUEUED', `[OK ${value}]`, value],
      ),
    discard: (key, value) =>
      this.#expect(
        [['SET', key, value], ['MULTI'], ['SET', key, 'lost'], ['DISCARD'], ['GET', key]],
        ['OK', 'OK', 'QUEUED', 'OK', value],
      ),
    watch: async (key, value) => {
      await this.#expect([['WATCH', key]], ['OK'])
      expect(await this.#other('SET', key, value)).toBe('OK')
      await this.#expect([['MULTI'], ['SET', key, 'lost'], ['EXEC'], ['GET', key]], ['OK', 'QUEUED', '(nil)', value])
    },
    block: async (key, value) => {
      const pushed = delay(this.#random.below(30)).then(() => this.#other('RPUSH', `${key}:list`, value))
      await this.#expect([['BLPOP', `${key}:list`, '30'], ['PING']], [`[${key}:list ${value}]`, 'PONG'])
      expect(await pushed).toBe('1')
    },
    blockInVain: key => this.#expect([['BRPOP', `${key}:never`, '0.01'], ['PING']], ['(nil)', 'PONG']),
    readInVain: key =>
      this.#expect([['XREAD', 'BLOCK', '5', 'STREAMS', `${key}:stream`, '$'], ['PING']], ['(nil)', 'PONG']),
    subscribe: async (key, value) => {
      const channel = `channel:${this.#id}`
      await this.#expect([['SUBSCRIBE', channel]], [`[subscribe ${channel} 1]`])
      expect(await this.#other('PUBLISH', channel, value)).toBe('1')
      await this.#expect(
        [['UNSUBSCRIBE'], ['SET', key, value]],
        [`[message ${channel} ${value}]`, `[unsubscribe ${channel} 0]`, 'OK'],
      )
    },
    leaveBlocked: async key => {
      this.#wire.send(encode('BLPOP', `${key}:never`, '0'))
      await this.#leave()
    },
    leaveTransaction: async key => {
      this.#wire.send(Buffer.concat([encode('MULTI'), encode('SET', `${key}:lost`, '1')]))
      await this.#leave()
    },
    leaveWatching: async key => {
      await this.#expect([['WATCH', key]], ['OK'])
      await this.#leave()
    },
    leaveSubscribed: async () => {
      await this.#expect(
        [
          ['SUBSCRIBE', `gone:${this.#id}`],
          ['PSUBSCRIBE', 'gone*'],
        ],
        [`[subscribe gone:${this.#id} 1]`, '[psubscribe gone* 2]'],
      )
      await this.#leave()
    },
    leave: () => this.#leave(),
  }
}

test('every reply is the own one, whoever leaves', async () => {
  const until = Date.now() + DURATION_MS
  const answered = await Promise.all(Array.from({ length: CLIENTS }, (_, id) => Actor.run(id, until)))
  expect(Math.min(...answered)).toBeGreaterThan(10)
}, 60_000)

test('nothing of those who left stays behind', async () => {
  expect(await pool.untilBlocked(0)).toBe(true)
  const subscriptions = async (): Promise<string> =>
    (await pool.tellServers(['PUBSUB', 'CHANNELS'], ['PUBSUB', 'NUMPAT'])).flat().join(' ')
  await waitUntil(async () => (await subscriptions()) === '[] 0 [] 0 [] 0', 'no subscription')
  const keys = await pool.tellServers(['KEYS', '*:lost'])
  expect(keys).toEqual([['[]'], ['[]'], ['[]']])
})
