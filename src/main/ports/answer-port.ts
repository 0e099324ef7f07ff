/**
 * A place where whoever connects gets one text and the end of the connection. Primary thread; the stats port (`stats-server.ts`) and the
 * agent-check port (`agent-check.ts`) are such places.
 *
 * A TCP port is shared with a process that shares it too (SO_REUSEPORT, as nutcracker's development version has it for its stats): a
 * successor can start while its predecessor still drains.
 */

import { createServer, type Server, type Socket } from 'node:net'
import {
  type AcceptedClient,
  type Listener,
  ListenFailure,
  openListener,
  pathFailure,
  socketOf,
} from '../../net/listener.ts'

/** A reader that does not take its text and close in this time is cut off. */
const READER_MS = 5_000
/** Readers at once; those beyond are closed unserved, so that they cannot eat the descriptors. */
const MAX_READERS = 64
const BACKLOG = 511

export interface AnswerPortOptions {
  /** Numeric address, or a path that begins with `/` for a unix socket. */
  readonly address: string
  readonly port: number
  /** false: fail where another process has the port. */
  readonly shared: boolean
  /** The text for the reader that has just connected; Latin-1. */
  readonly answer: () => string
  /** Accepting failed; the port stays open. @param code errno name. */
  readonly onError: (code: string) => void
}

export class AnswerPort {
  readonly #answer: () => string
  readonly #readers = new Set<Socket>()
  #listener: Listener | null = null
  #unix: Server | null = null

  private constructor(options: AnswerPortOptions) {
    this.#answer = options.answer
  }

  /** Rejects with a `ListenFailure`. */
  static async open(options: AnswerPortOptions): Promise<AnswerPort> {
    const port = new AnswerPort(options)
    if (options.address.startsWith('/')) await port.#openPath(options)
    else await port.#openPort(options)
    return port
  }

  /** Descriptor of the listening socket, or -1 where unknown. */
  get fd(): number {
    return this.#listener?.fd ?? -1
  }

  /** Stops listening, and removes a unix socket's file; whoever reads may finish. */
  stopListening(): void {
    this.#listener?.close()
    this.#unix?.close()
    this.#listener = null
    this.#unix = null
  }

  /** Likewise, and cuts off whoever still reads. */
  close(): void {
    this.stopListening()
    for (const reader of this.#readers) reader.destroy()
  }

  async #openPort({ address, port, shared, onError }: AnswerPortOptions): Promise<void> {
    const onClient = (client: AcceptedClient): void => this.#serve(socketOf(client))
    this.#listener = await openListener({ address, port, backlog: BACKLOG, reuseport: shared, onClient, onError })
  }

  async #openPath({ address, onError }: AnswerPortOptions): Promise<void> {
    const server = createServer(socket => this.#serve(socket))
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
    // What a reader sends (an HTTP request, say) is taken and ignored: left unread it would turn the end into a reset.
    socket.resume()
    socket.end(this.#answer(), 'latin1')
  }
}
