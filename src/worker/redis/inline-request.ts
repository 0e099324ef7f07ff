/**
 * Requests that no client library sends: lines that a person types, other protocols, malformed
 * frames. Data plane.
 */

import type { RequestParser } from '../../protocol/parser.ts'
import { Parsed } from '../../protocol/parser.ts'
import { isHttp, splitInline } from '../../protocol/redis/inline.ts'
import * as replies from '../../protocol/redis/replies.ts'
import { FrameError, type RespRequestParser } from '../../protocol/redis/request-parser.ts'
import type { Client } from '../client/client.ts'
import { answerLocally } from '../request/delivery.ts'
import { CloseReason } from '../request/reply-target.ts'
import type { Pool } from '../server/pool.ts'

/** Handles the request once it is rewritten as an array of arguments. */
export interface RequestHandler {
  readonly pool: Pool
  readonly inlineParser: RespRequestParser
  request(client: Client, parser: RequestParser, buf: Uint8Array): void
}

/** Handles the line that `parser` has found in `buf`. */
export function inlineRequest(
  handler: RequestHandler,
  client: Client,
  parser: RespRequestParser,
  buf: Uint8Array,
): void {
  const { pool, inlineParser } = handler
  if (pool.config.strict) {
    client.close(CloseReason.error)
    return
  }
  if (isHttp(buf, parser.start, parser.end)) {
    pool.limitedLog.warn(
      'HTTP request',
      () => `possible attack: c ${client.address} of pool '${pool.config.name}' speaks HTTP`,
    )
    client.closeAfterReplies(CloseReason.error)
    return
  }
  const rewritten = splitInline(buf, parser.start, parser.end)
  if (rewritten === null) {
    answerLocally(client, replies.UNBALANCED_QUOTES)
    client.closeAfterReplies(CloseReason.error)
    return
  }
  if (inlineParser.parse(rewritten, 0, rewritten.length) === Parsed.complete) {
    handler.request(client, inlineParser, rewritten)
  }
}

/** Answers a malformed frame. @returns -1: the client is closed after its outstanding replies. */
export function malformedRequest({ config, limitedLog }: Pool, client: Client, parser: RespRequestParser): number {
  const isTls = parser.error === FrameError.tls
  if (isTls) {
    limitedLog.notice(
      'TLS on a plain listener',
      () => `c ${client.address} of pool '${config.name}' closed: it speaks TLS, which this listener does not`,
    )
  } else if (!config.strict) {
    limitedLog.info('protocol error', () => `protocol error of c ${client.address} of pool '${config.name}'`)
  }
  if (config.strict) client.close(CloseReason.error)
  // To a TLS client any reply is a broken handshake.
  else if (!isTls) answerLocally(client, replies.frameError(parser.error, parser.errorByte))
  return -1
}
