/**
 * What the clients of a pool loaded: script texts by SHA1, function libraries by name. Data plane;
 * one instance a pool and worker, kept equal in all workers by messages through the primary
 * (`shared/messages.ts`). It also knows which servers have missed a load and must have it before
 * they are asked anything else (`script-loading.ts` sends it).
 *
 *     SCRIPT LOAD in worker 0 ─▶ s1 +, s2 lost ─▶ remember(owed to s2) ─▶ the other workers remember it too
 *     s2 returns, worker 1 connects first ─▶ SCRIPT LOAD ahead of all requests ─▶ paid ─▶ the other workers forget the debt
 *
 * Bounded by `REGISTRY_BYTES`: beyond it the oldest texts are forgotten, those that a server has
 * missed last. A text above `LONGEST_TEXT_BYTES` is never kept.
 */

import type { ServerConfig } from '../../../shared/config.ts'
import type { LoadedKind } from '../../../shared/messages.ts'

/** Texts of one pool, bytes. @testOnly */
export const REGISTRY_BYTES = 4 * 1_048_576
/** One text, bytes. @testOnly */
export const LONGEST_TEXT_BYTES = 512 * 1_024
/** Beside its text, an entry takes about this much, bytes. */
const ENTRY_BYTES = 256

/**
 * @returns a name for a server that does not depend on its index: a server with the same name after
 * a reload is the same server.
 */
export function identityOf(config: ServerConfig): string {
  return `${config.name} ${config.host} ${config.port} ${config.path}`
}

/** A text that was loaded. */
export interface Loaded {
  readonly kind: LoadedKind
  /** SHA1 in lower-case hex digits, or the library's name; one char a byte, as `text`. */
  readonly name: string
  readonly text: string
  /** Servers (`identityOf`) that have missed it. */
  readonly owedTo: Set<string>
}

export class ScriptRegistry {
  /** The oldest first. */
  private readonly scripts = new Map<string, Loaded>()
  private readonly functions = new Map<string, Loaded>()
  private bytes = 0
  /** Entries with a nonempty `owedTo`. */
  private readonly owed = new Set<Loaded>()

  /** The text of a script, or null when it is not known. @param sha hex digits in any case. */
  script(sha: string): string | null {
    return this.scripts.get(sha.toLowerCase())?.text ?? null
  }

  /** The text of a function library, or null when it is not known. */
  library(name: string): string | null {
    return this.functions.get(name)?.text ?? null
  }

  find(kind: LoadedKind, name: string): Loaded | null {
    return this.of(kind).get(name) ?? null
  }

  /** Whether a text of this size can be kept. */
  fits(bytes: number): boolean {
    return bytes <= LONGEST_TEXT_BYTES
  }

  /**
   * Notes a text that servers have. The newest text of a name counts.
   * @param owedTo servers that have missed it, beside those that had missed the same text before.
   * @returns false when nothing is new.
   */
  remember(kind: LoadedKind, name: string, text: string, owedTo: readonly string[]): boolean {
    const known = this.find(kind, name)
    if (known?.text === text) {
      const more = owedTo.filter(server => !known.owedTo.has(server))
      for (const server of more) known.owedTo.add(server)
      if (more.length > 0) this.owed.add(known)
      // Loaded again: it becomes the newest.
      this.of(kind).delete(name)
      this.of(kind).set(name, known)
      return more.length > 0
    }
    if (!this.fits(text.length)) return false
    this.forget(kind, name)
    const entry = { kind, name, text, owedTo: new Set(owedTo) }
    this.of(kind).set(name, entry)
    if (owedTo.length > 0) this.owed.add(entry)
    this.bytes += text.length + ENTRY_BYTES
    this.trim()
    return true
  }

  forget(kind: LoadedKind, name: string): void {
    const entry = this.find(kind, name)
    if (entry === null) return
    this.bytes -= entry.text.length + ENTRY_BYTES
    this.owed.delete(entry)
    this.of(kind).delete(name)
  }

  /** Forgets all of one kind: the servers were flushed. */
  clear(kind: LoadedKind): void {
    for (const name of [...this.of(kind).keys()]) this.forget(kind, name)
  }

  /** What a server has missed, the oldest first. */
  owedTo(server: string): Loaded[] {
    return this.owed.size === 0 ? [] : [...this.owed].filter(entry => entry.owedTo.has(server))
  }

  private all(): Loaded[] {
    return [...this.scripts.values(), ...this.functions.values()]
  }

  /** The server has loaded it. @returns false when it had not missed it. */
  paid(kind: LoadedKind, name: string, server: string): boolean {
    const entry = this.find(kind, name)
    if (entry === null || !entry.owedTo.delete(server)) return false
    if (entry.owedTo.size === 0) this.owed.delete(entry)
    return true
  }

  private of(kind: LoadedKind): Map<string, Loaded> {
    return kind === 'script' ? this.scripts : this.functions
  }

  /** Forgets the oldest entries that every server has, then the oldest ones of the rest. */
  private trim(): void {
    while (this.bytes > REGISTRY_BYTES) {
      const all = this.all()
      const oldest = all.find(entry => entry.owedTo.size === 0) ?? all[0]
      this.forget(oldest.kind, oldest.name)
    }
  }
}
