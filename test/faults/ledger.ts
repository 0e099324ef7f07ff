/**
 * What the servers may hold, as far as the clients were told: the model that every reply of the
 * fault suite is held against.
 *
 *     acknowledged write ─▶ it is the value                              a later read that shows an older one: the write was lost
 *     failed, timed out, closed ─▶ it may have happened, or happen yet  a read may show it, once
 *     server killed ─▶ its keys may be gone, until they are written again
 *
 * Each key is written by one client only, one request after the other. A write whose outcome is
 * unknown may still lie in a socket of a server that does not run, so it can overwrite writes that
 * were acknowledged after it: it stays possible until it has been seen.
 */

import { createHash } from 'node:crypto'

/** Any reply that the model does not admit. */
export interface Violation {
  readonly client: string
  readonly what: string
}

/** A value by the bytes that a server holds; null = no such key. */
export type Value = string | null

/** @returns '' when the model admits it, else what is wrong. */
type Verdict = string

/** Values above this are remembered by their digest: a long run writes gigabytes. */
const DIGEST_ABOVE_BYTES = 128
/** Past values that a key remembers at most, unless they may come back. */
const REMEMBERED = 1_000

export class ModelledKey {
  readonly name: string
  /** Name of the server that holds it; '' while unknown. */
  server = ''
  /** false: the key moves between servers while one is ejected, so older values may come back. It must still be its own. */
  exact = true
  #value: Value = null
  /** Writes that may have happened, by `identityOf`. */
  readonly #unknown = new Set<Value>()
  /** All values that it may ever have had, by `identityOf`, oldest first. While it is exact they only tell a lost write from a strange value. */
  readonly #past = new Set<Value>()
  /** The server lost its memory at this time, and no write since was acknowledged; Infinity = it did not. */
  #lostAtMs = Infinity

  constructor(name: string) {
    this.name = name
  }

