/**
 * Scripts in a pool of several servers. A script runs on one server, so the proxy reads in its text
 * which keys and channels it uses before it forwards it. Data plane. In a pool of one server
 * nothing is read.
 *
 *     EVAL, SCRIPT LOAD ─▶ text ─▶ seen before: its note    else: read once (`script-text.ts`), and noted
 *                                     │
 *                                     ├─ undeclared keys ─▶ counted, logged once, refused where the pool says so
 *                                     ├─ other channels  ─▶ counted, logged once
 *                                     └─ calls nothing   ─▶ may run anywhere, and so may EVALSHA of it, on every worker
 *
 * Notes are kept for up to `MAX_NOTED_BYTES` of text, and then all of them are forgotten. The marks
 * that workers share (`ScriptMarks`) stay.
 */

import { latin1 } from '../../../bytes/text.ts'
import { argEnd, argStart } from '../../../protocol/redis/arguments.ts'
import type { KeyPositions } from '../../../protocol/redis/key-positions.ts'
import { NO_SCRIPT, SCRIPT_WITHOUT_KEYS, UNDECLARED_KEYS } from '../../../protocol/redis/replies.ts'
import type { RespRequestParser } from '../../../protocol/redis/request-parser.ts'
import { Origin, readScript, type ScriptText } from '../../../protocol/redis/script-text.ts'
import { tagEnd, tagStart } from '../../../routing/hash-tag.ts'
import { ScriptMark, ScriptMarks } from '../../../shared/script-marks.ts'
import { PoolStat } from '../../../shared/stat-fields.ts'
import type { Pool } from '../../server/pool.ts'

/**
 * A longer text is not read: it is forwarded if it declares keys. The longest scripts of known
 * applications have about 20 KB (BullMQ).
 */
const MAX_SCRIPT_BYTES = 32_768
/** Most text of scripts that one worker keeps notes of, for one pool, bytes. */
const MAX_NOTED_BYTES = 2_097_152
const SHA_HEX_CHARS = 40

interface ScriptNote {
  readonly text: ScriptText
  /** SHA-1 of the text, 20 bytes. */
  readonly sha: Buffer
}

export class ScriptBook {
  private readonly pool: Pool
  private readonly notes: Map<string, ScriptNote> = new Map()
  private notedBytes = 0
  /** The memory of the generation that `currentMarks` lies in. */
  private shared: SharedArrayBuffer | null = null
  private currentMarks: ScriptMarks | null = null

  constructor(pool: Pool) {
    this.pool = pool
  }

  /** What all workers know of scripts. A reload begins with none. */
  get marks(): ScriptMarks {
    const { shared, layout, index } = this.pool
    if (this.shared !== shared || this.currentMarks === null) {
      this.shared = shared
      this.currentMarks = new ScriptMarks(layout.scriptMarks(shared, index))
    }
    return this.currentMarks
  }

  /**
   * Whether a request can be sent to one server. Not called for pools of one server.
   * @param positions of its keys. @returns the client's error, or null when it can.
   */
  refusal(parser: RespRequestParser, buf: Uint8Array, positions: KeyPositions): Uint8Array | null {
    const { command } = parser
    const from = argStart(parser, 1)
    const to = argEnd(parser, 1)
    switch (command.name) {
      case 'EVAL':
      case 'EVAL_RO':
        return this.textRefusal(this.look(buf, from, to), parser, buf, positions)
      case 'EVALSHA':
      case 'EVALSHA_RO':
        return this.shaRefusal(latin1(buf, from, to), parser, buf, positions)
      default:
        return positions.count > 0 || this.isHarmlessFunction(latin1(buf, from, to)) ? null : SCRIPT_WITHOUT_KEYS
    }
  }

  private textRefusal(
    note: ScriptNote | null,
    parser: RespRequestParser,
    buf: Uint8Array,
    positions: KeyPositions,
  ): Uint8Array | null {
    if (positions.count === 0) {
      if (note === null || note.text.callsServer) return SCRIPT_WITHOUT_KEYS
      this.marks.add(note.sha, ScriptMark.harmless | ScriptMark.ranWithoutKeys)
      return null
    }
    if (note === null) return null
    const { keys, channels } = note.text
    if (keys === Origin.declared && channels === Origin.declared) return null
    const least = this.haveTags(parser, buf, positions) ? Origin.foreign : Origin.derived
    if (channels >= least) this.noteChannels(note.sha)
    return keys >= least ? this.noteKeys(note.sha) : null
  }

  private shaRefusal(
    digest: string,
    parser: RespRequestParser,
    buf: Uint8Array,
    positions: KeyPositions,
  ): Uint8Array | null {
    const { marks } = this
    if (positions.count > 0) {
      if (!marks.anyDerived || digest.length !== SHA_HEX_CHARS) return null
      const sha = Buffer.from(digest, 'hex')
      const derived = (marks.bits(sha) & ScriptMark.derivedKeys) !== 0
      return derived && !this.haveTags(parser, buf, positions) ? this.noteKeys(sha) : null
    }
    return this.hasMark(digest, ScriptMark.harmless) ? null : NO_SCRIPT
  }

