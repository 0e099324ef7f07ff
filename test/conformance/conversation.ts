/** Runs the lines of one case against one target and keeps the replies. */

import { encode } from '../support/wire/resp.ts'
import { type ReplyOptions, Wire } from '../support/wire/wire.ts'
import type { Case, Step } from './case-file.ts'
import type { Protocol, Target } from './target.ts'
import { fingerprint, isError, readValue, textOf, type Value, valueEnd } from './value.ts'

const REPLY_TIMEOUT_MS = 2_500
const LONGEST_SCAN = 10_000

/** What a line brought: its replies, and what kept the rest of them away. */
export interface Outcome {
  readonly values: readonly Value[]
  /** '' = nothing. */
  readonly trouble: string
}

/** One outcome a line; it ends early after the first line with trouble. */
export async function converse(target: Target, one: Case, protocol: Protocol): Promise<Outcome[]> {
  const conversation = new Conversation(target, protocol)
  try {
    const outcomes: Outcome[] = []
    for (const step of one.steps) {
      const outcome = await conversation.step(step)
      outcomes.push(outcome)
      if (outcome.trouble !== '') break
    }
    return outcomes
  } finally {
    conversation.close()
  }
}

class Conversation {
  readonly #target: Target
  readonly #protocol: Protocol
  readonly #wires = new Map<string, Wire>()
  readonly #names = new Map<string, string>()

  constructor(target: Target, protocol: Protocol) {
    this.#target = target
    this.#protocol = protocol
  }

  close(): void {
    for (const wire of this.#wires.values()) wire.destroy()
  }

  async step(step: Step): Promise<Outcome> {
    const values: Value[] = []
    let trouble = ''
    try {
      if (step.do === 'blocked') {
        // A subject that refused to block is judged by the lines that follow.
        const blocked = (await this.#target.untilBlocked(step.count)) || this.#target.proxy !== null
        return { values, trouble: blocked ? '' : 'no client blocks' }
      }
      const wire = await this.#wire(step.client)
      if (step.do === 'leave') {
        wire.destroy()
        this.#wires.delete(step.client)
        return { values, trouble }
      }
      if (step.scan) {
        values.push(await this.#scan(wire, this.#args(step)))
      } else {
        if (step.do === 'send') wire.send(step.raw ? Buffer.from(step.args[0]!, 'latin1') : encode(...this.#args(step)))
        await this.#read(wire, step.count, values)
        if (step.shuffled) values.sort((left, right) => (fingerprint(left, true) < fingerprint(right, true) ? -1 : 1))
        if (step.closes) await wire.untilClosed(REPLY_TIMEOUT_MS)
      }
    } catch (error) {
      trouble = (error as Error).message
    }
    if (step.as !== '' && values[0] !== undefined) this.#names.set(step.as, textOf(values[0]))
    return { values, trouble }
  }

  async #wire(name: string): Promise<Wire> {
    const open = this.#wires.get(name)
    if (open !== undefined) return open
    const wire = await Wire.open(this.#target.address)
    this.#wires.set(name, wire)
    if (this.#protocol === 3) {
      wire.send(encode('HELLO', '3'))
      await wire.replies(1, valueEnd, { timeoutMs: REPLY_TIMEOUT_MS })
    }
    return wire
  }

  #args(step: Step): string[] {
    return step.args.map(arg => arg.replace(/^\$(\w+)$/, (whole, name: string) => this.#names.get(name) ?? whole))
  }

  async #read(wire: Wire, count: number, values: Value[]): Promise<void> {
    const into: Buffer[] = []
    const options: ReplyOptions = { timeoutMs: REPLY_TIMEOUT_MS, into }
    try {
      await wire.replies(count, valueEnd, options)
    } finally {
      for (const reply of into) values.push(readValue(reply))
    }
  }

  /** Runs a SCAN, HSCAN … to its end. @param args with the cursor 0. @returns all its elements, or its error. */
  async #scan(wire: Wire, args: readonly string[]): Promise<Value> {
    const at = args.indexOf('0')
    const elements: Value[] = []
    let cursor = '0'
    for (let calls = 0; calls < LONGEST_SCAN; calls++) {
      wire.send(encode(...args.slice(0, at), cursor, ...args.slice(at + 1)))
      const found: Value[] = []
      await this.#read(wire, 1, found)
      if (isError(found[0]!)) return found[0]!
      const [next, page] = found[0]!.elements!
      elements.push(...page!.elements!)
      cursor = next!.text!
      if (cursor === '0') return { type: '*', text: null, elements }
    }
    throw new Error(`SCAN does not end after ${LONGEST_SCAN} calls`)
  }
}
