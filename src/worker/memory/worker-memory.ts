/** The memory that one worker lends to its connections, and the count of it. Data plane. */

import { LentMemory } from './lent-memory.ts'
import { ReplyArena } from './reply-arena.ts'
import { SlabPool } from './slab.ts'
import { TailPool } from './tail.ts'

export class WorkerMemory {
  readonly lent: LentMemory = new LentMemory()
  readonly slabs: SlabPool = new SlabPool(this.lent)
  readonly arena: ReplyArena = new ReplyArena(this.lent)
  readonly tails: TailPool = new TailPool(this.lent)

  /** After a burst: leaves to the garbage collector what is kept for reuse. */
  trim(): void {
    this.slabs.trim()
    this.arena.trim()
    this.tails.trim()
  }
}