  /**
   * Whether a script calls nothing and was run without keys.
   * @param digest in hex, as the client wrote it.
   */
  ranWithoutKeys(digest: string): boolean {
    return this.hasMark(digest, ScriptMark.ranWithoutKeys)
  }

  private hasMark(digest: string, mark: number): boolean {
    return /^[\da-f]{40}$/i.test(digest) && (this.marks.bits(Buffer.from(digest, 'hex')) & mark) !== 0
  }

  /** SCRIPT LOAD. @returns the client's error, or null. */
  loading(buf: Uint8Array, from: number, to: number): Uint8Array | null {
    const note = this.look(buf, from, to)
    if (note === null) return null
    const { callsServer, keys, channels } = note.text
    if (!callsServer) this.marks.add(note.sha, ScriptMark.harmless)
    // Each EVALSHA is checked with the keys that it names.
    const least = this.pool.config.hashTag === null ? Origin.derived : Origin.foreign
    if (channels >= least) this.noteChannels(note.sha)
    if (keys >= least) return this.noteKeys(note.sha)
    if (keys === Origin.derived) this.marks.add(note.sha, ScriptMark.derivedKeys)
    return null
  }

  /** FUNCTION LOAD: functions of a library that calls nothing may run anywhere. */
  loadingLibrary(buf: Uint8Array, from: number, to: number): void {
    const note = this.look(buf, from, to)
    if (note === null) {
      this.marks.forgetFunctions()
      return
    }
    for (const name of note.text.functions) {
      const sha = this.functionKey(name)
      if (note.text.callsServer) this.marks.remove(sha, ScriptMark.harmless)
      else this.marks.add(sha, ScriptMark.harmless)
    }
  }

  /** FUNCTION RESTORE: the proxy cannot read its payload. */
  restoringFunctions(): void {
    this.marks.forgetFunctions()
  }

  private isHarmlessFunction(name: string): boolean {
    return (this.marks.bits(this.functionKey(name)) & ScriptMark.harmless) !== 0
  }

  /** Redis does not tell functions apart by the case of their letters. */
  private functionKey(name: string): Buffer {
    return sha1(`function ${this.marks.functionEpoch} ${name.toLowerCase()}`)
  }

  /** @returns what a text says; null when it is too long to be read. */
  private look(buf: Uint8Array, from: number, to: number): ScriptNote | null {
    if (to - from > MAX_SCRIPT_BYTES) return null
    const text = latin1(buf, from, to)
    let note = this.notes.get(text)
    if (note === undefined) {
      if (this.notedBytes + text.length > MAX_NOTED_BYTES) {
        this.notes.clear()
        this.notedBytes = 0
      }
      note = { text: readScript(text), sha: sha1(text) }
      this.notes.set(text, note)
      this.notedBytes += text.length
    }
    return note
  }

  /** Whether every declared key has a hash tag, which keys built from it have as well. */
  private haveTags(parser: RespRequestParser, buf: Uint8Array, positions: KeyPositions): boolean {
    const { hashTag } = this.pool.config
    if (hashTag === null) return false
    for (let i = 0; i < positions.count; i++) {
      const from = argStart(parser, positions.args[i])
      const to = argEnd(parser, positions.args[i])
      const tag = tagStart(buf, from, to, hashTag[0])
      if (tag < 0 || tagEnd(buf, tag, to, hashTag[1]) < 0) return false
    }
    return true
  }

  private noteKeys(sha: Uint8Array): Uint8Array | null {
    const { row, statBase, config } = this.pool
    if (config.undeclaredKeys === 'allow') return null
    row[statBase + PoolStat.undeclaredKeys]++
    this.logOnce(
      sha,
      ScriptMark.keysLogged,
      'uses keys that it does not declare: it finds only those on the server that runs it (undeclared_keys)',
    )
    return config.undeclaredKeys === 'refuse' ? UNDECLARED_KEYS : null
  }

  private noteChannels(sha: Uint8Array): void {
    this.pool.row[this.pool.statBase + PoolStat.scriptPublishes]++
    this.logOnce(
      sha,
      ScriptMark.channelsLogged,
      'publishes on the server that runs it: subscribers of a channel that belongs to another server get nothing',
    )
  }

  /**
   * Logs once in all workers. A script for which `ScriptMarks` has no room is counted and not
   * logged.
   */
  private logOnce(sha: Uint8Array, mark: number, what: string): void {
    const { marks, pool } = this
    const bits = marks.add(sha, 0)
    if (bits < 0 || (bits & mark) !== 0) return
    pool.limitedLog.warn('script', () => {
      // Marked only when the line is written: if the limit omits it, a later run logs it.
      marks.add(sha, mark)
      return `script ${Buffer.from(sha).toString('hex')} of pool '${pool.config.name}' ${what}`
    })
  }
}

/** @param text one char a byte. */
function sha1(text: string): Buffer {
  // Loaded with the first script: at the start it would delay every worker.
  const { createHash } = process.getBuiltinModule('node:crypto')
  return createHash('sha1').update(text, 'latin1').digest()
}
