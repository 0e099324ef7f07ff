/**
 * Watches what a worker's pools lend: what is released is overwritten, so that a later reader finds
 * no old bytes, a record must be clean when it is acquired, and everything must be back when the
 * worker is at rest. A double release fails in the pools themselves.
 */

import type { WorkerMemory } from '../../../src/worker/memory/worker-memory.ts'
import type { Message, MessagePool } from '../../../src/worker/request/message.ts'

const POISON = 0xee

/** What is lent at the moment, and what went wrong. */
export interface Balance {
  readonly messages: number
  readonly slabs: number
  readonly tails: number
  readonly keptReplies: number
  /** As the worker itself counts, above what a new worker has. */
  readonly bytes: number
  readonly faults: readonly string[]
}

export const AT_REST: Balance = { messages: 0, slabs: 0, tails: 0, keptReplies: 0, bytes: 0, faults: [] }

export class WatchedMemory {
  readonly #memory: WorkerMemory
  /** Such a thing must fail the test even where the worker lives on. */
  readonly #faults: string[] = []
  readonly #bytesAtRest: number
  #messages: MessagePool | null = null

  /** @param memory of a new worker. */
  constructor(memory: WorkerMemory) {
    this.#memory = memory
    this.#bytesAtRest = memory.lent.totalBytes
    this.#poisonSlabs()
    this.#poisonReplies()
    this.#poisonTails()
  }

  balance(): Balance {
    const { lent, slabs, tails, arena } = this.#memory
    return {
      messages: this.#messages?.outstanding ?? 0,
      slabs: slabs.outstanding,
      tails: tails.outstanding,
      keptReplies: arena.outstanding,
      bytes: lent.totalBytes - this.#bytesAtRest,
      faults: [...this.#faults],
    }
  }

  /** Looks at the records of requests as well. */
  watchMessages(messages: MessagePool): void {
    this.#messages = messages
    const acquire = messages.acquire.bind(messages)
    const release = messages.release.bind(messages)
    messages.acquire = (client, kind) => {
      const message = acquire(client, kind)
      if (!isClean(message)) this.#fault('a message in the pool was not clean')
      return message
    }
    messages.release = message => {
      if (message.queued) this.#fault('a message was released while a server connection had it')
      if (message.serverNext !== null) this.#fault('a message was released from the middle of a queue')
      release(message)
    }
  }

  #poisonSlabs(): void {
    const { slabs } = this.#memory
    const release = slabs.release.bind(slabs)
    slabs.release = slab => {
      release(slab)
      slab.fill(POISON)
    }
  }

  #poisonReplies(): void {
    const { arena } = this.#memory
    const release = arena.release.bind(arena)
    arena.release = chunk => {
      // A chunk of one reply went out with its socket.
      if (chunk.references === 1 && !chunk.single) chunk.buf.fill(POISON, 0, chunk.used)
      release(chunk)
    }
  }

  #poisonTails(): void {
    const { tails } = this.#memory
    const acquire = tails.acquire.bind(tails)
    const takeBack = tails.takeBack.bind(tails)
    tails.acquire = () => {
      const tail = acquire()
      if (tail.length !== 0) this.#fault('a tail in the pool was not empty')
      return tail
    }
    tails.takeBack = tail => {
      tail.buf.fill(POISON)
      takeBack(tail)
    }
  }

  #fault(what: string): void {
    this.#faults.push(`${what}${new Error().stack?.split('\n').slice(3, 6).join(' <- ') ?? ''}`)
  }
}

function isClean(message: Message): boolean {
  const { next, serverNext, reply, chunk, split, done, queued, expired, deadlineMs, tag } = message
  const linked = next !== null || serverNext !== null || reply !== null || chunk !== null || split !== null
  return !linked && !done && !queued && !expired && deadlineMs === 0 && tag === 0
}
