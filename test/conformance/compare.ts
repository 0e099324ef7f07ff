/** How the reply of a subject is held against that of a server asked directly, where a case may say that they differ rightly. */

import { fingerprint, isError, textOf, type Value } from './value.ts'

/**
 * `exact`: the same bytes. `error`: the same error (a case says where it expects one). `words`: an error too, in words of its own:
 * nutcracker's, or those of one version where versions differ.
 * `mixed`: the same bytes, of an error or not, in lines with several replies.
 * `unordered`: the same elements at every depth, in any
 * order. `pairs`: a flat list of fields and values (or a map), in any order. `shape`: the same types at every depth and the same number of
 * elements. `type`: the same type. `near`: integers `argument` apart at most. `any`: anything but an error. `match`: the text of both
 * matches the pattern `argument`. `or-error`: the same bytes, or an error of the pool's own, where newer servers have an answer and 7.0 has none.
 * `nothing`: the reply is not looked at.
 */
export type CompareName =
  | 'exact'
  | 'error'
  | 'words'
  | 'mixed'
  | 'unordered'
  | 'pairs'
  | 'shape'
  | 'type'
  | 'near'
  | 'any'
  | 'match'
  | 'or-error'
  | 'nothing'

export interface Comparison {
  readonly name: CompareName
  readonly argument: string
}

export const EXACT: Comparison = { name: 'exact', argument: '' }

/** @returns whether `subject` is right where a server answers `direct`. */
export function sameValue(how: Comparison, direct: Value, subject: Value): boolean {
  if (how.name === 'nothing') return true
  if (fingerprint(direct, true) === fingerprint(subject, true)) return true
  if (how.name === 'or-error') return isError(subject)
  if (how.name === 'words') return isError(direct) && isError(subject)
  if (isError(direct) || isError(subject)) return false
  switch (how.name) {
    case 'exact':
    case 'error':
    case 'mixed':
      return false
    case 'unordered':
      return fingerprint(direct, false) === fingerprint(subject, false)
    case 'pairs':
      return direct.type === subject.type && pairs(direct) === pairs(subject)
    case 'shape':
      return shape(direct) === shape(subject)
    case 'type':
      return kind(direct) === kind(subject)
    case 'near':
      return isNear(direct, subject, Number(how.argument))
    case 'any':
      return true
    case 'match':
      return kind(direct) === kind(subject) && fits(how.argument, subject)
  }
}

/** What a case promises of the direct reply; a promise that does not hold is a mistake in the case. */
export function holdsDirectly(how: Comparison, direct: Value): boolean {
  if (how.name === 'nothing' || how.name === 'mixed' || how.name === 'or-error') return true
  if ((how.name === 'error' || how.name === 'words') !== isError(direct)) return false
  return how.name !== 'match' || fits(how.argument, direct)
}

function fits(pattern: string, value: Value): boolean {
  return new RegExp(pattern, 's').test(textOf(value))
}

function kind(value: Value): string {
  return value.text === null && value.elements === null ? `${value.type}nil` : value.type
}

function shape(value: Value): string {
  if (value.elements === null) return kind(value)
  return `${value.type}[${value.elements.map(shape).join(' ')}]`
}

function pairs(value: Value): string {
  const elements = value.elements ?? []
  const groups: string[] = []
  for (let at = 0; at < elements.length; at += 2) {
    groups.push(
      elements
        .slice(at, at + 2)
        .map(element => fingerprint(element, true))
        .join('='),
    )
  }
  return groups.sort().join(' ')
}

function isNear(direct: Value, subject: Value, tolerance: number): boolean {
  return direct.type === subject.type && Math.abs(Number(textOf(direct)) - Number(textOf(subject))) <= tolerance
}