  /** A write that began at `sentAtMs` was acknowledged. */
  acknowledge(value: Value, sentAtMs: number): void {
    this.#value = value
    this.#remember(identityOf(value))
    if (sentAtMs > this.#lostAtMs) this.#lostAtMs = Infinity
  }

  /** A write may have happened, or may happen later. */
  perhaps(value: Value): void {
    const identity = identityOf(value)
    this.#unknown.add(identity)
    this.#remember(identity)
  }

  /** The key's server lost everything. */
  serverLost(nowMs: number): void {
    this.#lostAtMs = nowMs
  }

  /** A read showed `value`. */
  see(value: Value): Verdict {
    if (value === this.#value) return ''
    const identity = identityOf(value)
    if (this.#unknown.has(identity)) {
      // It happened; a value is written once, so it cannot come back. A removal can.
      if (value !== null) this.#unknown.delete(identity)
      this.#value = value
      return ''
    }
    if (value === null && this.#lostAtMs !== Infinity) {
      this.#value = null
      return ''
    }
    const strange = value !== null && !this.#past.has(identity)
    if (strange) return `${this.name} has a value that was never written to it, or long ago: ${show(value)}`
    if (!this.exact) return ''
    return `${this.name} has ${show(value)}, though ${show(this.#value)} was acknowledged`
  }

  #remember(identity: Value): void {
    this.#past.add(identity)
    if (!this.exact || this.#past.size <= REMEMBERED) return
    const [oldest] = this.#past
    this.#past.delete(oldest!)
  }
}

/** A key that is only counted up: it shows writes that were lost, and writes that happened twice. */
export class ModelledCounter {
  readonly name: string
  server = ''
  exact = true
  /** What it is now lies in [least, most]. */
  #least = 0
  #most = 0
  #lostAtMs = -Infinity

  constructor(name: string) {
    this.name = name
  }

  /** An increment that began at `sentAtMs` was answered with `value`. */
  acknowledge(value: number, sentAtMs: number): Verdict {
    const least = this.#least + 1
    const most = this.#most + 1
    // One that was executed before the server lost its memory says nothing about what it has now.
    this.#least = sentAtMs > this.#lostAtMs ? value : 0
    this.#most = most
    if (!Number.isInteger(value) || value < 1) return `${this.name} was counted to ${value}`
    if (value > most) return `${this.name} is ${value}, though only ${most} increments were sent: one happened twice`
    if (this.exact && value < least) return `${this.name} is ${value}, though ${least} increments were acknowledged`
    return ''
  }

  perhaps(): void {
    this.#most++
  }

  serverLost(nowMs: number): void {
    this.#least = 0
    this.#lostAtMs = nowMs
  }
}

export type Modelled = ModelledKey | ModelledCounter

/** Time for which requests to a server may fail, in `performance.now()`. */
interface Trouble {
  readonly server: string
  /** Infinity while it lasts. */
  untilMs: number
}

/**
 * How long after a fault's end requests may still fail: requests in flight get their errors,
 * connections are opened again.
 */
const AFTERMATH_MS = 1_500

export class Ledger {
  readonly violations: Violation[] = []
  /** Replies that were checked, errors among them. */
  checked = 0
  errors = 0
  /** Connections that ended without the client's doing. */
  closes = 0
  /** A connection may be lost before its first reply. */
  freshMayClose = false
  readonly #keys: Modelled[] = []
  readonly #troubles: Trouble[] = []
  readonly #closing: Trouble[] = []
  readonly #stalls: { fromMs: number; untilMs: number }[] = []

  key(name: string): ModelledKey {
    const key = new ModelledKey(name)
    this.#keys.push(key)
    return key
  }

  counter(name: string): ModelledCounter {
    const counter = new ModelledCounter(name)
    this.#keys.push(counter)
    return counter
  }

  get keys(): readonly Modelled[] {
    return this.#keys
  }

  violation(client: string, what: string): void {
    this.violations.push({ client, what })
  }

  /** From now on requests for the server's keys may fail, until a little after the returned function is called. */
  trouble(server: string, aftermathMs = AFTERMATH_MS): () => void {
    return begin(this.#troubles, server, aftermathMs)
  }

  /** From now on clients may lose their connection, until a little after the returned function is called. */
  closing(aftermathMs = AFTERMATH_MS): () => void {
    return begin(this.#closing, '', aftermathMs)
  }

  /** This machine stood still: a timeout that falls into it says nothing about the proxy. */
  stall(fromMs: number, untilMs: number): void {
    this.#stalls.push({ fromMs, untilMs })
  }

  /** The server has lost its memory: what it held may be gone. */
  serverLost(server: string): void {
    const nowMs = performance.now()
    for (const key of this.#keys) if (key.server === server) key.serverLost(nowMs)
  }

  /** The keys of the server may move to others and come back as they were. */
  serverMoves(server: string): void {
    for (const key of this.#keys) if (key.server === server) key.exact = false
  }

  /** Whether a request of `keys` that began at `sentAtMs` and ended now may have failed. */
  mayFail(keys: readonly Modelled[], sentAtMs: number): boolean {
    return keys.some(key => this.#troubles.some(each => each.server === key.server && sentAtMs <= each.untilMs))
  }

  /** Whether a client whose last request began at `sentAtMs` may lose its connection now. */
  mayClose(sentAtMs: number): boolean {
    return this.#closing.some(each => sentAtMs <= each.untilMs)
  }

  /** Whether this machine stood still at some time since `sentAtMs`. */
  stalledSince(sentAtMs: number): boolean {
    return this.#stalls.some(each => sentAtMs <= each.untilMs)
  }
}

function begin(troubles: Trouble[], server: string, aftermathMs: number): () => void {
  const trouble: Trouble = { server, untilMs: Infinity }
  troubles.push(trouble)
  return () => {
    trouble.untilMs = performance.now() + aftermathMs
  }
}

/** What stands for the value in a key's memory: no two values have the same. */
function identityOf(value: Value): Value {
  if (value === null || value.length <= DIGEST_ABOVE_BYTES) return value
  return `${value.length} bytes, sha256 ${createHash('sha256').update(value, 'latin1').digest('hex')}`
}

function show(value: Value): string {
  if (value === null) return 'nothing'
  return value.length > 80 ? `${JSON.stringify(value.slice(0, 80))}… (${value.length} bytes)` : JSON.stringify(value)
}

/** A value that tells its key, its writer and its number in every part of it, so that pieces of two values never look like one. */
export function taggedValue(tag: string, bytes: number): string {
  const unit = `<${tag}>`
  return unit.repeat(Math.ceil(Math.max(bytes, unit.length) / unit.length))
}
