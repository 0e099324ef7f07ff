/**
 * A place where a reader that connects gets one text and the end of the connection. Primary thread;
 * the stats port (`stats-server.ts`) and the agent-check port (`agent-check.ts`) are such places.
 *
 * With `http`, a reader that sends an HTTP GET gets its text in an HTTP response. nutcracker's own
 * tools connect and read without sending anything, and an HTTP client sends after it has connected,
 * so the two look alike at first: the port waits `HTTP_WAIT_MS` for a first line, and no longer
 * than until something else or the reader's FIN has come.
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

/** A reader that does not read its text and close in this time is disconnected. */
const READER_MS = 5_000
/**
 * Readers at once; those beyond are closed without a text, so that they cannot use up the
 * descriptors.
 */
const MAX_READERS = 64
const BACKLOG = 511
/**
 * From the connection to the first byte of a request: 0.5 ms at most for curl, wget and Python, 9
 * ms for Node's fetch, and 22 ms on a machine with two cores and seven busy processes (460
 * requests).
 */
const HTTP_WAIT_MS = 50

export interface AnswerPortOptions {
  /** Numeric address, or a path that begins with `/` for a unix socket. */
  readonly address: string
  readonly port: number
  /**
   * A process that shares too may have the port as well (SO_REUSEPORT); else opening fails while
   * another process has it.
   */
  readonly shared: boolean
  /** Whether HTTP GET is answered by HTTP. */
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

  /**
   * Finds out whether the address can be had, and keeps it; connections are refused until `listen`.
   * @throws ListenFailure
   */
  static reserve(options: AnswerPortOptions): AnswerPort {
    const port = new AnswerPort(options)
    const { address, shared, onError } = options
    if (address.startsWith('/')) {
      // As nutcracker, a file in the way is not removed: another process may listen there.
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

  /** Descriptor of the listening socket, or -1 where unknown. */
  get fd(): number {
    return this.#listener?.fd ?? -1
  }

  /** Stops listening, and removes a unix socket's file; readers that are connected may finish. */
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
    // What a reader sends is read and ignored: left unread it would turn the end of the connection
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
