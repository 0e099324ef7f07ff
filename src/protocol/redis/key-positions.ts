/**
 * Finds the keys of a request by its command's `KeySpec`, as Redis's own `COMMAND GETKEYS` does.
 * Data plane; one instance a protocol, used for one request and then for the next.
 */

import { readDecimal } from '../../bytes/ascii.ts'
import { argEnd, argIs, argStart, type ParsedArguments } from './arguments.ts'
import { type Command, KeyForm, type KeySpec } from './commands.ts'

interface ParsedRequest extends ParsedArguments {
  readonly command: Command
}

/** Keys that there is room for at first. */
const FIRST_KEYS = 64
/** Above this a number is no count of keys: no request has as many arguments. */
const COUNT_LIMIT = 10_000_000

export class KeyPositions {
  /** Keys found. */
  count = 0
  /** Argument index of each key. */
  args: Int32Array = new Int32Array(FIRST_KEYS)

  /**
   * Finds the keys of a request that lies in `buf`.
   * @returns false when the arguments are not of the command's form: the server will refuse them,
   * whichever it is. A key count of 0 is of the form, and leaves no keys.
   */
  find(request: ParsedRequest, buf: Uint8Array): boolean {
    this.count = 0
    const { keys } = request.command
    switch (keys.form) {
      case KeyForm.range:
        return this.range(keys, request.argCount)
      case KeyForm.numkeys:
        return this.counted(request, buf)
      case KeyForm.streams:
        return this.streams(request, buf)
      case KeyForm.store:
        return this.stored(request, buf)
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

  private counted(request: ParsedRequest, buf: Uint8Array): boolean {
    const { argCount, command } = request
    const { first, numkeys, step } = command.keys
    if (numkeys >= argCount) return false
    const count = readDecimal(buf, argStart(request, numkeys), argEnd(request, numkeys), COUNT_LIMIT)
    if (count < 0 || numkeys + count * step >= argCount) return false
    if (first > 0) this.add(first)
    for (let key = 0; key < count; key++) this.add(numkeys + 1 + key * step)
    return true
  }

  /**
   * XREAD [COUNT n] [BLOCK ms] STREAMS key … id …, XREADGROUP GROUP group consumer […] [NOACK]
   * STREAMS …
   */
  private streams(request: ParsedRequest, buf: Uint8Array): boolean {
    const { argCount, command } = request
    let arg = command.name === 'XREADGROUP' ? 4 : 1
    while (arg < argCount && !argIs(request, buf, arg, 'STREAMS')) {
      arg += argIs(request, buf, arg, 'NOACK') ? 1 : 2
    }
    const rest = argCount - arg - 1
    if (rest <= 0 || rest % 2 !== 0) return false
    for (let key = 1; key <= rest / 2; key++) this.add(arg + key)
    return true
  }

  /** SORT key … STORE key, GEORADIUS key … STORE|STOREDIST key: Redis takes the last. */
  private stored(request: ParsedRequest, buf: Uint8Array): boolean {
    const { argCount, command } = request
    if (argCount < 2) return false
    this.add(1)
    const sort = command.name === 'SORT'
    let stored = 0
    let arg = sort ? 2 : command.name === 'GEORADIUS' ? 6 : 5
    while (arg < argCount) {
      if (sort && argIs(request, buf, arg, 'LIMIT')) arg += 3
      else if (sort && (argIs(request, buf, arg, 'BY') || argIs(request, buf, arg, 'GET'))) arg += 2
      else if (argIs(request, buf, arg, 'STORE') || (!sort && argIs(request, buf, arg, 'STOREDIST'))) {
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
