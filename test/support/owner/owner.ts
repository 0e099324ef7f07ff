/**
 * A client that knows every reply it must get: each value that it writes carries its own name and a
 * number, so that another client's reply, a late one or a lost one is recognised at once.
 * `redis-owner.ts` and `memcache-owner.ts` speak the two protocols.
 */

import type { Address } from '../processes/child.ts'
import type { Random } from '../random.ts'
import { printable } from '../wire/resp.ts'
import { Wire } from '../wire/wire.ts'

/** A reply that is not the one this client's requests must have. */
export class WrongReplyError extends Error {}

/** One request, and the only reply that is right. Latin-1 text. */
export interface Exchange {
  readonly request: Buffer
  readonly reply: string
}

export abstract class Owner {
  /** Replies checked so far. */
  checked = 0
  protected readonly name: string
  protected readonly random: Random
  /** What the keys of the current life hold. */
  protected readonly values = new Map<string, string>()
  /** Grows when the client has left a pipeline: its keys are others from then on. */
  protected life = 0
  readonly #address: Address
  #number = 0

  constructor(name: string, random: Random, address: Address) {
    this.name = name
    this.random = random
    this.#address = address
  }

  /**
   * Sends `pipelines` pipelines and checks every reply. With `leaves`, now and then it leaves in
   * the middle of one and starts a new life with other keys, since it cannot know how much of that
   * pipeline was executed.
   */
  async run(pipelines: number): Promise<void> {
    let wire = await Wire.open(this.#address)
    try {
      for (let sent = 0; sent < pipelines; sent++) {
        if (this.leaves && this.random.chance(0.08)) {
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

  /** Whether it leaves pipelines, reads slowly, and sends in pieces. */
  protected abstract readonly leaves: boolean
  protected abstract pipeline(): Exchange[]
  /** Waits for `count` replies, into `into`. */
  protected abstract replies(wire: Wire, count: number, into: Buffer[]): Promise<unknown>

  async #pipeline(wire: Wire): Promise<void> {
    const exchanges = this.pipeline()
    const slowReader = this.leaves && this.random.chance(0.1)
    if (slowReader) wire.socket.pause()
    await this.#send(wire, exchanges)
    if (slowReader) setTimeout(() => wire.socket.resume(), 20)
    const replies: Buffer[] = []
    await this.replies(wire, exchanges.length, replies).catch(error => {
      throw new WrongReplyError(`${this.name}: ${error} after ${replies.length} of ${exchanges.length} replies`)
    })
    for (const [index, reply] of replies.entries()) {
      const { request, reply: expected } = exchanges[index]!
      if (reply.toString('latin1') === expected) continue
      const wanted = printable(Buffer.from(expected, 'latin1'), 200)
      throw new WrongReplyError(
        `${this.name} sent ${printable(request, 200)}\nwanted ${wanted}\ngot ${printable(reply, 200)}`,
      )
    }
    this.checked += replies.length
  }

  /**
   * Sends a pipeline and goes without waiting: with a reset, a close, or after a part of the bytes
   * only.
   */
  async #leave(wire: Wire): Promise<void> {
    const exchanges = this.pipeline()
    const bytes = bytesOf(exchanges)
    if (this.random.chance(0.5)) wire.send(bytes.subarray(0, this.random.below(bytes.length)))
    else await this.#send(wire, exchanges)
    if (this.random.chance(0.5)) wire.reset()
    else wire.destroy()
    this.life++
    this.values.clear()
  }

  async #send(wire: Wire, exchanges: readonly Exchange[]): Promise<void> {
    const bytes = bytesOf(exchanges)
    const cuts =
      !this.leaves || this.random.chance(0.6) ? [] : this.random.cuts(bytes.length, this.random.between(2, 6))
    await wire.sendCut(bytes, cuts)
  }

  /** Name and number: a value that no other request has. */
  protected stamp(): string {
    return `${this.name}#${this.#number++};`
  }
}

function bytesOf(exchanges: readonly Exchange[]): Buffer {
  return Buffer.concat(exchanges.map(({ request }) => request))
}
