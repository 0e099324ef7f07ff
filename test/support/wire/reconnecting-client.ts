/**
 * A client that increments its own key, one request after the other, and connects again where its
 * connection has ended between two requests. Whatever else goes wrong is a failure. As each reply
 * is the key's next value, a lost, repeated or crossed reply is seen.
 */

import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { Address } from '../processes/child.ts'
import { encode } from './resp.ts'

const REPLY_TIMEOUT_MS = 5_000

export interface ClientOptions {
  readonly address: Address
  readonly key: string
  /** Requests on one connection; then it is closed and another opened. Default: no end. */
  readonly requests?: number
  /** Between a reply and the next request. */
  readonly pauseMs?: number
}

export class ReconnectingClient {
  readonly key: string
  /** Replies, which is also the last value seen. */
  answered = 0
  connections = 0
  readonly failures: string[] = []
  readonly #options: ClientOptions
  readonly #request: Buffer
  #stopping = false
  readonly #running: Promise<void>

  constructor(options: ClientOptions) {
    this.#options = options
    this.key = options.key
    this.#request = encode('INCR', options.key)
    this.#running = this.#run()
  }

  /** Ends after the current request. */
  async stop(): Promise<void> {
    this.#stopping = true
    await this.#running
  }

  async #run(): Promise<void> {
    const { requests = Number.POSITIVE_INFINITY, pauseMs = 0 } = this.#options
    while (!this.#stopping) {
      const connection = await Connection.open(this.#options.address)
      if (typeof connection === 'string') {
        this.failures.push(connection)
        await delay(50)
        continue
      }
      this.connections++
      let reported = false
      for (let i = 0; i < requests && !this.#stopping && !connection.ended; i++) {
        const reply = await connection.exchange(this.#request)
        if (reply === `:${this.answered + 1}\r\n`) {
          this.answered++
        } else {
          this.failures.push(reply)
          reported = true
        }
        if (pauseMs > 0) await delay(pauseMs)
      }
      if (connection.problem !== '' && !reported) this.failures.push(connection.problem)
      connection.close()
    }
  }
}

/** One connection; an error or end is noticed at once, also while no request is in flight. */
class Connection {
  ended = false
  /** Why it ended; '' when the other side closed it after its last reply. */
  problem = ''
  readonly #socket: Socket
  #received = ''
  #wake: (() => void) | null = null

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.setNoDelay(true)
    socket.on('data', chunk => {
      this.#received += chunk.toString('latin1')
      this.#wake?.()
    })
    socket.on('end', () => this.#end())
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.problem = `${error.code} on an open connection`
      this.#end()
    })
  }

  /** @returns why not, where there is no connection. */
  static open(address: Address): Promise<Connection | string> {
    return new Promise(resolve => {
      const socket = 'port' in address ? connect(address.port, '127.0.0.1') : connect(address.path)
      socket.once('error', (error: NodeJS.ErrnoException) => resolve(`${error.code} at connect`))
      socket.once('connect', () => {
        socket.removeAllListeners('error')
        resolve(new Connection(socket))
      })
    })
  }

  /** @returns the reply's bytes, or what happened in place of it. */
  async exchange(request: Buffer): Promise<string> {
    this.#received = ''
    this.#socket.write(request)
    const deadline = performance.now() + REPLY_TIMEOUT_MS
    while (!this.#received.endsWith('\r\n')) {
      if (this.problem !== '') return `${this.problem}, before the reply`
      if (this.ended) return 'end before the reply'
      if (performance.now() >= deadline) return 'no reply in time'
      let timer: NodeJS.Timeout | undefined
      await new Promise<void>(resolve => {
        this.#wake = resolve
        timer = setTimeout(resolve, deadline - performance.now())
      })
      clearTimeout(timer)
    }
    return this.#received
  }

  close(): void {
    this.#socket.destroy()
  }

  #end(): void {
    this.ended = true
    this.#wake?.()
  }
}
