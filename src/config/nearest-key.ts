/** Which key the writer of a file most likely meant by one that does not exist. Primary thread. */

import { DIRECTIVES } from './directives.ts'

/**
 * Letter case and `-` for `_` cost nothing.
 * @returns the known key that an unknown one was most likely meant to be, or null when none is
 * near.
 */
export function nearestKey(key: string): string | null {
  const wanted = key.toLowerCase().replaceAll('-', '_')
  let nearest: string | null = null
  // A third of the letters may be wrong; beyond that a guess misleads.
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
 * @returns letters to insert, delete or replace to make one word the other; `limit` or more is
 * given as `limit`.
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
