/**
 * Makes a held reply that was never released show in the count of lent bytes: held replies share chunks, and a chunk counts until the last
 * reply in it has gone, but for the one that is being filled. So that one is filled up.
 */

import type { ReplyArena } from '../../src/worker/memory/reply-arena.ts'

const FILLER = Buffer.alloc(16_000)
/** As much as a chunk holds, and a little more. */
const FILLERS = 9

export function turnOverArena(arena: ReplyArena): void {
  const chunks = Array.from({ length: FILLERS }, () => arena.keep(FILLER, 0, FILLER.length))
  for (const chunk of chunks) arena.release(chunk)
}
