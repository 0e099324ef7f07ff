/**
 * nutcracker's stats port: whoever connects gets one document and the end of the connection. Primary thread. `source` and `uptime` count
 * from the moment the port opens.
 *
 * The port is shared with a process that shares it too (SO_REUSEPORT, as nutcracker's development version has it): a successor can start
 * while its predecessor still drains.
 */

import { createServer, type Server, type Socket } from 'node:net'
import { hostname } from 'node:os'
import { resolveBySystem } from '../config/listen.ts'
import type { Logger } from '../log/log.ts'
import { strerror } from '../shared/strerror.ts'
import { renderStats } from '../stats/json.ts'
import type { StatsSnapshot } from '../stats/reader.ts'
import { type AcceptedClient, type Listener, ListenFailure, openListener, pathFailure, socketOf } from './listener.ts'

/** A reader that does not take its document and close in this time is cut off. */
const READER_MS = 5_000
/** Readers at once; those beyond are closed unserved, so that they cannot eat the descriptors. */
const MAX_READERS = 64
const BACKLOG = 511

export interface StatsServerOptions {
  /** Host, or a path that begins with `/` for a unix socket. */
  readonly address: string
  readonly port: number
  readonly snapshot: () => StatsSnapshot
  readonly log: Logger
}

export class StatsServer {
  readonly #snapshot: () => StatsSnapshot
  readonly #log: Logger
  readonly #source = hostname()
  readonly #startedMs = performance.now()
  readonly #readers = new Set<Socket>()
  #listener: Listener | null = null
  #unix: Server | null = null

  private constructor(options: StatsServerOptions) {
    this.#snapshot = options.snapshot
    this.#log = options.log
  }

  /** Opens the port. Rejects with nutcracker's line about why it cannot. */
  static async open(options: StatsServerOptions): Promise<StatsServer> {
    const server = new StatsServer(options)
    if (options.address.startsWith('/')) await server.#openPath(options.address)
    else await server.#openPort(options.address, options.port)
    return server
  }

  /** Closes the port and whoever still reads, and removes a unix socket's file. */
  close(): void {
    this.#listener?.close()
    this.#unix?.close()
    for (const reader of this.#readers) reader.destroy()
  }

  async #openPort(host: string, port: number): Promise<void> {
    let address: string
    try {
      address = await resolveBySystem(host)
    } catch (error) {
      const reason = strerror((error as NodeJS.ErrnoException).code ?? String(error))
      throw new Error(`address resolution of node '${host}' service '${port}' failed: ${reason}`, { cause: error })
    }
    const onClient = (client: AcceptedClient): void => this.#serve(socketOf(client))
    const onError = (code: string): void =>
      this.#log.error(`accept on m ${this.#listener?.fd ?? -1} failed: ${strerror(code)}`)
    try {
      this.#listener = await openListener({ address, port, backlog: BACKLOG, reuseport: true, onClient, onError })
    } catch (error) {
      throw bindFailure(error, `${host}:${port}`)
    }
  }

  async #openPath(path: string): Promise<void> {
    const server = createServer(socket => this.#serve(socket))
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject)
        server.listen(path, resolve)
      })
    } catch (error) {
      const code = pathFailure((error as NodeJS.ErrnoException).code ?? '', path)
      throw bindFailure(new ListenFailure(code, -1, 'bind'), path)
    }
    server.removeAllListeners('error')
    server.on('error', error => this.#log.error(`accept on m -1 failed: ${error.message}`))
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
    socket.end(this.#document(), 'latin1')
  }

  #document(): string {
    return renderStats(this.#snapshot(), {
      source: this.#source,
      uptimeSec: Math.trunc((performance.now() - this.#startedMs) / 1_000),
      timestampSec: Math.trunc(Date.now() / 1_000),
    })
  }
}

/** nutcracker's line. @param where as given with `-a` and `-s`. */
function bindFailure(error: unknown, where: string): unknown {
  if (!(error instanceof ListenFailure)) return error
  return new Error(`bind on m ${error.fd} to stats server addr '${where}' failed: ${error.message}`, { cause: error })
}
