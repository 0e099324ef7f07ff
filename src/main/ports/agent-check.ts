/**
 * HAProxy's agent check: a port that answers each connection with one line about this process.
 * Primary thread; opened by `primary.ts` with `--agent-check-port`.
 *
 *     up ready         serve clients
 *     up ready 75%     with `--agent-check-weight`: with three quarters of the configured weight (the more there is to do, the less)
 *     drain            send no new connections; those there are may finish
 *     down             no worker runs
 *
 * `ready` is said every time, because it takes back the `drain` of the process that had the port
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
 * The weight goes in steps of this many per cent, so that it does not change with every breath. 0
 * would mean `drain`.
 */
const WEIGHT_STEP = 5
/** Utilisation is measured over at least this long, ms. */
const SAMPLE_MS = 1_000

/** What the answer follows from. */
export interface AgentState {
  /** Of each worker since it started; null = it does not run. */
  readonly eventLoops: readonly (EventLoopUtilization | null)[]
  readonly clients: number
  /** As many clients as the descriptors allow; Infinity = any number. */
  readonly maxClients: number
}

export interface AgentCheckOptions {
  /** Numeric address. */
  readonly address: string
  readonly port: number
  /** Says a weight by load. */
  readonly weighted: boolean
  /** Another process that shares too may have the port as well. */
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

  /** Opens the port. Rejects with the line for the log when it cannot be had. */
  static async open(options: AgentCheckOptions): Promise<AgentCheck> {
    const agent = new AgentCheck(options)
    await agent.#listen(options.shared)
    return agent
  }

  /**
   * Opens the port again if it was shared and is not to be, or the other way round. Failures are
   * logged: the port is closed then.
   */
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
   * Says `drain` from now on; or leaves the port to a successor that shares it and has its own
   * answer. Which of the two it is can only be found out by giving the port up: a process that then
   * gets the port exclusively is alone.
   */
  async drain(): Promise<void> {
    this.#draining = true
    if (!this.#shared) return
    try {
      this.#stopListening()
      await this.#listen(false)
      // Not for himself alone for long: a successor may start at any time.
      this.#stopListening()
      await this.#listen(true)
    } catch {
      // Taken: the successor answers.
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

/** How busy the workers were, from one look to a later one. */
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
   * @returns 0..1, the mean over all workers that have run since the last sample: one that has just
   * started was busy with that. Several askers share a sample; before the first it is 0.
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
