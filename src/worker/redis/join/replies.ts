/**
 * What joiners ask of a server's reply, and what becomes of a reply that does not fit. Data plane.
 */

import { encodeText, equalsText, MINUS } from '../../../bytes/ascii.ts'
import { Failure } from '../../request/failure.ts'
import { FanOut } from '../../request/fan-out.ts'
import type { SplitRequest } from '../../request/split-request.ts'

/**
 * Refuses a reply of a wrong type: the client gets a server's error unchanged; anything else counts
 * as a failure of the server.
 * @returns what `Joiner.accept` returns then.
 */
export function refuse(split: SplitRequest, buf: Uint8Array, start: number): boolean {
  if (buf[start] === MINUS) return false
  split.fail(Failure.invalid)
  return true
}

/**
 * The reply does not answer the request: the fragment fails, as with a broken server.
 * @returns what `Joiner.accept` returns then.
 */
export function refuseReply(split: SplitRequest): true {
  split.fail(Failure.invalid)
  return true
}

/**
 * A server has answered a request to all servers: the others have a limited time from now on
 * (`fan-out.ts`).
 */
export function noteAnswer(split: SplitRequest): void {
  if (split instanceof FanOut) split.answered()
}

const CANNOT_SERVE = ['-LOADING ', '-BUSY ', '-MASTERDOWN '].map(encodeText)

/**
 * Whether an error reply says that the server cannot serve now: it has not looked at the request.
 */
export function cannotServe(buf: Uint8Array, start: number): boolean {
  return CANNOT_SERVE.some(word => equalsText(buf, start, start + word.length, word))
}
