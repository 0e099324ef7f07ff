/**
 * Sends one random stream of commands to a reference and to a subject, pipelined and cut into TCP segments at random, and compares the
 * replies one by one.
 */

import type { Address } from '../support/processes/child.ts'
import type { Random } from '../support/random.ts'
import { printable } from '../support/wire/resp.ts'
import { type EndOf, Wire } from '../support/wire/wire.ts'
import { type Compare, sameReply } from './compare.ts'

const BATCH_TIMEOUT_MS = 20_000
const HISTORY_STEPS = 6

/** One request and how its reply is compared. */
export interface Step {
  readonly request: Buffer
  /** What the reference is sent in its place: the same request, or several whose replies are combined by `compare`. */
  readonly reference: readonly Buffer[]
  readonly compare: Compare
  /** The request has no reply (memcached's noreply). */
  readonly silent?: boolean
}

export interface Stream {
  readonly reference: Address
  readonly subject: Address
  readonly endOf: EndOf
  readonly random: Random
  /** Makes the next step. */
  readonly next: () => Step
  /** Sent first and last on both connections; the replies are compared too. */
  readonly prologue?: readonly Step[]
  readonly epilogue?: readonly Step[]
  /** Told every reply of the reference that was as expected. */
  readonly observe?: (step: Step, reply: Buffer) => void
  /** Number of steps. */
  readonly count: number
  /** For the report of a difference. */
  readonly label: string
}

/** A difference between reference and subject. The message has the seed, the command and both replies. */
export class DifferenceError extends Error {}

/** Runs one stream over one connection a side. @returns the number of replies compared. @throws DifferenceError at the first difference. */
export async function compareStream(stream: Stream): Promise<number> {
  const [reference, subject] = await Promise.all([Wire.open(stream.reference), Wire.open(stream.subject)])
  try {
    const history: Step[] = []
    let compared = await compareBatch(stream, stream.prologue ?? [], reference, subject, history)
    for (let sent = 0; sent < stream.count; ) {
      const size = Math.min(batchSize(stream.random), stream.count - sent)
      const batch = Array.from({ length: size }, stream.next)
      compared += await compareBatch(stream, batch, reference, subject, history)
      sent += size
    }
    return compared + (await compareBatch(stream, stream.epilogue ?? [], reference, subject, history))
  } finally {
    reference.destroy()
    subject.destroy()
  }
}

function batchSize(random: Random): number {
  const choice = random.below(10)
  if (choice < 4) return random.between(1, 5)
  return choice < 9 ? random.between(5, 40) : random.between(40, 200)
}

async function compareBatch(
  stream: Stream,
  batch: readonly Step[],
  reference: Wire,
  subject: Wire,
  history: Step[],
): Promise<number> {
  const answered = batch.filter(step => step.silent !== true)
  const expectedCount = answered.reduce((count, step) => count + step.reference.length, 0)
  const expected: Buffer[] = []
  const actual: Buffer[] = []
  const results = await Promise.allSettled([
    exchange(
      stream,
      reference,
      batch.flatMap(step => step.reference),
      expected,
      expectedCount,
    ),
    exchange(
      stream,
      subject,
      batch.map(step => step.request),
      actual,
      answered.length,
    ),
  ])
  let taken = 0
  for (const [index, step] of answered.entries()) {
    const wanted = expected.slice(taken, taken + step.reference.length)
    taken += step.reference.length
    const complete = wanted.length === step.reference.length && index < actual.length
    if (!complete || !sameReply(step.compare, wanted, actual[index]!)) {
      const troubles = results.flatMap(result => (result.status === 'rejected' ? [String(result.reason)] : []))
      throw difference(stream, [...history, ...answered.slice(0, index)], step, wanted, actual[index], troubles)
    }
    stream.observe?.(step, wanted[0]!)
  }
  for (const result of results) if (result.status === 'rejected') throw result.reason
  if (reference.received.length + subject.received.length > 0) {
    const rest = `reference ${printable(reference.received)}, subject ${printable(subject.received)}`
    throw new DifferenceError(`Bytes after the last reply (seed ${stream.random.seed}, ${stream.label}): ${rest}`)
  }
  history.splice(0, history.length, ...[...history, ...answered].slice(-200))
  return answered.length
}

async function exchange(
  stream: Stream,
  wire: Wire,
  requests: readonly Buffer[],
  into: Buffer[],
  count: number,
): Promise<void> {
  const bytes = Buffer.concat(requests)
  const cuts = stream.random.chance(0.5) ? [] : stream.random.cuts(bytes.length, stream.random.between(2, 12))
  await wire.sendCut(bytes, cuts)
  await wire.replies(count, stream.endOf, { timeoutMs: BATCH_TIMEOUT_MS, into })
}

function difference(
  stream: Stream,
  before: readonly Step[],
  step: Step,
  expected: readonly Buffer[],
  actual: Buffer | undefined,
  troubles: readonly string[],
): DifferenceError {
  const wanted = expected.map(reply => printable(reply)).join(' ') || 'no reply'
  const lines = [
    `Replies differ (seed ${stream.random.seed}, ${stream.label}, compared: ${step.compare})`,
    `  command:   ${printable(step.request)}`,
    `  reference: ${wanted}`,
    `  subject:   ${actual === undefined ? 'no reply' : printable(actual)}`,
    ...troubles.map(trouble => `  trouble:   ${trouble}`),
    '  commands before:',
    ...before.slice(-HISTORY_STEPS).map(earlier => `    ${printable(earlier.request, 200)}`),
  ]
  return new DifferenceError(lines.join('\n'))
}
