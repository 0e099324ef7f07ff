/**
 * Finds the keys of a request by its command's `KeySpec`, as Redis's own `COMMAND GETKEYS` does. Data plane; one instance a protocol, used
 * for one request and then for the next.
 */

import { readDecimal } from '../../bytes/ascii.ts'
import { isWord } from '../../bytes/text.ts'
import { type Command, KeyForm, type KeySpec } from './commands.ts'

const FIRST_KEYS = 64
/** Larger key counts are no argument list's. */
const COUNT_LIMIT = 10_000_000

export class KeyPositions {
  /** Keys found. */
  count = 0
  /** Argument index of each key. */
  args: Int32Array = new Int32Array(FIRST_KEYS)

  /**
   * Finds the keys. @param args offsets as the request parser gives them, from `start`.
   * @returns false when the arguments are not of the command's form: the server will refuse them, whichever it is. A key count of 0 is of
   * the form, and leaves no keys.
   */
  find(command: Command, buf: Uint8Array, start: number, args: Int32Array, argCount: number): boolean {
    this.count = 0
    const { keys } = command
    switch (keys.form) {
      case KeyForm.range:
        return this.range(keys, argCount)
      case KeyForm.numkeys:
        return this.counted(keys, buf, start, args, argCount)
      case KeyForm.streams:
        return this.streams(command, buf, start, args, argCount)
      case KeyForm.store:
        return this.stored(command, buf, start, args, argCount)
      default:
        return true
    }
  }

  private range(keys: KeySpec, argCount: number): boolean {
    const last = keys.last < 0 ? argCount + keys.last : keys.last
    if (last >= argCount) return false
    for (let arg = keys.first; arg <= last; arg += keys.step) this.add(arg)
    return this.count > 0
  }

  private counted(keys: KeySpec, buf: Uint8Array, start: number, args: Int32Array, argCount: number): boolean {
    const { first, numkeys, step } = keys
    if (numkeys >= argCount) return false
    const count = readDecimal(buf, start + args[numkeys * 2], start + args[numkeys * 2 + 1], COUNT_LIMIT)
    if (count < 0 || numkeys + count * step >= argCount) return false
    if (first > 0) this.add(first)
    for (let key = 0; key < count; key++) this.add(numkeys + 1 + key * step)
    return true
  }

  /** XREAD [COUNT n] [BLOCK ms] STREAMS key … id …, XREADGROUP GROUP group consumer […] [NOACK] STREAMS … */
  private streams(command: Command, buf: Uint8Array, start: number, args: Int32Array, argCount: number): boolean {
    let arg = command.name === 'XREADGROUP' ? 4 : 1
    while (arg < argCount && !wordAt(buf, start, args, arg, 'STREAMS')) {
      arg += wordAt(buf, start, args, arg, 'NOACK') ? 1 : 2
    }
    const rest = argCount - arg - 1
    if (rest <= 0 || rest % 2 !== 0) return false
    for (let key = 1; key <= rest / 2; key++) this.add(arg + key)
    return true
  }

  /** SORT key … STORE key, GEORADIUS key … STORE|STOREDIST key: Redis takes the last. */
  private stored(command: Command, buf: Uint8Array, start: number, args: Int32Array, argCount: number): boolean {
    if (argCount < 2) return false
    this.add(1)
    const sort = command.name === 'SORT'
    let stored = 0
    let arg = sort ? 2 : command.name === 'GEORADIUS' ? 6 : 5
    while (arg < argCount) {
      if (sort && wordAt(buf, start, args, arg, 'LIMIT')) arg += 3
      else if (sort && (wordAt(buf, start, args, arg, 'BY') || wordAt(buf, start, args, arg, 'GET'))) arg += 2
      else if (wordAt(buf, start, args, arg, 'STORE') || (!sort && wordAt(buf, start, args, arg, 'STOREDIST'))) {
        stored = arg + 1
        arg += 2
      } else arg++
    }
    // A STORE without its key is an error, of which the first key's server knows the words.
    if (stored > 0 && stored < argCount) this.add(stored)
    return true
  }

  private add(arg: number): void {
    if (this.count === this.args.length) {
      const bigger = new Int32Array(this.count * 2)
      bigger.set(this.args)
      this.args = bigger
    }
    this.args[this.count++] = arg
  }
}

/** Whether an argument is this word, ASCII letters in any case. @param word upper case. */
export function wordAt(buf: Uint8Array, start: number, args: Int32Array, arg: number, word: string): boolean {
  return isWord(buf, start + args[arg * 2], start + args[arg * 2 + 1], word)
}
