/**
 * HAProxy's agent check: a port that answers each connection with one line about this process.
 * Primary thread; opened by `primary.ts` with `--agent-check-port`.
 *
 *     up ready         serves clients
 *     up ready 75%     `--agent-check-weight`: three quarters of the configured weight, by load
 *     drain            takes no new connections; open ones may finish
 *     down             no worker runs
 *
 * Every answer contains `ready`, because it cancels the `drain` of the process that had the port
 * before. Source: HAProxy's configuration manual, `agent-check`.
 *
 * HAProxy rounds the percentage of a weight down: 95 % of the default weight 1 is 0, which means no
 * new connections at all. So there is a percentage only where the flag says that the configured
 * weight is large enough for it (20 and up: 5 % of 20 is 1).
 */

import type { EventLoopUtilization } from 'node:perf_hooks'
import { LimitedLog } from '../../log/limited-log.ts'
import type { Logger } from '../../log/log.ts'
import { ListenFailure } from '../../net/listener.ts'
import { strerror } from '../../shared/strerror.ts'
import { AnswerPort } from './answer-port.ts'

/**
 * Step of the weight, per cent, so that small changes of the load do not change it. The weight is
 * at least one step, because 0 means `drain`.
 */
const WEIGHT_STEP = 5
/** Utilisation is measured over at least this long, ms. */
const SAMPLE_MS = 1_000

/** What the answer depends on. */
export interface AgentState {
  /** Of each worker since it started; null = it does not run. */
  readonly eventLoops: readonly (EventLoopUtilization | null)[]
  readonly clients: number
  /** Limit on clients from the descriptor limit; Infinity = none. */
  readonly maxClients: number
}

export interface AgentCheckOptions {
  /** Numeric address. */
  readonly address: string
  readonly port: number
  /** Reports a weight by load. */
  readonly weighted: boolean
  /** true: another process may listen on the port too, if it shares the port as well. */
  readonly shared: boolean
  readonly state: () => AgentState
  readonly log: Logger
  readonly nowMs?: () => number
}

export class AgentCheck {
  readonly #options: AgentCheckOptions
  readonly #limitedLog: LimitedLog
  readonly #meter: LoadMeter
  #port: AnswerPort | null = null
  #shared = false
  #draining = false
  #closed = false

  private constructor(options: AgentCheckOptions) {
    this.#options = options
    this.#limitedLog = new LimitedLog(options.log, 'the agent-check port')
    this.#meter = new LoadMeter(options.nowMs ?? (() => performance.now()), options.state().eventLoops)
  }

  /** Opens the port. Rejects with the line for the log when that fails. */
  static async open(options: AgentCheckOptions): Promise<AgentCheck> {
    const agent = new AgentCheck(options)
    await agent.#listen(options.shared)
    return agent
  }

  /** Opens the port again if `shared` has changed. Logs a failure; the port is closed then. */
  async share(shared: boolean): Promise<void> {
    if (shared === this.#shared) return
    try {
      this.#stopListening()
      await this.#listen(shared)
    } catch (error) {
      this.#options.log.error((error as Error).message)
    }
  }

  /**
   * Answers `drain` from now on; or closes the port when a successor shares it, which gives its own
   * answer. Closing is the only way to find out: a process that can open the port exclusively
   * afterwards is alone.
   */
  async drain(): Promise<void> {
    this.#draining = true
    if (!this.#shared) return
    try {
      this.#stopListening()
      await this.#listen(false)
      // The port must not stay exclusive: a successor may start at any time.
      this.#stopListening()
      await this.#listen(true)
    } catch {
      // The successor has the port and answers.
    }
  }

  /** Closes the port. */
  close(): void {
    this.#closed = true
    this.#port?.close()
    this.#port = null
  }

  #stopListening(): void {
    this.#port?.stopListening()
    this.#port = null
  }

  async #listen(shared: boolean): Promise<void> {
    const { address, port } = this.#options
    this.#shared = shared
    const answer = (): string => `${this.#answer()}\n`
    const onError = (code: string): void =>
      this.#limitedLog.alert('accept failed', () => `accept on agent-check port ${port} failed: ${strerror(code)}`)
    try {
      this.#port = await AnswerPort.open({ address, port, shared, http: false, answer, onError })
    } catch (error) {
      if (!(error instanceof ListenFailure)) throw error
      throw new Error(`bind on agent-check port '${address}:${port}' failed: ${error.message}`, { cause: error })
    }
    if (this.#closed) this.close()
  }

  #answer(): string {
    if (this.#draining) return 'drain'
    const { eventLoops, clients, maxClients } = this.#options.state()
    const running = eventLoops.filter(loop => loop !== null)
    if (running.length === 0) return 'down'
    if (!this.#options.weighted) return 'up ready'
    const busy = Math.max(this.#meter.busyShare(eventLoops), clients / maxClients)
    const steps = Math.round(((1 - busy) * 100) / WEIGHT_STEP)
    return `up ready ${Math.max(1, steps) * WEIGHT_STEP}%`
  }
}

/** How busy the workers were between two samples. */
class LoadMeter {
  readonly #nowMs: () => number
  #before: readonly (EventLoopUtilization | null)[]
  #sampledMs: number
  #share = 0

  constructor(nowMs: () => number, loops: readonly (EventLoopUtilization | null)[]) {
    this.#nowMs = nowMs
    this.#before = loops
    this.#sampledMs = nowMs()
  }

  /**
   * @returns mean utilisation of all workers that have run since the last sample, 0..1; 0 before
   * the first sample. A worker that has just started is left out, because starting keeps it busy.
   * Calls within `SAMPLE_MS` get the same sample.
   */
  busyShare(loops: readonly (EventLoopUtilization | null)[]): number {
    const nowMs = this.#nowMs()
    if (nowMs - this.#sampledMs < SAMPLE_MS) return this.#share
    const shares: number[] = []
    for (const [worker, loop] of loops.entries()) {
      const before = this.#before[worker]
      if (loop === null || before === null || before.active > loop.active || before.idle > loop.idle) continue
      const active = loop.active - before.active
      const idle = loop.idle - before.idle
      if (active + idle > 0) shares.push(active / (active + idle))
    }
    this.#before = loops
    this.#sampledMs = nowMs
    this.#share = shares.length > 0 ? shares.reduce((sum, share) => sum + share, 0) / shares.length : 0
    return this.#share
  }
}
