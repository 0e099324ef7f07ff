/**
 * What all workers know about a pool's scripts, by the SHA-1 of their text: for instance whether
 * one calls no command, and whether the log has named it. In shared memory; any thread may write.
 *
 *     entry    state │ SHA-1, 5 words │ bits │ spare    free ─▶ writing ─▶ ready, and it stays ready
 *
 * Entries are found by open addressing. Two threads that add one script at the same time may make
 * two entries. Every thread finds the same one first, so the only effect is a second line in the
 * log. A full table takes no more scripts: they stay unknown.
 * @testOnly
 */
export const SCRIPT_MARKS = 256
const ENTRY_INTS = 8
export const SCRIPT_MARKS_INTS: number = SCRIPT_MARKS * ENTRY_INTS
/** Limit on the entries that are searched for one script. */
const MAX_PROBES = 32

const State = { free: 0, writing: 1, ready: 2 } as const
const FIRST_WORD = 1
const WORDS = 5
const BITS = 6
/**
 * The spare words of the first two entries: whether any script has `derivedKeys`, and how often all
 * functions were replaced at once.
 */
const ANY_DERIVED = 7
const FUNCTION_EPOCH: number = ENTRY_INTS + 7

/** Bits of a script. */
export const ScriptMark = {
  /** Its text calls no command. */
  harmless: 1,
  /** It builds keys from declared ones: correct only where a hash tag keeps them on one server. */
  derivedKeys: 2,
  /** The log has a line about keys that it does not declare. */
  keysLogged: 4,
  /** The log has a line about channels of other servers that it publishes to. */
  channelsLogged: 8,
  /** It calls no command and was run without keys: only the server for such runs has it. */
  ranWithoutKeys: 16,
} as const

export class ScriptMarks {
  private readonly ints: Int32Array

  /** @param ints `SCRIPT_MARKS_INTS` of shared memory, zero at first. */
  constructor(ints: Int32Array) {
    this.ints = ints
  }

  /** @param sha 20 bytes. @returns the script's bits; 0 when it is not known. */
  bits(sha: Uint8Array): number {
    const at = this.find(sha, false)
    return at < 0 ? 0 : Atomics.load(this.ints, at + BITS)
  }

  /** Adds bits. @returns those that it had before; -1 when there is no room. */
  add(sha: Uint8Array, bits: number): number {
    if ((bits & ScriptMark.derivedKeys) !== 0) Atomics.store(this.ints, ANY_DERIVED, 1)
    const at = this.find(sha, true)
    return at < 0 ? -1 : Atomics.or(this.ints, at + BITS, bits)
  }

  /** Removes bits. */
  remove(sha: Uint8Array, bits: number): void {
    const at = this.find(sha, false)
    if (at >= 0) Atomics.and(this.ints, at + BITS, ~bits)
  }

  /** Whether some script has `derivedKeys`. */
  get anyDerived(): boolean {
    return Atomics.load(this.ints, ANY_DERIVED) !== 0
  }

  /** Number under which names of functions are remembered; a new number forgets them all. */
  get functionEpoch(): number {
    return Atomics.load(this.ints, FUNCTION_EPOCH)
  }

  forgetFunctions(): void {
    Atomics.add(this.ints, FUNCTION_EPOCH, 1)
  }

  /** @returns first int of the script's entry, or -1. */
  private find(sha: Uint8Array, adds: boolean): number {
    const { ints } = this
    let entry = (sha[0] | (sha[1] << 8)) % SCRIPT_MARKS
    for (let probe = 0; probe < MAX_PROBES; probe++) {
      const at = entry * ENTRY_INTS
      if (Atomics.load(ints, at) === State.free) {
        if (!adds) return -1
        if (Atomics.compareExchange(ints, at, State.free, State.writing) === State.free) {
          for (let i = 0; i < WORDS; i++) ints[at + FIRST_WORD + i] = word(sha, i)
          Atomics.store(ints, at, State.ready)
          return at
        }
      }
      if (Atomics.load(ints, at) === State.ready && this.isAt(at, sha)) return at
      entry = (entry + 1) % SCRIPT_MARKS
    }
    return -1
  }

  private isAt(at: number, sha: Uint8Array): boolean {
    for (let i = 0; i < WORDS; i++) if (this.ints[at + FIRST_WORD + i] !== word(sha, i)) return false
    return true
  }
}

function word(sha: Uint8Array, i: number): number {
  return sha[i * 4] | (sha[i * 4 + 1] << 8) | (sha[i * 4 + 2] << 16) | (sha[i * 4 + 3] << 24)
}
