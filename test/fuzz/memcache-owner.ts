/** A memcached client that knows every reply it must get: the counterpart of `parity/owner.ts`. */

import type { Address } from '../support/processes/child.ts'
import type { Random } from '../support/random.ts'
import { printable } from '../support/wire/resp.ts'
import { Wire } from '../support/wire/wire.ts'

const KEYS = 8

export class MemcacheOwner {
  /** Replies checked so far. */
  checked = 0
  readonly #name: string
  readonly #random: Random
  readonly #address: Address
  readonly #values = new Map<string, string>()
  #number = 0

  constructor(name: string, random: Random, address: Address) {
    this.#name = name
    this.#random = random
    this.#address = address
  }

  /** Sends `pipelines` pipelines of set, get and multi-get and checks every reply. */
  async run(pipelines: number): Promise<void> {
    const wire = await Wire.open(this.#address)
    try {
      for (let sent = 0; sent < pipelines; sent++) await this.#pipeline(wire)
    } finally {
      wire.destroy()
    }
  }

  async #pipeline(wire: Wire): Promise<void> {
    const made = Array.from({ length: this.#random.between(1, 20) }, () =>
      this.#random.chance(0.4) ? this.#set() : this.#get(),
    )
    wire.send(Buffer.from(made.map(([request]) => request).join(''), 'latin1'))
    const replies = await wire.memcacheReplies(made.length)
    for (const [index, reply] of replies.entries()) {
      const [request, expected] = made[index]!
      if (reply.toString('latin1') === expected) continue
      const wanted = printable(Buffer.from(expected, 'latin1'), 100)
      throw new Error(
        `${this.#name} sent ${JSON.stringify(request).slice(0, 200)}, wanted ${wanted}, got ${printable(reply, 200)}`,
      )
    }
    this.checked += replies.length
  }

  #set(): [string, string] {
    const key = this.#key()
    const value = `${this.#name}#${this.#number++};`.repeat(this.#random.between(1, 30))
    this.#values.set(key, value)
    return [`set ${key} 7 0 ${value.length}\r\n${value}\r\n`, 'STORED\r\n']
  }

  #get(): [string, string] {
    const keys = [...new Set(Array.from({ length: this.#random.between(1, 5) }, () => this.#key()))]
    // Only keys that are there: where one is missing, the order of the others is free.
    const held = keys.filter(key => this.#values.has(key))
    if (held.length === 0) return [`get ${keys[0]!}\r\n`, 'END\r\n']
    const blocks = held.map(key => `VALUE ${key} 7 ${this.#values.get(key)!.length}\r\n${this.#values.get(key)!}\r\n`)
    return [`get ${held.join(' ')}\r\n`, `${blocks.join('')}END\r\n`]
  }

  #key(): string {
    return `${this.#name}:${this.#random.below(KEYS)}`
  }
}
