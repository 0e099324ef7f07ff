/**
 * A client that knows every reply it must get: each value it writes carries its own name and a number, so that another client's reply,
 * a late one or a lost one is recognised at once.
 */

import type { Address } from '../support/processes/child.ts'
import type { Random } from '../support/random.ts'
import { encode, printable } from '../support/wire/resp.ts'
import { Wire } from '../support/wire/wire.ts'

const KEYS = 12
const SLOW_SCRIPT = 'for i = 1, 20000 do end return KEYS[1]'

/** A reply that is not the one this client's requests must have. */
export class WrongReplyError extends Error {}

export class Owner {
  /** Replies checked so far. */
  checked = 0
  readonly #name: string
  readonly #random: Random
  readonly #address: Address
  /** What the keys of the current life hold. */
  readonly #values = new Map<string, string>()
  #life = 0
  #number = 0

  constructor(name: string, random: Random, address: Address) {
    this.#name = name
    this.#random = random
    this.#address = address
  }

  /**
   * Sends `pipelines` pipelines and checks every reply. Now and then it leaves in the middle of one, and starts a new life with other
   * keys, since nobody knows how much of that pipeline was executed.
   */
  async run(pipelines: number): Promise<void> {
    let wire = await Wire.open(this.#address)
    try {
      for (let sent = 0; sent < pipelines; sent++) {
        if (this.#random.chance(0.08)) {
          await this.#leave(wire)
          wire = await Wire.open(this.#address)
        } else {
          await this.#pipeline(wire)
        }
      }
    } finally {
      wire.destroy()
    }
  }

  async #pipeline(wire: Wire): Promise<void> {
    const [requests, expected] = this.#make()
    const slowReader = this.#random.chance(0.1)
    if (slowReader) wire.socket.pause()
    await this.#send(wire, requests)
    if (slowReader) setTimeout(() => wire.socket.resume(), 20)
    const replies: Buffer[] = []
    await wire.redisReplies(expected.length, { into: replies }).catch(error => {
      throw new WrongReplyError(`${this.#name}: ${error} after ${replies.length} of ${expected.length} replies`)
    })
    for (const [index, reply] of replies.entries()) {
      if (reply.toString('latin1') === expected[index]) continue
      const wanted = printable(Buffer.from(expected[index]!, 'latin1'), 200)
      throw new WrongReplyError(
        `${this.#name} sent ${printable(requests[index]!, 200)}\nwanted ${wanted}\ngot ${printable(reply, 200)}`,
      )
    }
    this.checked += replies.length
  }

  /** Sends a pipeline and goes without waiting: with a reset, a close, or after a part of the bytes only. */
  async #leave(wire: Wire): Promise<void> {
    const [requests] = this.#make()
    const bytes = Buffer.concat(requests)
    if (this.#random.chance(0.5)) wire.send(bytes.subarray(0, this.#random.below(bytes.length)))
    else await this.#send(wire, requests)
    if (this.#random.chance(0.5)) wire.reset()
    else wire.destroy()
    this.#life++
    this.#values.clear()
  }

  async #send(wire: Wire, requests: readonly Buffer[]): Promise<void> {
    const bytes = Buffer.concat(requests)
    const cuts = this.#random.chance(0.6) ? [] : this.#random.cuts(bytes.length, this.#random.between(2, 6))
    await wire.sendCut(bytes, cuts)
  }

  #make(): [Buffer[], string[]] {
    const made = Array.from({ length: this.#random.between(1, 40) }, () => this.#command())
    return [made.map(([request]) => request), made.map(([, reply]) => reply)]
  }

  /** One request and its reply. */
  #command(): [Buffer, string] {
    const choice = this.#random.below(100)
    if (choice < 30) return this.#set()
    if (choice < 60) return this.#get()
    if (choice < 72) return this.#mget()
    if (choice < 82) return this.#mset()
    if (choice < 90) return this.#del()
    if (choice < 97) return [encode('PING'), '+PONG\r\n']
    const key = this.#key()
    return [encode('EVAL', choice < 99 ? 'return KEYS[1]' : SLOW_SCRIPT, 1, key), bulk(key)]
  }

  #set(): [Buffer, string] {
    const key = this.#key()
    const value = this.#value()
    this.#values.set(key, value)
    return [encode('SET', key, value), '+OK\r\n']
  }

  #get(): [Buffer, string] {
    const key = this.#key()
    return [encode('GET', key), bulk(this.#values.get(key))]
  }

  #mget(): [Buffer, string] {
    const keys = Array.from({ length: this.#random.between(1, 10) }, () => this.#key())
    const values = keys.map(key => bulk(this.#values.get(key)))
    return [encode('MGET', ...keys), `*${keys.length}\r\n${values.join('')}`]
  }

  #mset(): [Buffer, string] {
    const pairs = Array.from({ length: this.#random.between(1, 6) }, () => [this.#key(), this.#value()] as const)
    for (const [key, value] of pairs) this.#values.set(key, value)
    return [encode('MSET', ...pairs.flat()), '+OK\r\n']
  }

  #del(): [Buffer, string] {
    const keys = Array.from({ length: this.#random.between(1, 4) }, () => this.#key())
    let deleted = 0
    for (const key of keys) if (this.#values.delete(key)) deleted++
    return [encode('DEL', ...keys), `:${deleted}\r\n`]
  }

  #key(): string {
    return `${this.#name}:${this.#life}:${this.#random.below(KEYS)}`
  }

  /** Name and number, filled up to a length of up to 100 KB. */
  #value(): string {
    const stamp = `${this.#name}#${this.#number++};`
    const scale = this.#random.below(200)
    if (scale < 150) return stamp
    return stamp.repeat(this.#random.between(1, scale < 198 ? 60 : 100_000 / stamp.length))
  }
}

function bulk(value: string | undefined): string {
  return value === undefined ? '$-1\r\n' : `$${value.length}\r\n${value}\r\n`
}
