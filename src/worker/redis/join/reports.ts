/**
 * What servers tell of themselves, put together: CONFIG GET, SLOWLOG GET, LATENCY. Data plane, for
 * rare requests.
 */

import { argTexts } from '../../../protocol/redis/arguments.ts'
import { isArrays, isTexts, type ReplyValue } from '../../../protocol/redis/reply-value.ts'
import type { ReplyWriter } from '../../../protocol/redis/reply-writer.ts'
import type { RespRequestParser } from '../../../protocol/redis/request-parser.ts'
import type { Client } from '../../client/client.ts'
import type { SplitRequest } from '../../request/split-request.ts'
import { CollectingJoiner } from './collecting-joiner.ts'

/** Parameters that all servers have with the same value; the others are left out. */
export class ConfigJoiner extends CollectingJoiner {
  protected override fits(reply: ReplyValue): boolean {
    return isTexts(reply) && reply.length % 2 === 0
  }

  protected override join(writer: ReplyWriter): void {
    const all = this.replies.map(reply => pairs(reply as string[]))
    const same = [...all[0]].filter(([name, value]) => all.every(each => each.get(name) === value))
    writer.map(same.length)
    for (const [name, value] of same) writer.bulk(name).bulk(value)
  }
}

function pairs(flat: readonly string[]): Map<string, string> {
  const map = new Map<string, string>()
  for (let i = 0; i < flat.length; i += 2) map.set(flat[i], flat[i + 1])
  return map
}

/** Redis's default of SLOWLOG GET. */
const SLOWLOG_COUNT = 10

/** How many entries SLOWLOG GET asks for; anything that is no number is the servers' to refuse. */
export function slowlogCount(parser: RespRequestParser, buf: Uint8Array): number {
  const args = argTexts(parser, buf)
  const count = args.length > 2 ? Number(args[2]) : SLOWLOG_COUNT
  return count === -1 ? Number.POSITIVE_INFINITY : count
}

/** Entries of all servers, the latest first. Each server counts its own ids. */
export class SlowlogJoiner extends CollectingJoiner {
  private readonly count: number

  constructor(count: number) {
    super(true)
    this.count = count
  }

  protected override fits(reply: ReplyValue): boolean {
    return isArrays(reply, 2)
  }

  protected override join(writer: ReplyWriter): void {
    const entries = (this.replies as ReplyValue[][][]).flat()
    // Stable: each server has its latest first, and may have several in one second.
    entries.sort((left, right) => Number(right[1]) - Number(left[1]))
    const latest = entries.slice(0, this.count)
    writer.array(latest.length)
    for (const entry of latest) writeValue(writer, entry)
  }
}

/** [time, ms] of one event at all servers, the oldest first. */
export class LatencyHistoryJoiner extends CollectingJoiner {
  protected override fits(reply: ReplyValue): boolean {
    return isArrays(reply, 2)
  }

  protected override join(writer: ReplyWriter): void {
    const samples = (this.replies as number[][][]).flat().sort((left, right) => left[0] - right[0])
    writeValue(writer, samples)
  }
}

/** [event, time of the latest, its ms, most ms] by event. */
export class LatencyLatestJoiner extends CollectingJoiner {
  protected override fits(reply: ReplyValue): boolean {
    return isArrays(reply, 4)
  }

  protected override join(writer: ReplyWriter): void {
    const events = new Map<string, [string, number, number, number]>()
    for (const event of (this.replies as [string, number, number, number][][]).flat()) {
      const [name, time, ms, most] = event
      const known = events.get(name)
      if (known === undefined) events.set(name, event)
      else if (time >= known[1]) events.set(name, [name, time, ms, Math.max(most, known[3])])
      else known[3] = Math.max(most, known[3])
    }
    writeValue(writer, [...events.values()])
  }
}

/** Arrays of texts and integers, as these reports have them. */
function writeValue(writer: ReplyWriter, value: ReplyValue): void {
  if (Array.isArray(value)) {
    writer.array(value.length)
    for (const each of value) writeValue(writer, each)
  } else if (typeof value === 'number') {
    writer.integer(value)
  } else {
    writer.bulk(String(value))
  }
}

/** Texts for people (MEMORY DOCTOR, LATENCY GRAPH …), each below the name of its server. */
export class TextsJoiner extends CollectingJoiner {
  protected override fits(reply: ReplyValue): boolean {
    return typeof reply === 'string'
  }

  protected override join(writer: ReplyWriter, split: SplitRequest, client: Client): void {
    const { servers } = client.pool
    const texts = split.fragments.map(({ fragmentIndex }) => {
      const text = this.replyOf(fragmentIndex) ?? 'no answer'
      return `# ${servers[split.serverOfFragment[fragmentIndex]].config.name}\r\n${text}`
    })
    writer.verbatim(texts.join('\r\n\r\n'))
  }
}
