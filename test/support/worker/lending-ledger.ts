/**
 * Keeps account of what the worker's pools lend: every message, tail and slab that is taken must be given back once, and held replies must be
 * released. Test files wrap the modules that lend, by lines that vitest hoists:
 *
 *     vi.mock('../../../src/worker/request/message.ts', async real => (await import('./lending-ledger.ts')).countMessages(await real()))
 *     vi.mock('../../../src/worker/memory/slab.ts', async real => (await import('./lending-ledger.ts')).countSlabs(await real()))
 *     vi.mock('../../../src/worker/memory/reply-arena.ts', async real => (await import('./lending-ledger.ts')).countHolds(await real()))
 *     vi.mock('../../../src/worker/memory/tail.ts', async real => (await import('./lending-ledger.ts')).countTails(await real()))
 */

import { lentBytes } from '../../../src/worker/memory/lent-memory.ts'
import type { HoldChunk } from '../../../src/worker/memory/reply-arena.ts'
import type { Tail } from '../../../src/worker/memory/tail.ts'
import type { Message } from '../../../src/worker/request/message.ts'

type MessageModule = typeof import('../../../src/worker/request/message.ts')
type SlabModule = typeof import('../../../src/worker/memory/slab.ts')
type HoldModule = typeof import('../../../src/worker/memory/reply-arena.ts')
type TailModule = typeof import('../../../src/worker/memory/tail.ts')

const messages = new Set<Message>()
const slabs = new Set<Buffer>()
const tails = new Set<Tail>()
const holds = new Map<HoldChunk, number>()
/** What went wrong, in words; such a thing must fail the test even where the worker lives on. */
const faults: string[] = []
let bytesAtRest = 0

/** What is lent at the moment, and what went wrong; all empty when the worker is at rest. */
export interface Balance {
  readonly messages: number
  readonly slabs: number
  readonly tails: number
  readonly heldReplies: number
  /** As the worker itself counts. */
  readonly bytes: number
  readonly faults: readonly string[]
}

export const AT_REST: Balance = { messages: 0, slabs: 0, tails: 0, heldReplies: 0, bytes: 0, faults: [] }

export function balance(): Balance {
  let heldReplies = 0
  for (const refs of holds.values()) heldReplies += refs
  const bytes = lentBytes() - bytesAtRest
  return { messages: messages.size, slabs: slabs.size, tails: tails.size, heldReplies, bytes, faults: [...faults] }
}

function fault(what: string): void {
  faults.push(`${what}${new Error().stack?.split('\n').slice(3, 6).join(' <- ') ?? ''}`)
}

export function countMessages(real: MessageModule): MessageModule {
  return {
    ...real,
    takeMessage(client, kind) {
      const message = real.takeMessage(client, kind)
      if (messages.has(message)) fault('a message was lent twice')
      if (!isClean(message)) fault('a message in the pool was not clean')
      messages.add(message)
      return message
    },
    giveMessage(message) {
      if (!messages.delete(message)) fault('a message was given back twice')
      if (message.queued) fault('a message was given back while a server connection had it')
      if (message.serverNext !== null) fault('a message was given back from the middle of a queue')
      real.giveMessage(message)
    },
  }
}

function isClean(message: Message): boolean {
  const { next, serverNext, reply, hold, group, done, queued, expired, deadlineMs, tag } = message
  const linked = next !== null || serverNext !== null || reply !== null || hold !== null || group !== null
  return !linked && !done && !queued && !expired && deadlineMs === 0 && tag === 0
}

export function countSlabs(real: SlabModule): SlabModule {
  return {
    ...real,
    takeSlab(large) {
      const slab = real.takeSlab(large)
      if (slabs.has(slab)) fault('a slab was lent twice')
      slabs.add(slab)
      return slab
    },
    giveSlab(slab) {
      if (!slabs.delete(slab)) fault('a slab was given back twice')
      // Who still reads it finds this, not the old bytes.
      slab.fill(0xee)
      real.giveSlab(slab)
    },
  }
}

export function countHolds(real: HoldModule): HoldModule {
  const taken = (chunk: HoldChunk): HoldChunk => {
    holds.set(chunk, (holds.get(chunk) ?? 0) + 1)
    return chunk
  }
  return {
    ...real,
    holdBytes: (buf, start, end) => taken(real.holdBytes(buf, start, end)),
    holdOwned: (buf, end) => taken(real.holdOwned(buf, end)),
    releaseHold(chunk) {
      const refs = holds.get(chunk) ?? 0
      if (refs === 0) fault('a held reply was released twice')
      if (refs > 1) holds.set(chunk, refs - 1)
      else holds.delete(chunk)
      // A chunk of one reply went out with its socket.
      if (refs === 1 && !chunk.single) chunk.buf.fill(0xee, 0, chunk.used)
      real.releaseHold(chunk)
    },
  }
}

export function countTails(real: TailModule): TailModule {
  const { Tail: Real } = real
  const realTake = Real.take.bind(Real)
  const realGive = Real.prototype.give
  Real.take = () => {
    const tail = realTake()
    if (tails.has(tail)) fault('a tail was lent twice')
    if (tail.length !== 0) fault('a tail in the pool was not empty')
    tails.add(tail)
    return tail
  }
  Real.prototype.give = function give(this: Tail): void {
    if (!tails.delete(this)) fault('a tail was given back twice')
    this.buf.fill(0xee)
    realGive.call(this)
  }
  return real
}

/** Forgets what a failed test left behind. */
export function resetLedger(): void {
  messages.clear()
  slabs.clear()
  tails.clear()
  holds.clear()
  faults.length = 0
  bytesAtRest = lentBytes()
}
