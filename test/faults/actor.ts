/** A well-behaved client of the fault suite: it sends pipelines, checks every reply, and connects again when it loses its connection. */

import { setTimeout as delay } from 'node:timers/promises'
import type { Address } from '../support/processes/child.ts'
import type { Random } from '../support/random.ts'
import { printable } from '../support/wire/resp.ts'
import { Wire } from '../support/wire/wire.ts'
import type { Ledger } from './ledger.ts'
import type { Operation, Work } from './operation.ts'

const LONGEST_PIPELINE = 12
const PATIENCE_MS = 10_000
/** Limit on the TCP segments of a pipeline. */
const SEGMENTS = 4
/** A little rest between pipelines, so that many clients share this process. */
const LONGEST_REST_MS = 4

export interface ActorOptions {
  readonly name: string
  readonly work: Work
  readonly ledger: Ledger
  readonly random: Random
  readonly address: () => Address
  /** Time limit for a reply, ms; a later one is a violation. Default 10 s. */
  readonly patienceMs?: number
}

export class Actor {
  readonly name: string
  readonly #options: ActorOptions
  #wire: Wire | null = null
  #stopping = false
  #lastSentAtMs = 0
  /** Replies on the present connection. */
  #replies = 0

  constructor(options: ActorOptions) {
    this.name = options.name
    this.#options = options
  }

  /** Brings all keys into being. */
  async begin(): Promise<void> {
    await this.#pipeline(this.#options.work.firsts())
  }

  /** Sends pipelines until `stop`. Never rejects: what goes wrong is in the ledger. */
  async run(): Promise<void> {
    const { random, work } = this.#options
    while (!this.#stopping) {
      const operations = Array.from({ length: random.between(1, LONGEST_PIPELINE) }, () => work.next())
      await this.#pipeline(operations)
      await delay(random.below(LONGEST_REST_MS))
    }
  }

  /** Ends `run` after the current pipeline. */
  stop(): void {
    this.#stopping = true
  }

  /** One operation on the connection; for reads at the end of a scenario. */
  async ask(operation: Operation): Promise<void> {
    await this.#pipeline([operation])
  }

  close(): void {
    this.#wire?.destroy()
    this.#wire = null
  }

  async #pipeline(operations: readonly Operation[]): Promise<void> {
    const { random, work, patienceMs = PATIENCE_MS } = this.#options
    const wire = await this.#connect()
    if (wire === null) return
    const replies: Buffer[] = []
    const sentAtMs = performance.now()
    this.#lastSentAtMs = sentAtMs
    const bytes = Buffer.concat(operations.map(operation => operation.request))
    const sending = wire.sendCut(bytes, random.cuts(bytes.length, random.between(1, SEGMENTS)))
    const collected = wire.replies(operations.length, work.replyEnd, { into: replies, timeoutMs: patienceMs })
    const failure = await collected.then(
      () => null,
      (error: Error) => error,
    )
    await sending
    this.#replies += replies.length
    for (const [i, operation] of operations.entries()) {
      if (i < replies.length) this.#take(operation, replies[i]!, sentAtMs)
      else operation.unknown()
    }
    if (failure !== null) this.#lost(wire, failure, operations.slice(replies.length), sentAtMs)
    else if (wire.received.length > 0) this.#complain(`bytes after the last reply: ${printable(wire.received)}`)
  }

  #take(operation: Operation, reply: Buffer, sentAtMs: number): void {
    const { ledger, work } = this.#options
    ledger.checked++
    if (work.isError(reply)) {
      ledger.errors++
      operation.unknown()
      const excused = ledger.mayFail(operation.keys, sentAtMs) || (isTimeout(reply) && ledger.stalledSince(sentAtMs))
      if (!excused) this.#wrong(operation, reply, 'no server of its keys is in trouble')
      return
    }
    let problem: string
    try {
      problem = operation.check(reply, sentAtMs)
    } catch (error) {
      problem = String(error)
    }
    if (problem !== '') this.#wrong(operation, reply, problem)
  }

  #wrong(operation: Operation, reply: Buffer, problem: string): void {
    const request = printable(operation.request, 160)
    this.#complain(`${operation.name} ${request} got ${printable(reply, 160)}: ${problem}`)
  }

  #complain(what: string): void {
    this.#options.ledger.violation(this.#options.name, what)
  }

  /** The replies did not all come: those of `unanswered` are missing. */
  #lost(wire: Wire, failure: Error, unanswered: readonly Operation[], sentAtMs: number): void {
    const { ledger } = this.#options
    this.#wire = null
    wire.destroy()
    const [first] = unanswered
    const what = `${unanswered.length} requests unanswered, the first ${first!.name}`
    if (!wire.closed) {
      this.#complain(`${what}: ${failure.message}`)
      return
    }
    ledger.closes++
    if (first!.mayBreakOff && ledger.mayFail(first!.keys, sentAtMs)) return
    if (this.#replies === 0 && !ledger.freshMayClose) this.#complain(`a new connection was closed with ${what}`)
    if (!ledger.mayClose(sentAtMs)) this.#complain(`the connection was closed with ${what}`)
  }

  /** The connection, opened again if it was lost; null when that failed. */
  async #connect(): Promise<Wire | null> {
    const { address, ledger } = this.#options
    if (this.#wire !== null) {
      if (!this.#wire.closed) return this.#wire
      ledger.closes++
      if (!ledger.mayClose(this.#lastSentAtMs)) this.#complain('the connection was closed while it was idle')
      this.#wire = null
    }
    try {
      this.#wire = await Wire.open(address())
      this.#replies = 0
    } catch (error) {
      this.#complain(`the connection was refused: ${error}`)
    }
    return this.#wire
  }
}

function isTimeout(reply: Buffer): boolean {
  return reply.includes('timed out')
}
