/**
 * nutcracker's stats port: a reader that connects gets one document and the end of the connection;
 * an HTTP GET gets it in an HTTP response. Primary thread. `uptime` counts from the moment the
 * address is reserved.
 */

import { hostname } from 'node:os'
import { resolveBySystem } from '../../config/listen.ts'
import { LimitedLog } from '../../log/limited-log.ts'
import type { Logger } from '../../log/log.ts'
import { ListenFailure } from '../../net/listener.ts'
import { strerror } from '../../shared/strerror.ts'
import { renderStats } from '../../stats/json.ts'
import type { StatsSnapshot } from '../../stats/reader.ts'
import { AnswerPort } from './answer-port.ts'

export interface StatsServerOptions {
  /** Host, or a path that begins with `/` for a unix socket. */
  readonly address: string
  readonly port: number
  /**
   * true: another process may listen on the port too, if it shares the port as well: two processes
   * run while one replaces the other.
   */
  readonly shared: boolean
  readonly snapshot: () => StatsSnapshot
  readonly log: Logger
}

export class StatsServer {
  readonly #options: StatsServerOptions
  readonly #limitedLog: LimitedLog
  readonly #source = hostname()
  readonly #startedMs = performance.now()
  /** As given with `-a` and `-s`. */
  readonly #where: string
  /** Numeric address, or the path. */
  #address = ''
  #shared: boolean
  #port: AnswerPort | null = null

  private constructor(options: StatsServerOptions) {
    const { address, port, shared } = options
    this.#options = options
    this.#shared = shared
    this.#where = address.startsWith('/') ? address : `${address}:${port}`
    this.#limitedLog = new LimitedLog(options.log, 'the stats port')
  }

  /** Binds the port. Rejects with nutcracker's line when that fails. */
  static async reserve(options: StatsServerOptions): Promise<StatsServer> {
    const server = new StatsServer(options)
    const { address, port } = options
    server.#address = address.startsWith('/') ? address : await resolved(address, port)
    server.#reserve()
    return server
  }

  /** Starts to answer. Rejects like `reserve`. */
  async listen(): Promise<void> {
    try {
      await this.#port!.listen()
    } catch (error) {
      throw this.#bindFailure(error)
    }
  }

  /** Opens the port again if `shared` has changed. Logs a failure; the port is closed then. */
  async share(shared: boolean): Promise<void> {
    if (shared === this.#shared || this.#address.startsWith('/')) return
    this.#shared = shared
    this.#port?.stopListening()
    try {
      this.#reserve()
      await this.#port!.listen()
    } catch (error) {
      this.#port = null
      this.#options.log.error(asError(this.#bindFailure(error)).message)
    }
  }

  /** Closes the port, disconnects its readers, and removes a unix socket's file. */
  close(): void {
    this.#port?.close()
  }

  #reserve(): void {
    const { port } = this.#options
    const answer = (): string => this.#document()
    const onError = (code: string): void =>
      this.#limitedLog.alert('accept failed', () => `accept on m ${this.#port?.fd ?? -1} failed: ${strerror(code)}`)
    try {
      this.#port = AnswerPort.reserve({
        address: this.#address,
        port,
        shared: this.#shared,
        http: true,
        answer,
        onError,
      })
    } catch (error) {
      throw this.#bindFailure(error)
    }
  }

  /** nutcracker's line. */
  #bindFailure(error: unknown): unknown {
    if (!(error instanceof ListenFailure)) return error
    const line = `bind on m ${error.fd} to stats server addr '${this.#where}' failed: ${error.message}`
    return new Error(line, { cause: error })
  }

  #document(): string {
    return renderStats(this.#options.snapshot(), {
      source: this.#source,
      uptimeSec: Math.trunc((performance.now() - this.#startedMs) / 1_000),
      timestampSec: Math.trunc(Date.now() / 1_000),
    })
  }
}

/** The numeric address of a host. Rejects with nutcracker's line. */
async function resolved(host: string, port: number): Promise<string> {
  try {
    return await resolveBySystem(host)
  } catch (error) {
    const reason = strerror((error as NodeJS.ErrnoException).code ?? String(error))
    throw new Error(`address resolution of node '${host}' service '${port}' failed: ${reason}`, { cause: error })
  }
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason))
}
