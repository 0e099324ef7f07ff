/**
 * A relay between the proxy and one server that makes the server look slow, broken or mad, whole
 * replies at a time.
 */

import type { Socket } from 'node:net'
import type { Random } from '../random.ts'
import type { EndOf } from '../wire/wire.ts'
import { openRelay } from './relay.ts'

/** What the relay does with the server's replies. */
export type Fault =
  | { readonly kind: 'none' }
  /** Delay of every chunk of replies, ms. */
  | { readonly kind: 'slow'; readonly delayMs: number }
  /**
   * With this probability a reply breaks off in the middle, and the connection with it, by reset or
   * by FIN.
   */
  | { readonly kind: 'break'; readonly probability: number }
  /** With this probability a reply is replaced by bytes that are none. */
  | { readonly kind: 'garbage'; readonly probability: number }
  /** With this probability a reply is replaced by these bytes. */
  | { readonly kind: 'instead'; readonly probability: number; readonly bytes: Buffer }
  /**
   * New connections are closed at once, as by a server out of descriptors; those that are open are
   * closed too.
   */
  | { readonly kind: 'no-descriptors' }
  /** Requests arrive, nothing is answered. */
  | { readonly kind: 'mute' }

const NO_FAULT: Fault = { kind: 'none' }

export class FaultyRelay {
  fault: Fault = NO_FAULT
  /** How many replies were broken, replaced or left out. */
  faults = 0
  readonly #endOf: EndOf
  readonly #random: Random
  #relay: Awaited<ReturnType<typeof openRelay>> | null = null

  private constructor(endOf: EndOf, random: Random) {
    this.#endOf = endOf
    this.#random = random
  }

  /** @param target the server's port. @param endOf finds the end of its replies. */
  static async start(target: number, endOf: EndOf, random: Random): Promise<FaultyRelay> {
    const faulty = new FaultyRelay(endOf, random)
    faulty.#relay = await openRelay(
      target,
      (client, upstream) => faulty.#pipe(client, upstream),
      () => faulty.#refuses(),
    )
    return faulty
  }

  get port(): number {
    return this.#relay!.port
  }

  /** Sets the fault; what it does to open connections happens now. */
  begin(fault: Fault): void {
    this.fault = fault
    if (fault.kind === 'no-descriptors') for (const socket of this.#relay!.sockets) socket.destroy()
  }

  /** No fault from now on. */
  end(): void {
    this.fault = NO_FAULT
  }

  stop(): Promise<void> {
    return this.#relay!.stop()
  }

  #refuses(): boolean {
    if (this.fault.kind !== 'no-descriptors') return false
    this.faults++
    return true
  }

  #pipe(client: Socket, upstream: Socket): void {
    client.on('data', chunk => upstream.write(chunk))
    const out = new ReplyStream(client)
    let partial: Buffer = Buffer.alloc(0)
    upstream.on('data', chunk => {
      if (out.ended) return
      partial = this.#forward(out, partial.length === 0 ? chunk : Buffer.concat([partial, chunk]))
    })
  }

  /** Passes on the whole replies in `bytes`. @returns what is left: the beginning of one. */
  #forward(out: ReplyStream, bytes: Buffer): Buffer {
    const { fault } = this
    const delayMs = fault.kind === 'slow' ? fault.delayMs : 0
    const parts: Buffer[] = []
    let at = 0
    while (at < bytes.length) {
      const end = this.#endOf(bytes, at, bytes.length)
      if (end < 0) break
      const reply = bytes.subarray(at, end)
      at = end
      if (fault.kind === 'break' && this.#random.chance(fault.probability)) {
        this.faults++
        parts.push(reply.subarray(0, this.#random.below(reply.length)))
        out.send(Buffer.concat(parts), delayMs)
        out.end(this.#random.chance(0.5))
        return Buffer.alloc(0)
      }
      parts.push(this.#treat(reply))
    }
    if (delayMs > 0) this.faults++
    out.send(Buffer.concat(parts), delayMs)
    return Buffer.from(bytes.subarray(at))
  }

  /** @returns what goes on in place of the reply. */
  #treat(reply: Buffer): Buffer {
    const { fault } = this
    const strikes =
      fault.kind === 'mute' ||
      ((fault.kind === 'garbage' || fault.kind === 'instead') && this.#random.chance(fault.probability))
    if (!strikes) return reply
    this.faults++
    if (fault.kind === 'instead') return fault.bytes
    return fault.kind === 'garbage' ? this.#garbage() : Buffer.alloc(0)
  }

  /**
   * Begins with a byte that begins no reply of any protocol, so that it cannot be taken for one.
   */
  #garbage(): Buffer {
    const bytes = this.#random.bytes(this.#random.between(1, 200))
    bytes[0] = this.#random.pick([0, 1, 10, 13, 32, 126, 127, 128, 255])
    return bytes
  }
}

/** Replies on their way to the proxy: late perhaps, but in order. */
class ReplyStream {
  ended = false
  readonly #socket: Socket
  readonly #waiting: { readonly dueMs: number; readonly act: () => void }[] = []

  constructor(socket: Socket) {
    this.#socket = socket
  }

  send(bytes: Buffer, delayMs: number): void {
    if (bytes.length > 0) this.#later(delayMs, () => this.#socket.write(bytes))
  }

  end(byReset: boolean): void {
    this.ended = true
    this.#later(1, () => {
      if (byReset) this.#socket.resetAndDestroy()
      else this.#socket.end()
    })
  }

  #later(delayMs: number, act: () => void): void {
    const dueMs = performance.now() + delayMs
    this.#waiting.push({ dueMs, act })
    if (this.#waiting.length === 1) this.#next()
  }

  #next(): void {
    const first = this.#waiting[0]
    if (first === undefined || this.#socket.destroyed) return
    const waitMs = first.dueMs - performance.now()
    if (waitMs > 0) {
      setTimeout(() => this.#next(), waitMs)
      return
    }
    first.act()
    this.#waiting.shift()
    this.#next()
  }
}
