/** The arguments of a parsed request, in place in its buffer. Data plane; pure functions. */

import { isWord, latin1 } from '../../bytes/text.ts'

/**
 * Where a request's arguments lie, as `request-parser.ts` draws it. Argument 0 is the command's
 * name.
 */
export interface ParsedArguments {
  /** First byte of the request, index in its buffer. */
  readonly start: number
  /** Pairs of offsets from `start`. */
  readonly args: Int32Array
  readonly argCount: number
}

/** @returns the index in the request's buffer of the first byte of argument `i`. */
export function argStart(request: ParsedArguments, i: number): number {
  return request.start + request.args[i * 2]
}

/** @returns the index in the request's buffer behind the last byte of argument `i`. */
export function argEnd(request: ParsedArguments, i: number): number {
  return request.start + request.args[i * 2 + 1]
}

/** @returns the length of argument `i`, bytes. */
export function argBytes(request: ParsedArguments, i: number): number {
  return request.args[i * 2 + 1] - request.args[i * 2]
}

/** @returns argument `i`, one char a byte. */
export function argText(request: ParsedArguments, buf: Uint8Array, i: number): string {
  return latin1(buf, argStart(request, i), argEnd(request, i))
}

/** @returns all arguments, one char a byte. For rare requests: it copies them. */
export function argTexts(request: ParsedArguments, buf: Uint8Array): string[] {
  return Array.from({ length: request.argCount }, (_, i) => argText(request, buf, i))
}

/**
 * @returns true when argument `i` is this word, ASCII letters in any case.
 * @param word upper case.
 */
export function argIs(request: ParsedArguments, buf: Uint8Array, i: number, word: string): boolean {
  return isWord(buf, argStart(request, i), argEnd(request, i), word)
}
