/**
 * A port that writes one text to each reader that connects, and closes the connection. Primary
 * thread; used for the stats port (`stats-server.ts`) and the agent-check port (`agent-check.ts`).
 *
 * With `http`, a reader that sends an HTTP GET gets the text in an HTTP response. nutcracker's
 * tools connect and read without sending anything, and an HTTP client sends only after it has
 * connected, so they cannot be told apart at first. The port waits `HTTP_WAIT_MS` for a request
 * line; bytes of anything else, or the reader's FIN, end the wait.
 */

import { existsSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import {
  type AcceptedClient,
  type Listener,
  ListenFailure,
  pathFailure,
  type ReservedAddress,
  reserveAddress,
  socketOf,
} from '../../net/listener.ts'
import { classify, httpResponse } from './http-get.ts'

/** Time for a reader to read its text and close, ms. Then it is disconnected. */
const READER_MS = 5_000
/**
 * Limit on readers at once. The port closes further ones without a text, so that they cannot use up
 * the descriptors.
 */
const MAX_READERS = 64
const BACKLOG = 511
/**
 * Time from the connection to the first byte of a request, ms. Measured: 0.5 ms at most for curl,
 * wget and Python, 9 ms for Node's fetch, and 22 ms on a machine with two cores and seven busy
 * processes (460 requests).
 */
const HTTP_WAIT_MS = 50

export interface AnswerPortOptions {
  /** Numeric address, or a path that begins with `/` for a unix socket. */
  readonly address: string
  readonly port: number
  /**
   * true: another process may listen on the port too, if it shares the port as well (SO_REUSEPORT).
   * false: opening fails while another process has the port.
   */
  readonly shared: boolean
  /** Whether an HTTP GET gets an HTTP response. */
  readonly http: boolean
  /** The text for the reader that has just connected; Latin-1. */
  readonly answer: () => string
  /** Accepting failed; the port stays open. @param code errno name. */
  readonly onError: (code: string) => void
}

export class AnswerPort {
  readonly #options: AnswerPortOptions
  readonly #readers = new Set<Socket>()
  #reserved: ReservedAddress | null = null
  #listener: Listener | null = null
  #unix: Server | null = null

  private constructor(options: AnswerPortOptions) {
    this.#options = options
  }

  /** Reserves and listens. Rejects with a `ListenFailure`. */
  static async open(options: AnswerPortOptions): Promise<AnswerPort> {
    const port = AnswerPort.reserve(options)
    await port.listen()
    return port
  }

  /** Binds the address. The kernel refuses connections until `listen`. @throws ListenFailure */
  static reserve(options: AnswerPortOptions): AnswerPort {
    const port = new AnswerPort(options)
    const { address, shared, onError } = options
    if (address.startsWith('/')) {
      // As in nutcracker, an existing file is not removed: another process may listen there.
      if (existsSync(address)) throw new ListenFailure('EADDRINUSE', -1, 'bind')
      return port
    }
    const onClient = (client: AcceptedClient): void => port.#serve(socketOf(client, { allowHalfOpen: true }))
    const listening = { address, port: options.port, backlog: BACKLOG, reuseport: shared, onClient, onError }
    port.#reserved = reserveAddress(listening)
    return port
  }

  /** Starts to answer. Rejects with a `ListenFailure`. */
  async listen(): Promise<void> {
    const reserved = this.#reserved
    this.#reserved = null
    if (reserved === null) await this.#listenPath()
    else this.#listener = await reserved.listen()
  }

  /** Descriptor of the listening socket; -1 = unknown. */
  get fd(): number {
    return this.#listener?.fd ?? -1
  }

  /** Stops listening, and removes a unix socket's file; connected readers may finish. */
  stopListening(): void {
    this.#reserved?.close()
    this.#listener?.close()
    this.#unix?.close()
    this.#reserved = null
    this.#listener = null
    this.#unix = null
  }

  /** Stops listening and disconnects the readers. */
  close(): void {
    this.stopListening()
    for (const reader of this.#readers) reader.destroy()
  }

  async #listenPath(): Promise<void> {
    const { address, onError } = this.#options
    const server = createServer({ allowHalfOpen: true }, socket => this.#serve(socket))
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) =>
        reject(new ListenFailure(pathFailure(error.code ?? '', address), -1, 'bind')),
      )
      server.listen(address, resolve)
    })
    server.removeAllListeners('error')
    server.on('error', (error: NodeJS.ErrnoException) => onError(error.code ?? error.message))
    this.#unix = server
  }

  #serve(socket: Socket): void {
    socket.on('error', () => socket.destroy())
    if (this.#readers.size >= MAX_READERS) {
      socket.destroy()
      return
    }
    this.#readers.add(socket)
    const timer = setTimeout(() => socket.destroy(), READER_MS)
    socket.on('close', () => {
      clearTimeout(timer)
      this.#readers.delete(socket)
    })
    const { http, answer } = this.#options
    if (http) answerOnceKnown(socket, answer)
    else socket.end(answer(), 'latin1')
    // Bytes from the reader are read and ignored: unread bytes would turn the end of the connection
    // into a reset.
    socket.resume()
  }
}

/** Answers as soon as it is known whether the reader speaks HTTP. */
function answerOnceKnown(socket: Socket, answer: () => string): void {
  let received = ''
  const finish = (document: string): void => {
    clearTimeout(timer)
    socket.off('data', onData)
    socket.off('end', onEnd)
    socket.end(document, 'latin1')
    socket.resume()
  }
  const onData = (chunk: Buffer): void => {
    received += chunk.toString('latin1')
    const sent = classify(received)
    if (sent !== 'undecided') finish(sent === 'get' ? httpResponse(answer()) : answer())
  }
  const onEnd = (): void => finish(answer())
  const timer = setTimeout(onEnd, HTTP_WAIT_MS)
  socket.on('data', onData)
  socket.on('end', onEnd)
  socket.on('close', () => clearTimeout(timer))
}
