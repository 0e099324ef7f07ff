/**
 * nutcracker's stats port: whoever connects gets one document and the end of the connection. Primary thread. `source` and `uptime` count
 * from the moment the port opens.
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
  readonly snapshot: () => StatsSnapshot
  readonly log: Logger
}

export class StatsServer {
  readonly #snapshot: () => StatsSnapshot
  readonly #limitedLog: LimitedLog
  readonly #source = hostname()
  readonly #startedMs = performance.now()
  #port: AnswerPort | null = null

  private constructor(options: StatsServerOptions) {
    this.#snapshot = options.snapshot
    this.#limitedLog = new LimitedLog(options.log, 'the stats port')
  }

  /** Opens the port. Rejects with nutcracker's line about why it cannot. */
  static async open(options: StatsServerOptions): Promise<StatsServer> {
    const server = new StatsServer(options)
    const { address, port } = options
    if (address.startsWith('/')) await server.#open(address, port, address)
    else await server.#open(await resolved(address, port), port, `${address}:${port}`)
    return server
  }

  /** Closes the port and whoever still reads, and removes a unix socket's file. */
  close(): void {
    this.#port?.close()
  }

  async #open(address: string, port: number, where: string): Promise<void> {
    const answer = (): string => this.#document()
    const onError = (code: string): void =>
      this.#limitedLog.alert('accept failed', () => `accept on m ${this.#port?.fd ?? -1} failed: ${strerror(code)}`)
    try {
      this.#port = await AnswerPort.open({ address, port, shared: true, answer, onError })
    } catch (error) {
      throw bindFailure(error, where)
    }
  }

  #document(): string {
    return renderStats(this.#snapshot(), {
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

/** nutcracker's line. @param where as given with `-a` and `-s`. */
function bindFailure(error: unknown, where: string): unknown {
  if (!(error instanceof ListenFailure)) return error
  return new Error(`bind on m ${error.fd} to stats server addr '${where}' failed: ${error.message}`, { cause: error })
}
