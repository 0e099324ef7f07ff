/** The owner that speaks memcached's text protocol. */

import type { Wire } from '../wire/wire.ts'
import { type Exchange, Owner } from './owner.ts'

const KEYS = 8

export class MemcacheOwner extends Owner {
  protected readonly leaves = false

  protected async replies(wire: Wire, count: number, into: Buffer[]): Promise<unknown> {
    return into.push(...(await wire.memcacheReplies(count)))
  }

  /** Sets, gets and multi-gets. */
  protected pipeline(): Exchange[] {
    return Array.from({ length: this.random.between(1, 20) }, () => {
      const [request, reply] = this.random.chance(0.4) ? this.#set() : this.#get()
      return { request: Buffer.from(request, 'latin1'), reply }
    })
  }

  #set(): [string, string] {
    const key = this.#key()
    const value = this.stamp().repeat(this.random.between(1, 30))
    this.values.set(key, value)
    return [`set ${key} 7 0 ${value.length}\r\n${value}\r\n`, 'STORED\r\n']
  }

  #get(): [string, string] {
    const keys = [...new Set(Array.from({ length: this.random.between(1, 5) }, () => this.#key()))]
    // Only keys that are there: where one is missing, the order of the others is free.
    const present = keys.filter(key => this.values.has(key))
    if (present.length === 0) return [`get ${keys[0]!}\r\n`, 'END\r\n']
    const blocks = present.map(key => `VALUE ${key} 7 ${this.values.get(key)!.length}\r\n${this.values.get(key)!}\r\n`)
    return [`get ${present.join(' ')}\r\n`, `${blocks.join('')}END\r\n`]
  }

  #key(): string {
    return `${this.name}:${this.random.below(KEYS)}`
  }
}
