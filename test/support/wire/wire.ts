/**
 * A raw client: sends bytes in chosen TCP segments and collects what comes back, without any
 * protocol library in between.
 */

import { connect, type Socket } from 'node:net'
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises'
import type { Address } from '../processes/child.ts'
import { withTimeout } from '../wait.ts'
import { memcacheReplyEnd } from './memcache-wire.ts'
import { printable, replyEnd } from './resp.ts'

export const REPLY_TIMEOUT_MS = 10_000

/** Where a reply that starts at `at` ends, or -1 while `[at, end)` does not hold all of it. */
export type EndOf = (bytes: Buffer, at: number, end: number) => number

export interface ReplyOptions {
  readonly timeoutMs?: number | undefined
  /** Filled with the replies as they come. Default: a new array. */
  readonly into?: Buffer[] | undefined
}

export class Wire {
  readonly socket: Socket
  /** True once the other side has ended or reset the connection. */
  closed = false
  #bytes = Buffer.allocUnsafe(4096)
  #start = 0
  #end = 0
  #wake: (() => void) | null = null

  private constructor(socket: Socket) {
    this.socket = socket
    socket.setNoDelay(true)
    socket.on('data', chunk => this.#append(chunk))
    socket.on('end', () => this.#close())
    socket.on('error', () => this.#close())
    socket.on('close', () => this.#close())
  }

  static open(address: Address): Promise<Wire> {
    return new Promise((resolve, reject) => {
      const options = 'port' in address ? { port: address.port, host: '127.0.0.1' } : { path: address.path }
      const socket = connect(options)
      socket.once('error', reject)
      socket.once('connect', () => {
        socket.off('error', reject)
        resolve(new Wire(socket))
      })
    })
  }

  /** Bytes received and not yet taken. Valid until the next call that takes or receives. */
  get received(): Buffer {
    return this.#bytes.subarray(this.#start, this.#end)
  }

  send(bytes: Uint8Array): void {
    if (!this.socket.destroyed) this.socket.write(bytes)
  }

  /**
   * Sends `bytes` in the segments that `cuts` (ascending offsets) gives, with a turn of the loop
   * between them.
   */
  async sendCut(bytes: Uint8Array, cuts: readonly number[]): Promise<void> {
    let from = 0
    for (const cut of cuts) {
      this.send(bytes.subarray(from, cut))
      from = cut
      await turn()
    }
    this.send(bytes.subarray(from))
  }

  /**
   * The next `count` replies, each in a buffer of its own. Rejects when the connection closes or
   * time runs out before; what had come until then is in `into`.
   */
  async replies(count: number, endOf: EndOf, options: ReplyOptions = {}): Promise<Buffer[]> {
    const replies = options.into ?? []
    const collect = (): boolean => {
      while (replies.length < count) {
        const end = endOf(this.#bytes, this.#start, this.#end)
        if (end < 0) return false
        replies.push(Buffer.from(this.#bytes.subarray(this.#start, end)))
        this.#start = end
      }
      return true
    }
    await this.#wait(collect, () => `${replies.length} of ${count} replies`, options.timeoutMs ?? REPLY_TIMEOUT_MS)
    return replies
  }

  redisReplies(count: number, options?: ReplyOptions): Promise<Buffer[]> {
    return this.replies(count, replyEnd, options)
  }

  memcacheReplies(count: number, options?: ReplyOptions): Promise<Buffer[]> {
    return this.replies(count, memcacheReplyEnd, options)
  }

  /** Takes exactly `count` bytes. */
  async take(count: number, timeoutMs = REPLY_TIMEOUT_MS): Promise<Buffer> {
    await this.#wait(
      () => this.#end - this.#start >= count,
      () => `${count} bytes`,
      timeoutMs,
    )
    const bytes = Buffer.from(this.#bytes.subarray(this.#start, this.#start + count))
    this.#start += count
    return bytes
  }

  /** Takes everything once what was received (one char a byte) satisfies `done`. */
  async until(done: (text: string) => boolean, what: string, timeoutMs = REPLY_TIMEOUT_MS): Promise<Buffer> {
    await this.#wait(
      () => done(this.received.toString('latin1')),
      () => what,
      timeoutMs,
    )
    return this.#takeAll()
  }

  /** Waits for the other side to close; everything that was received before. */
  async untilClosed(timeoutMs = REPLY_TIMEOUT_MS): Promise<Buffer> {
    await this.#wait(
      () => this.closed,
      () => 'the connection to close',
      timeoutMs,
    )
    return this.#takeAll()
  }

  /**
   * Everything received until nothing more has come for `quietMs`. Only for "nothing happens"
   * checks.
   */
  async untilQuiet(quietMs: number): Promise<Buffer> {
    for (let seen = -1; seen !== this.#end && !this.closed; ) {
      seen = this.#end
      await delay(quietMs)
    }
    return this.#takeAll()
  }

  /** Half-closes: the other side sees the end of the input and may still answer. */
  end(): void {
    this.socket.end()
  }

  reset(): void {
    this.socket.resetAndDestroy()
  }

  destroy(): void {
    this.socket.destroy()
  }

  async #wait(done: () => boolean, what: () => string, timeoutMs: number): Promise<void> {
    const deadline = Date.now() + timeoutMs
    while (!done()) {
      if (this.closed) throw new Error(`Closed while waiting for ${what()}; ${this.#unread()}`)
      const change = new Promise<void>(resolve => {
        this.#wake = resolve
      })
      const left = Math.max(1, deadline - Date.now())
      await withTimeout(change, `${what()}; ${this.#unread()}`, left)
    }
  }

  #unread(): string {
    return `unread: ${printable(this.received, 200)}`
  }

  #takeAll(): Buffer {
    const bytes = Buffer.from(this.received)
    this.#start = this.#end
    return bytes
  }

  #append(chunk: Buffer): void {
    if (this.#start === this.#end) {
      this.#start = 0
      this.#end = 0
    }
    if (this.#end + chunk.length > this.#bytes.length) this.#grow(chunk.length)
    chunk.copy(this.#bytes, this.#end)
    this.#end += chunk.length
    this.#notify()
  }

  #grow(more: number): void {
    const held = this.#end - this.#start
    const bytes = Buffer.allocUnsafe(Math.max(held + more, this.#bytes.length, held * 2))
    this.#bytes.copy(bytes, 0, this.#start, this.#end)
    this.#bytes = bytes
    this.#start = 0
    this.#end = held
  }

  #close(): void {
    this.closed = true
    this.#notify()
  }

  #notify(): void {
    const wake = this.#wake
    this.#wake = null
    wake?.()
  }
}
