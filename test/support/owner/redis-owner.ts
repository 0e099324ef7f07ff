/** The owner that speaks RESP. */

import { encode } from '../wire/resp.ts'
import type { Wire } from '../wire/wire.ts'
import { type Exchange, Owner } from './owner.ts'

const KEYS = 12
const SLOW_SCRIPT = 'for i = 1, 20000 do end return KEYS[1]'

export class RedisOwner extends Owner {
  protected readonly leaves = true

  protected replies(wire: Wire, count: number, into: Buffer[]): Promise<unknown> {
    return wire.redisReplies(count, { into })
  }

  protected pipeline(): Exchange[] {
    return Array.from({ length: this.random.between(1, 40) }, () => this.#exchange())
  }

  /** One request and its reply. */
  #exchange(): Exchange {
    const choice = this.random.below(100)
    if (choice < 30) return this.#set()
    if (choice < 60) return this.#get()
    if (choice < 72) return this.#mget()
    if (choice < 82) return this.#mset()
    if (choice < 90) return this.#del()
    if (choice < 97) return { request: encode('PING'), reply: '+PONG\r\n' }
    const key = this.#key()
    return { request: encode('EVAL', choice < 99 ? 'return KEYS[1]' : SLOW_SCRIPT, 1, key), reply: bulk(key) }
  }

  #set(): Exchange {
    const key = this.#key()
    const value = this.#value()
    this.values.set(key, value)
    return { request: encode('SET', key, value), reply: '+OK\r\n' }
  }

  #get(): Exchange {
    const key = this.#key()
    return { request: encode('GET', key), reply: bulk(this.values.get(key)) }
  }

  #mget(): Exchange {
    const keys = Array.from({ length: this.random.between(1, 10) }, () => this.#key())
    const values = keys.map(key => bulk(this.values.get(key)))
    return { request: encode('MGET', ...keys), reply: `*${keys.length}\r\n${values.join('')}` }
  }

  #mset(): Exchange {
    const pairs = Array.from({ length: this.random.between(1, 6) }, () => [this.#key(), this.#value()] as const)
    for (const [key, value] of pairs) this.values.set(key, value)
    return { request: encode('MSET', ...pairs.flat()), reply: '+OK\r\n' }
  }

  #del(): Exchange {
    const keys = Array.from({ length: this.random.between(1, 4) }, () => this.#key())
    let deleted = 0
    for (const key of keys) if (this.values.delete(key)) deleted++
    return { request: encode('DEL', ...keys), reply: `:${deleted}\r\n` }
  }

  #key(): string {
    return `${this.name}:${this.life}:${this.random.below(KEYS)}`
  }

  /** Name and number, filled up to a length of up to 100 KB. */
  #value(): string {
    const stamp = this.stamp()
    const scale = this.random.below(200)
    if (scale < 150) return stamp
    return stamp.repeat(this.random.between(1, scale < 198 ? 60 : 100_000 / stamp.length))
  }
}

function bulk(value: string | undefined): string {
  return value === undefined ? '$-1\r\n' : `$${value.length}\r\n${value}\r\n`
}
