/** Makes a case that fails smaller while it fails in the same way. */

import { type Fault, faultOf } from './fault.ts'
import type { InjectedFault } from './injected-fault.ts'
import type { Case, Kind } from './kind.ts'

/** Tries, of a few milliseconds each. */
const MOST_TRIES = 3_000

/** @returns what the case ends with, or null when all is well. */
export async function tryCase(kind: Kind, fuzzed: Case, injected: InjectedFault | null): Promise<Fault | null> {
  try {
    await kind.run(fuzzed, injected)
    return null
  } catch (error) {
    return faultOf(error)
  }
}

export interface Minimised {
  readonly fuzzed: Case
  readonly fault: Fault
}

/** Leaves out whole streams, then ever smaller pieces of them, as long as a fault of the same class stays. */
export async function minimise(
  kind: Kind,
  found: Case,
  fault: Fault,
  injected: InjectedFault | null,
): Promise<Minimised> {
  let smallest: Minimised = { fuzzed: found, fault }
  let tries = 0
  const accept = async (streams: readonly Buffer[]): Promise<boolean> => {
    if (++tries > MOST_TRIES) return false
    const fuzzed = { seed: found.seed, streams }
    const now = await tryCase(kind, fuzzed, injected)
    if (now?.class !== fault.class) return false
    smallest = { fuzzed, fault: now }
    return true
  }
  for (let i = 0; i < smallest.fuzzed.streams.length && smallest.fuzzed.streams.length > 1; ) {
    if (!(await accept(smallest.fuzzed.streams.filter((_, index) => index !== i)))) i++
  }
  for (let i = 0; i < smallest.fuzzed.streams.length; i++) {
    let piece = Math.max(1, smallest.fuzzed.streams[i]!.length >> 1)
    for (;;) {
      const shorter = await shorten(smallest.fuzzed.streams, i, piece, accept)
      if (piece === 1 && (!shorter || tries > MOST_TRIES)) break
      piece = Math.max(1, piece >> 1)
    }
  }
  return smallest
}

/** Leaves out every piece of stream `i` that is not needed. @returns whether there was one. */
async function shorten(
  streams: readonly Buffer[],
  i: number,
  piece: number,
  accept: (streams: readonly Buffer[]) => Promise<boolean>,
): Promise<boolean> {
  let stream = streams[i]!
  let isShorter = false
  for (let at = 0; at < stream.length; ) {
    const without = Buffer.concat([stream.subarray(0, at), stream.subarray(at + piece)])
    if (await accept(streams.map((each, index) => (index === i ? without : each)))) {
      stream = without
      isShorter = true
    } else {
      at += piece
    }
  }
  return isShorter
}
