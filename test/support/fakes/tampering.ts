/**
 * A relay between clients and the proxy that does what a broken proxy would do, once, so that the
 * checker can be seen to notice.
 */

import type { Socket } from 'node:net'
import { encode, replyEnd } from '../wire/resp.ts'
import { openRelay, type Relay } from './relay.ts'

/** What is injected, at the first occasion after `AFTER` exchanges of a connection. */
export type Tampering =
  | 'nothing'
  /** A byte of a value is changed. */
  | 'corrupt'
  /** Two replies of one connection change places. */
  | 'swap'
  /** A reply goes to another connection, whose own comes here. */
  | 'cross'
  | 'duplicate'
  | 'drop'
  /** A write is acknowledged and not passed on. */
  | 'lose-write'
  /** A read is answered with what it was answered before. */
  | 'stale-read'
  /** An increment is passed on twice, and answered once. */
  | 'repeat-write'
  /** A reply is replaced by an error, though no server is in trouble. */
  | 'false-error'
  | 'close'

const AFTER = 30
const OK = Buffer.from('+OK\r\n')
const ERROR = Buffer.from('-ERR Connection refused\r\n')

/** One request on its way, with what becomes of its reply. */
interface Exchange {
  readonly name: string
  readonly key: string
  readonly fate: 'pass' | 'swallow' | 'withheld'
}

export class TamperingProxy {
  readonly #tampering: Tampering
  /** The reply that waits for another connection's, and where it should have gone. */
  #crossed: { reply: Buffer; give: (reply: Buffer) => void } | null = null
  /** Injected; nothing more is. */
  done = false

  private constructor(tampering: Tampering) {
    this.#tampering = tampering
  }

  static async start(target: number, tampering: Tampering): Promise<Relay & { readonly tamperer: TamperingProxy }> {
    const tamperer = new TamperingProxy(tampering)
    const relay = await openRelay(target, (client, upstream) => {
      const connection = new TamperedConnection(client, upstream, tamperer)
      client.on('data', chunk => connection.fromClient(chunk))
      upstream.on('data', chunk => connection.fromProxy(chunk))
    })
    return { ...relay, tamperer }
  }

  /** Whether this is the moment. */
  wants(...tamperings: readonly Tampering[]): boolean {
    return !this.done && tamperings.includes(this.#tampering)
  }

  /** Exchanges a reply with one of another connection. */
  cross(reply: Buffer, give: (reply: Buffer) => void): void {
    const first = this.#crossed
    if (first === null) {
      this.#crossed = { reply, give }
      return
    }
    this.done = true
    first.give(reply)
    give(first.reply)
  }
}

class TamperedConnection {
  readonly #client: Socket
  readonly #upstream: Socket
  readonly #tamperer: TamperingProxy
  #requests: Buffer = Buffer.alloc(0)
  #replies: Buffer = Buffer.alloc(0)
  readonly #exchanges: Exchange[] = []
  readonly #reads = new Map<string, Buffer>()
  #count = 0
  /**
   * The key whose writes are lost, all of them: a later one that came through would hide the loss.
   */
  #lostKey: string | null = null
  /** A reply that goes out behind the next one. */
  #late: Buffer | null = null
  /** Replies wait for the one that was exchanged. */
  #held: Buffer[] | null = null

  constructor(client: Socket, upstream: Socket, tamperer: TamperingProxy) {
    this.#client = client
    this.#upstream = upstream
    this.#tamperer = tamperer
  }

  fromClient(chunk: Buffer): void {
    this.#requests = Buffer.concat([this.#requests, chunk])
    for (;;) {
      const end = this.#requests.length === 0 ? -1 : replyEnd(this.#requests, 0, this.#requests.length)
      if (end < 0) return
      this.#request(this.#requests.subarray(0, end))
      this.#requests = this.#requests.subarray(end)
    }
  }

  fromProxy(chunk: Buffer): void {
    this.#replies = Buffer.concat([this.#replies, chunk])
    for (;;) {
      const end = this.#replies.length === 0 ? -1 : replyEnd(this.#replies, 0, this.#replies.length)
      if (end < 0) return
      this.#reply(Buffer.from(this.#replies.subarray(0, end)))
      this.#replies = this.#replies.subarray(end)
    }
  }

  #request(request: Buffer): void {
    this.#count++
    const [, , name = '', , key = ''] = request.toString('latin1').split('\r\n')
    const tamperer = this.#tamperer
    const due = this.#count > AFTER
    if (due && name === 'SET' && (tamperer.wants('lose-write') || key === this.#lostKey)) {
      tamperer.done = true
      this.#lostKey = key
      // PING keeps the place in the order of the replies.
      this.#upstream.write(encode('PING'))
      this.#exchanges.push({ name, key, fate: 'swallow' })
      return
    }
    if (due && name === 'INCR' && tamperer.wants('repeat-write')) {
      tamperer.done = true
      this.#upstream.write(request)
      this.#exchanges.push({ name, key, fate: 'withheld' })
    }
    this.#upstream.write(request)
    this.#exchanges.push({ name, key, fate: 'pass' })
  }

  #reply(reply: Buffer): void {
    const { name, key, fate } = this.#exchanges.shift()!
    if (fate === 'swallow') this.#give(OK)
    else if (fate === 'pass') this.#give(this.#count > AFTER ? this.#treat(name, key, reply) : reply)
    if (name === 'GET' && !this.#reads.has(key)) this.#reads.set(key, reply)
  }

  /** @returns what goes to the client; null = nothing, now. */
  #treat(name: string, key: string, reply: Buffer): Buffer | null {
    const tamperer = this.#tamperer
    if (name === 'EVAL' && tamperer.wants('cross')) {
      if (this.#held !== null) return reply
      this.#held = []
      tamperer.cross(reply, other => this.#release(other))
      return null
    }
    if (reply.includes('<') && tamperer.wants('corrupt')) {
      tamperer.done = true
      reply[reply.lastIndexOf('<') + 1]! ^= 1
      return reply
    }
    if (name === 'EVAL' && tamperer.wants('swap') && this.#exchanges.length > 0) {
      tamperer.done = true
      this.#late = reply
      return null
    }
    if (name === 'EVAL' && tamperer.wants('duplicate')) {
      tamperer.done = true
      return Buffer.concat([reply, reply])
    }
    if (tamperer.wants('drop')) {
      tamperer.done = true
      return null
    }
    if (tamperer.wants('false-error')) {
      tamperer.done = true
      return ERROR
    }
    if (tamperer.wants('close')) {
      tamperer.done = true
      this.#client.destroy()
      return null
    }
    const before = this.#reads.get(key)
    if (name === 'GET' && before !== undefined && !before.equals(reply) && tamperer.wants('stale-read')) {
      tamperer.done = true
      return before
    }
    return reply
  }

  #give(reply: Buffer | null): void {
    if (reply === null) return
    if (this.#held !== null) {
      this.#held.push(reply)
      return
    }
    this.#client.write(reply)
    if (this.#late !== null) this.#client.write(this.#late)
    this.#late = null
  }

  #release(first: Buffer): void {
    const held = this.#held ?? []
    this.#held = null
    this.#client.write(Buffer.concat([first, ...held]))
  }
}
