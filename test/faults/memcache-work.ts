/** What the fault suite's clients ask of a memcache pool. Meta requests carry an opaque number back, so no reply can be another's. */

import type { Random } from '../support/random.ts'
import { memcacheReplyEnd, valueBlocks } from '../support/wire/memcache-wire.ts'
import type { EndOf } from '../support/wire/wire.ts'
import { type Ledger, type Modelled, ModelledCounter, type ModelledKey, taggedValue } from './ledger.ts'
import type { Operation, Work } from './operation.ts'

const KEYS = 10
const COUNTERS = 2
const SMALL_BYTES = 60
const LARGE_BYTES = 400_000
const LARGE_PER_MILLE = 5

export class MemcacheWork implements Work {
  readonly replyEnd: EndOf = metaReplyEnd
  readonly #name: string
  readonly #random: Random
  readonly #keys: readonly ModelledKey[]
  readonly #counters: readonly ModelledCounter[]
  readonly #ledger: Ledger
  #number = 0

  constructor(ledger: Ledger, name: string, random: Random) {
    this.#ledger = ledger
    this.#name = name
    this.#random = random
    this.#keys = Array.from({ length: KEYS }, (_, i) => ledger.key(`${name}:key-${i}`))
    this.#counters = Array.from({ length: COUNTERS }, (_, i) => ledger.counter(`${name}:counter-${i}`))
  }

  isError(reply: Buffer): boolean {
    return reply.subarray(0, 12).toString('latin1') === 'SERVER_ERROR'
  }

  firsts(): Operation[] {
    return [...this.#keys.map(key => this.#set(key)), ...this.#counters.map(counter => this.#count(counter))]
  }

  next(): Operation {
    const key = this.#random.pick(this.#keys)
    const roll = this.#random.below(100)
    if (roll < 28) return this.#set(key)
    if (roll < 46) return this.#get([key])
    if (roll < 66) return this.probe(key)
    if (roll < 76) return this.#count(this.#random.pick(this.#counters))
    if (roll < 90) return this.#get(this.#some())
    if (roll < 94) return this.#silentSet(key)
    return this.#remove(key)
  }

  /** A meta get that brings the key and an opaque back. */
  probe(key: Modelled): Operation {
    const opaque = `${++this.#number}`
    return {
      name: 'mg',
      request: Buffer.from(`mg ${key.name} O${opaque} k v\r\n`),
      keys: [key],
      mayBreakOff: true,
      check: reply => {
        const text = reply.toString('latin1')
        const line = text.slice(0, text.indexOf('\r\n'))
        const value = /^VA \d+ /.test(line) ? text.slice(line.length + 2, -2) : null
        const flags = value === null ? line.slice('EN '.length) : line.replace(/^VA \d+ /, '')
        if (flags !== `O${opaque} k${key.name}`) return `not the reply to ${opaque}`
        return key instanceof ModelledCounter ? '' : key.see(value)
      },
      unknown: () => {},
    }
  }

  #set(key: ModelledKey): Operation {
    const value = this.#value()
    return {
      name: 'set',
      request: Buffer.from(`set ${key.name} 0 0 ${value.length}\r\n${value}\r\n`),
      keys: [key],
      mayBreakOff: false,
      check: (reply, sentAtMs) => {
        if (reply.toString('latin1') !== 'STORED\r\n') return 'not STORED'
        key.acknowledge(value, sentAtMs)
        return ''
      },
      unknown: () => key.perhaps(value),
    }
  }

  /** A noreply set, and a get behind it that has a reply: nothing of the first may show as the answer to the second. */
  #silentSet(key: ModelledKey): Operation {
    const value = this.#value()
    const get = this.#get([key])
    return {
      name: 'set noreply, get',
      request: Buffer.concat([Buffer.from(`set ${key.name} 0 0 ${value.length} noreply\r\n${value}\r\n`), get.request]),
      keys: [key],
      mayBreakOff: true,
      check: (reply, sentAtMs) => {
        key.perhaps(value)
        return get.check(reply, sentAtMs)
      },
      unknown: () => key.perhaps(value),
    }
  }

  #get(keys: readonly ModelledKey[]): Operation {
    return {
      name: 'get',
      request: Buffer.from(`get ${keys.map(key => key.name).join(' ')}\r\n`),
      keys,
      mayBreakOff: keys.length === 1,
      check: (reply, sentAtMs) => {
        if (reply.toString('latin1', reply.length - 5) !== 'END\r\n') return 'not values'
        const found = new Map(valueBlocks(reply).map(block => [block.key, block.data]))
        for (const key of keys) {
          const value = found.get(key.name) ?? null
          found.delete(key.name)
          // A multi-get answers with what it has: values of a server that failed are misses.
          if (value === null && keys.length > 1 && this.#ledger.mayFail([key], sentAtMs)) continue
          const problem = key.see(value)
          if (problem !== '') return problem
        }
        return found.size === 0 ? '' : `values of keys that were not asked for: ${[...found.keys()]}`
      },
      unknown: () => {},
    }
  }

  #remove(key: ModelledKey): Operation {
    return {
      name: 'delete',
      request: Buffer.from(`delete ${key.name}\r\n`),
      keys: [key],
      mayBreakOff: false,
      check: (reply, sentAtMs) => {
        const text = reply.toString('latin1')
        if (text !== 'DELETED\r\n' && text !== 'NOT_FOUND\r\n') return 'neither DELETED nor NOT_FOUND'
        key.acknowledge(null, sentAtMs)
        return ''
      },
      unknown: () => key.perhaps(null),
    }
  }

  /** `ma` with N0 J1: makes the counter where there is none, counts it up otherwise, and returns it. */
  #count(counter: ModelledCounter): Operation {
    const opaque = `${++this.#number}`
    return {
      name: 'ma',
      request: Buffer.from(`ma ${counter.name} N0 J1 O${opaque} v\r\n`),
      keys: [counter],
      mayBreakOff: false,
      check: (reply, sentAtMs) => {
        const match = /^VA \d+ O(\d+)\r\n(\d+) *\r\n$/.exec(reply.toString('latin1'))
        if (match === null || match[1] !== opaque) return `not the reply to ${opaque}`
        return counter.acknowledge(Number(match[2]), sentAtMs)
      },
      unknown: () => counter.perhaps(),
    }
  }

  #some(): ModelledKey[] {
    const first = this.#random.below(KEYS)
    return Array.from({ length: this.#random.between(2, 5) }, (_, i) => this.#keys[(first + i) % KEYS]!)
  }

  #value(): string {
    const large = this.#random.below(1_000) < LARGE_PER_MILLE
    const tag = `${this.#name}#${++this.#number}`
    return taggedValue(tag, large ? LARGE_BYTES : this.#random.between(1, SMALL_BYTES))
  }
}

/** Like `memcacheReplyEnd`, for replies with a meta value too. */
function metaReplyEnd(bytes: Buffer, at: number, end: number): number {
  if (bytes[at] !== 86 || bytes[at + 1] !== 65 || bytes[at + 2] !== 32) return memcacheReplyEnd(bytes, at, end)
  const line = bytes.indexOf('\r\n', at, 'latin1')
  if (line < 0 || line + 2 > end) return -1
  const bytesOfValue = Number(bytes.toString('latin1', at + 3, line).split(' ')[0])
  const after = line + 2 + bytesOfValue + 2
  return after > end ? -1 : after
}
