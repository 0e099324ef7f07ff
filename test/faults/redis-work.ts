/** What the fault suite's clients ask of a redis pool. Reads through a script carry a number of their own back, so no reply can be another's. */

import type { Random } from '../support/random.ts'
import { decode, encode, type RespValue, replyEnd } from '../support/wire/resp.ts'
import type { EndOf } from '../support/wire/wire.ts'
import { type Ledger, type Modelled, ModelledCounter, type ModelledKey, taggedValue, type Value } from './ledger.ts'
import type { Operation, Work } from './operation.ts'

const TAGGED_GET = "return {ARGV[1], redis.call('GET', KEYS[1])}"
const KEYS = 10
const COUNTERS = 2
const SMALL_BYTES = 60
/** Values above 256 KiB pass through the proxy in pieces. */
const LARGE_BYTES = 400_000

export interface RedisWorkOptions {
  /** How many of a thousand writes are large. Default 5. */
  readonly largePerMille?: number
}

export class RedisWork implements Work {
  readonly replyEnd: EndOf = replyEnd
  readonly #name: string
  readonly #random: Random
  readonly #keys: readonly ModelledKey[]
  readonly #counters: readonly ModelledCounter[]
  readonly #largePerMille: number
  #number = 0

  /** @param name is part of the keys: no two clients of a run have the same. */
  constructor(ledger: Ledger, name: string, random: Random, options: RedisWorkOptions = {}) {
    this.#name = name
    this.#random = random
    this.#keys = Array.from({ length: KEYS }, (_, i) => ledger.key(`${name}:key-${i}`))
    this.#counters = Array.from({ length: COUNTERS }, (_, i) => ledger.counter(`${name}:counter-${i}`))
    this.#largePerMille = options.largePerMille ?? 5
  }

  isError(reply: Buffer): boolean {
    return reply[0] === 45
  }

  firsts(): Operation[] {
    return [...this.#keys.map(key => this.#set(key)), ...this.#counters.map(counter => this.#increment(counter))]
  }

  next(): Operation {
    const key = this.#random.pick(this.#keys)
    const roll = this.#random.below(100)
    if (roll < 28) return this.#set(key)
    if (roll < 50) return this.#get(key)
    if (roll < 68) return this.probe(key)
    if (roll < 78) return this.#increment(this.#random.pick(this.#counters))
    if (roll < 86) return this.#getMany(this.#some())
    if (roll < 93) return this.#setMany(this.#some())
    if (roll < 97) return this.#remove(key)
    return PING
  }

  probe(key: Modelled): Operation {
    const tag = this.#tag()
    return {
      name: 'tagged GET',
      request: encode('EVAL', TAGGED_GET, 1, key.name, tag),
      keys: [key],
      mayBreakOff: true,
      check: reply => {
        const value = decode(reply)
        if (!Array.isArray(value) || value.length !== 2 || value[0] !== tag) return `not the reply to ${tag}`
        return key instanceof ModelledCounter ? '' : seeValue(key, value[1]!)
      },
      unknown: () => {},
    }
  }

  #set(key: ModelledKey): Operation {
    const value = this.#value()
    return {
      name: 'SET',
      request: encode('SET', key.name, value),
      keys: [key],
      mayBreakOff: false,
      check: (reply, sentAtMs) => {
        if (decode(reply) !== 'OK') return 'not +OK'
        key.acknowledge(value, sentAtMs)
        return ''
      },
      unknown: () => key.perhaps(value),
    }
  }

  #get(key: ModelledKey): Operation {
    return {
      name: 'GET',
      request: encode('GET', key.name),
      keys: [key],
      mayBreakOff: true,
      check: reply => seeValue(key, decode(reply)),
      unknown: () => {},
    }
  }

  #remove(key: ModelledKey): Operation {
    return {
      name: 'DEL',
      request: encode('DEL', key.name),
      keys: [key],
      mayBreakOff: false,
      check: (reply, sentAtMs) => {
        const count = decode(reply)
        if (count !== 0 && count !== 1) return 'neither :0 nor :1'
        key.acknowledge(null, sentAtMs)
        return ''
      },
      unknown: () => key.perhaps(null),
    }
  }

  #increment(counter: ModelledCounter): Operation {
    return {
      name: 'INCR',
      request: encode('INCR', counter.name),
      keys: [counter],
      mayBreakOff: false,
      check: (reply, sentAtMs) => {
        const value = decode(reply)
        return typeof value === 'number' ? counter.acknowledge(value, sentAtMs) : 'not a number'
      },
      unknown: () => counter.perhaps(),
    }
  }

  #getMany(keys: readonly ModelledKey[]): Operation {
    return {
      name: 'MGET',
      request: encode('MGET', ...keys.map(key => key.name)),
      keys,
      mayBreakOff: true,
      check: reply => {
        const values = decode(reply)
        if (!Array.isArray(values) || values.length !== keys.length) return `not ${keys.length} values`
        return keys.map((key, i) => seeValue(key, values[i]!)).find(problem => problem !== '') ?? ''
      },
      unknown: () => {},
    }
  }

  #setMany(keys: readonly ModelledKey[]): Operation {
    const pairs = keys.map(key => [key, this.#value()] as const)
    return {
      name: 'MSET',
      request: encode('MSET', ...pairs.flatMap(([key, value]) => [key.name, value])),
      keys,
      mayBreakOff: false,
      check: (reply, sentAtMs) => {
        if (decode(reply) !== 'OK') return 'not +OK'
        for (const [key, value] of pairs) key.acknowledge(value, sentAtMs)
        return ''
      },
      unknown: () => {
        for (const [key, value] of pairs) key.perhaps(value)
      },
    }
  }

  /** Two to five different keys. */
  #some(): ModelledKey[] {
    const first = this.#random.below(KEYS)
    return Array.from({ length: this.#random.between(2, 5) }, (_, i) => this.#keys[(first + i) % KEYS]!)
  }

  #tag(): string {
    return `${this.#name}#${++this.#number}`
  }

  #value(): string {
    const large = this.#random.below(1_000) < this.#largePerMille
    return taggedValue(this.#tag(), large ? LARGE_BYTES : this.#random.between(1, SMALL_BYTES))
  }
}

const PING: Operation = {
  name: 'PING',
  request: encode('PING'),
  keys: [],
  mayBreakOff: false,
  check: reply => (decode(reply) === 'PONG' ? '' : 'not +PONG'),
  unknown: () => {},
}

function seeValue(key: ModelledKey, value: RespValue): string {
  if (value !== null && typeof value !== 'string') return 'not a value'
  return key.see(value satisfies Value)
}
