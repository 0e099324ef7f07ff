/** Guesses which key the author of a file meant by one that does not exist. Primary thread. */

import { DIRECTIVES } from './directives.ts'

/**
 * Letter case and `-` for `_` cost nothing.
 * @returns the known key that an unknown one was most likely meant to be, or null when none is
 * near.
 */
export function nearestKey(key: string): string | null {
  const wanted = key.toLowerCase().replaceAll('-', '_')
  let nearest: string | null = null
  // At most a third of the letters may differ; otherwise the guess would mislead.
  let least = Math.floor(wanted.length / 3) + 1
  for (const { key: known } of DIRECTIVES) {
    const distance = editDistance(wanted, known, least)
    if (distance < least) {
      least = distance
      nearest = known
    }
  }
  return nearest
}

/**
 * @returns number of letters to insert, delete or replace to turn one word into the other; at most
 * `limit`.
 */
function editDistance(from: string, to: string, limit: number): number {
  if (Math.abs(from.length - to.length) >= limit) return limit
  let row = Array.from({ length: to.length + 1 }, (_, column) => column)
  for (let i = 1; i <= from.length; i++) {
    const next = [i]
    for (let j = 1; j <= to.length; j++) {
      const replaced = row[j - 1]! + (from[i - 1] === to[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return Math.min(row[to.length]!, limit)
}
