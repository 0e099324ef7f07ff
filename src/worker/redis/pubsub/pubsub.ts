/**
 * Pub/sub commands. PUBLISH is routed by its channel, as other requests by their key. Subscribers
 * have exclusive connections (`subscriptions.ts`). PUBSUB asks all servers. Data plane.
 */

import { encodeText } from '../../../bytes/ascii.ts'
import { isWord } from '../../../bytes/text.ts'
import { argEnd, argStart, argText } from '../../../protocol/redis/arguments.ts'
import { fitsArity } from '../../../protocol/redis/commands.ts'
import { errorLine } from '../../../protocol/redis/replies.ts'
import { isTexts, type ReplyValue } from '../../../protocol/redis/reply-value.ts'
import type { ReplyWriter } from '../../../protocol/redis/reply-writer.ts'
import type { RespRequestParser } from '../../../protocol/redis/request-parser.ts'
import type { Client } from '../../client/client.ts'
import type { Joiner } from '../../request/split-request.ts'
import { CollectingJoiner } from '../join/collecting-joiner.ts'
import type { RedisPool } from '../redis-pool.ts'
import { sessionOf, Topic } from '../session/session.ts'
import { broadcast, Reach } from '../split/broadcast.ts'
import { subscriptionsOf } from './subscriptions.ts'

/** What a RESP2 client may send while it is subscribed. */
const ALLOWED = new Set([
  'PING',
  'PSUBSCRIBE',
  'PUNSUBSCRIBE',
  'QUIT',
  'RESET',
  'SSUBSCRIBE',
  'SUBSCRIBE',
  'SUNSUBSCRIBE',
  'UNSUBSCRIBE',
])

export function pubsubRequest(redis: RedisPool, client: Client, parser: RespRequestParser, buf: Uint8Array): void {
  switch (parser.command.name) {
    case 'PUBLISH':
    case 'SPUBLISH':
      if (!redis.publishOrder.delays(client)) redis.forward(client, parser, buf, 1)
      return
    case 'PUBSUB':
      askAll(redis, client, parser, buf)
      return
    case 'SUBSCRIBE':
      change(client, parser, buf, Topic.channel, true)
      return
    case 'PSUBSCRIBE':
      change(client, parser, buf, Topic.pattern, true)
      return
    case 'SSUBSCRIBE':
      change(client, parser, buf, Topic.shard, true)
      return
    case 'UNSUBSCRIBE':
      change(client, parser, buf, Topic.channel, false)
      return
    case 'PUNSUBSCRIBE':
      change(client, parser, buf, Topic.pattern, false)
      return
    default:
      change(client, parser, buf, Topic.shard, false)
  }
}

/**
 * Handles a request of a subscribed RESP2 client, whose connection is for messages only.
 * @returns false when the request is allowed and the caller must handle it.
 */
export function subscriberRequest(
  redis: RedisPool,
  client: Client,
  parser: RespRequestParser,
  buf: Uint8Array,
): boolean {
  const { command, argCount } = parser
  if (!fitsArity(command, argCount) || command.name === '') return false
  if (!ALLOWED.has(command.name)) {
    redis.answer(
      client,
      errorLine(
        `Can't execute '${command.name.toLowerCase()}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context`,
      ),
    )
    return true
  }
  if (command.name !== 'PING' || argCount > 2) return false
  const echo = argCount === 2 ? argText(parser, buf, 1) : ''
  redis.answer(client, encodeText(`*2\r\n$4\r\npong\r\n$${echo.length}\r\n${echo}\r\n`))
  return true
}

/** (Un)subscribes to each name in turn, one confirmation each. */
function change(client: Client, parser: RespRequestParser, buf: Uint8Array, topic: number, subscribes: boolean): void {
  const session = sessionOf(client)
  const subscriptions = subscriptionsOf(session)
  const postponed = client.pending > 0
  if (subscribes) subscriptions.arrived(postponed)
  if (postponed) {
    client.postpone(true)
    return
  }
  const { argCount } = parser
  for (let arg = 1; arg < argCount; arg++) {
    const name = argText(parser, buf, arg)
    if (subscribes) subscriptions.subscribe(topic, name)
    else subscriptions.unsubscribe(topic, name)
  }
  if (argCount === 1) {
    const names = [...subscriptions.topics[topic].keys()]
    for (const name of names) subscriptions.unsubscribe(topic, name)
    if (names.length === 0) subscriptions.unsubscribe(topic, null)
  }
  subscriptions.confirmed(0)
  subscriptions.endIfUnused()
  client.updateFastPath()
  client.waitForReplies()
}

/** PUBSUB: each server reports its own channels. HELP and unknown subcommands go to any server. */
function askAll(redis: RedisPool, client: Client, parser: RespRequestParser, buf: Uint8Array): void {
  const joiner = joinerOf(parser, buf)
  if (joiner === null || client.pool.servers.length === 1) {
    redis.forwardKeyless(client, parser, buf)
    return
  }
  broadcast(client, parser, buf, joiner, Reach.live)
}

function joinerOf(parser: RespRequestParser, buf: Uint8Array): Joiner | null {
  const { argCount } = parser
  const from = argStart(parser, 1)
  const to = argEnd(parser, 1)
  if (isWord(buf, from, to, 'CHANNELS') || isWord(buf, from, to, 'SHARDCHANNELS')) return new ChannelsJoiner(true)
  if (isWord(buf, from, to, 'NUMSUB') || isWord(buf, from, to, 'SHARDNUMSUB'))
    return new SubscribersJoiner(argCount - 2)
  return isWord(buf, from, to, 'NUMPAT') ? new PatternsJoiner(true) : null
}

/** Channels of all servers, each once: some (`__keyevent@0__:del`) are subscribed to everywhere. */
class ChannelsJoiner extends CollectingJoiner {
  protected override fits(reply: ReplyValue): boolean {
    return isTexts(reply)
  }

  protected override join(writer: ReplyWriter): void {
    const channels = new Set((this.replies as string[][]).flat())
    writer.array(channels.size)
    for (const channel of channels) writer.bulk(channel)
  }
}

/**
 * Subscribers by channel. A channel's server knows all of them; other servers know none, or (see
 * above) the same ones.
 */
class SubscribersJoiner extends CollectingJoiner {
  private readonly channels: number

  /** @param channels that were asked for. */
  constructor(channels: number) {
    super(true)
    this.channels = channels
  }

  protected override fits(reply: ReplyValue): boolean {
    if (!Array.isArray(reply) || reply.length !== this.channels * 2) return false
    return reply.every((each, i) => typeof each === (i % 2 === 0 ? 'string' : 'number'))
  }

  protected override join(writer: ReplyWriter): void {
    const lists = this.replies as (string | number)[][]
    writer.array(this.channels * 2)
    for (let at = 0; at < this.channels * 2; at += 2) {
      writer.bulk(String(lists[0][at])).integer(Math.max(...lists.map(list => Number(list[at + 1]))))
    }
  }
}

/** Patterns are subscribed to at every server. */
class PatternsJoiner extends CollectingJoiner {
  protected override fits(reply: ReplyValue): boolean {
    return typeof reply === 'number'
  }

  protected override join(writer: ReplyWriter): void {
    writer.integer(Math.max(...(this.replies as number[])))
  }
}
