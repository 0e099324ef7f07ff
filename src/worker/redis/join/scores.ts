/**
 * ZUNION, ZINTER, ZDIFF and ZINTERCARD over keys of several servers: the algebra, in Redis's order
 * of steps. Data plane.
 */

import { isArrays, isTexts, type ReplyValue } from '../../../protocol/redis/reply-value.ts'
import type { ReplyWriter } from '../../../protocol/redis/reply-writer.ts'
import { readScore, readWeight, ScorePrinter } from '../../../protocol/redis/scores.ts'
import type { Client } from '../../client/client.ts'
import type { SplitRequest } from '../../request/split-request.ts'
import { CollectingJoiner } from './collecting-joiner.ts'

type Aggregate = (target: number, value: number) => number

const AGGREGATES: Readonly<Record<string, Aggregate>> = {
  // inf + -inf is nothing that can be ordered: Redis takes 0.
  SUM: (target, value) => (Number.isNaN(target + value) ? 0 : target + value),
  MIN: (target, value) => (value < target ? value : target),
  MAX: (target, value) => (value > target ? value : target),
}

export interface ScoredOptions {
  readonly weights: readonly number[]
  readonly aggregate: Aggregate
  readonly withScores: boolean
}

/**
 * [WEIGHTS w …] [AGGREGATE SUM|MIN|MAX] [WITHSCORES]; ZDIFF has the last only.
 * @returns null for anything else.
 */
export function readScoredOptions(command: string, keys: number, options: readonly string[]): ScoredOptions | null {
  let weights = new Array<number>(keys).fill(1)
  let aggregate = AGGREGATES.SUM
  let withScores = false
  for (let i = 0; i < options.length; ) {
    const option = options[i].toUpperCase()
    if (option === 'WITHSCORES') {
      withScores = true
      i++
    } else if (option === 'WEIGHTS' && command !== 'ZDIFF' && i + keys < options.length) {
      weights = options.slice(i + 1, i + 1 + keys).map(readWeight)
      if (weights.some(Number.isNaN)) return null
      i += keys + 1
    } else if (option === 'AGGREGATE' && command !== 'ZDIFF' && i + 1 < options.length) {
      const named = AGGREGATES[options[i + 1].toUpperCase()]
      if (named === undefined) return null
      aggregate = named
      i += 2
    } else {
      return null
    }
  }
  return { weights, aggregate, withScores }
}

/** One key's members and scores, and its weight. */
interface Source {
  readonly scores: ReadonlyMap<string, number>
  readonly weight: number
}

/** Each fragment's reply is one key's members with scores, in the order of the keys. */
export class ScoresJoiner extends CollectingJoiner {
  private readonly command: string
  private readonly options: ScoredOptions
  private readonly limit: number
  private readonly printer: ScorePrinter

  /** @param limit of ZINTERCARD; 0 = none. @param version of a server, or ''. */
  constructor(command: string, options: ScoredOptions, limit: number, version: string) {
    super()
    this.command = command
    this.options = options
    this.limit = limit
    this.printer = new ScorePrinter(version)
  }

  protected override fits(reply: ReplyValue): boolean {
    return (isTexts(reply) && reply.length % 2 === 0) || isArrays(reply, 2)
  }

  protected override join(writer: ReplyWriter, _split: SplitRequest, client: Client): void {
    const sources = this.replies.map((reply, i) => ({
      scores: this.readScores(reply as ReplyValue[]),
      weight: this.options.weights[i],
    }))
    const result = this.combine(sources)
    if (this.command === 'ZINTERCARD') {
      writer.integer(this.limit > 0 ? Math.min(this.limit, result.size) : result.size)
      return
    }
    const { withScores } = this.options
    const members = [...result].sort(byScore)
    writer.array(members.length * (withScores && !client.resp3 ? 2 : 1))
    for (const [member, score] of members) {
      if (withScores && client.resp3) writer.array(2)
      writer.bulk(member)
      if (withScores) writer.double(this.printer.print(score))
    }
  }

  /** RESP2: members and scores in turn; RESP3: pairs. */
  private readScores(reply: readonly ReplyValue[]): ReadonlyMap<string, number> {
    const flat = Array.isArray(reply[0]) ? (reply as ReplyValue[][]).flat() : reply
    const scores = new Map<string, number>()
    for (let i = 0; i < flat.length; i += 2) {
      const text = String(flat[i + 1])
      const score = readScore(text)
      this.printer.learn(score, text)
      scores.set(flat[i] as string, score)
    }
    return scores
  }

  private combine(sources: readonly Source[]): ReadonlyMap<string, number> {
    if (this.command === 'ZDIFF') return difference(sources)
    // Redis takes the smallest first, and sums depend on the order; keys of the same size stay as
    // they were given.
    const ordered = [...sources].sort((left, right) => left.scores.size - right.scores.size)
    return this.command === 'ZUNION' ? union(ordered, this.options.aggregate) : inter(ordered, this.options.aggregate)
  }
}

function weigh(source: Source, score: number): number {
  return source.weight * score
}

function orZero(score: number): number {
  return Number.isNaN(score) ? 0 : score
}

function union(sources: readonly Source[], aggregate: Aggregate): Map<string, number> {
  const result = new Map<string, number>()
  for (const source of sources) {
    for (const [member, own] of source.scores) {
      const score = orZero(weigh(source, own))
      const known = result.get(member)
      result.set(member, known === undefined ? score : aggregate(known, score))
    }
  }
  return result
}

function inter(sources: readonly Source[], aggregate: Aggregate): Map<string, number> {
  const result = new Map<string, number>()
  const [smallest, ...others] = sources
  for (const [member, own] of smallest.scores) {
    if (!others.every(source => source.scores.has(member))) continue
    let score = orZero(weigh(smallest, own))
    for (const source of others) score = aggregate(score, weigh(source, source.scores.get(member)!))
    result.set(member, score)
  }
  return result
}

function difference(sources: readonly Source[]): Map<string, number> {
  const [first, ...others] = sources
  return new Map([...first.scores].filter(([member]) => !others.some(source => source.scores.has(member))))
}

/** By score, then by the member's bytes. */
function byScore(left: readonly [string, number], right: readonly [string, number]): number {
  if (left[1] !== right[1]) return left[1] < right[1] ? -1 : 1
  return left[0] < right[0] ? -1 : 1
}
