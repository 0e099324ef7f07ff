/**
 * A client's input: bytes become requests, one by one, and the protocol handles them. Data plane;
 * functions over the `Client` record.
 *
 *     readInput ─▶ processRequests ─▶ protocol.request
 *        │              ├ the client has enough in flight, or the request was postponed: blocked
 *        └ tail: an incomplete request, or the bytes of a blocked client; `continueInput` parses these again
 */

import { Parsed, type RequestParser } from '../../protocol/parser.ts'
import { PoolStat } from '../../shared/stat-fields.ts'
import { OWNED_CHUNK_BYTES } from '../io/output.ts'
import { answerLocally } from '../request/delivery.ts'
import { CloseReason } from '../request/reply-target.ts'
import type { Client } from './client.ts'
import { Phase } from './client-phase.ts'
import { beginUpload, mayPass, passOn } from './client-upload.ts'
import type { Upload } from './upload.ts'

/**
 * A blocked client whose reply may never come is still read, so that the proxy sees it disconnect,
 * until this many bytes wait.
 */
const BLOCKED_INPUT_BYTES = 262_144
/**
 * Fewer bytes than this in one read do not count as activity while a request is incomplete.
 * Otherwise a client that sends a request byte by byte would never be idle.
 */
const TRICKLE_BYTES = 256
/**
 * A client that has begun a request and then shows no activity for this long is disconnected, ms.
 * Without this limit slow senders could use up `client_connections`; other clients in this state
 * have died in the middle of a request.
 * @testOnly
 */
export const REQUEST_STALL_MS = 60_000

/** Handles bytes that have come. The buffer is overwritten after the call. */
export function readInput(client: Client, buf: Uint8Array, length: number): void {
  const { input } = client
  const { nowMs } = client.socket.turn
  if (input.isEmpty) client.pauseMs = nowMs - client.activeMs
  if (input.tail === null || length >= TRICKLE_BYTES) client.activeMs = nowMs
  if (client.phase >= Phase.ending) return
  client.pool.context.memory.check()
  if (client.phase === Phase.blocked) {
    storeBlocked(client, buf, length)
    return
  }
  let at = 0
  if (input.upload !== null) {
    at = continueUpload(client, input.upload, buf, 0, length)
    if (client.phase >= Phase.ending || input.upload !== null) return
  }
  if (input.tail !== null) {
    // Only an incomplete request lies in the tail here: the input of a blocked client has been
    // stored above.
    while (input.tail !== null && at < length && client.phase !== Phase.blocked) {
      at += input.tail.fill(buf, at, length, input.parser === null ? 0 : input.parser.need)
      processTail(client)
      if (client.phase >= Phase.ending) return
    }
    if (at < length && input.tail !== null) {
      input.tail.fill(buf, at, length, 0)
      return
    }
  }
  if (at < length) {
    const rest = processWithin(client, buf, at, length)
    if (client.phase >= Phase.ending) return
    if (rest < length) storeTail(client, buf, rest, length)
  }
  inputDone(client)
}

function storeBlocked(client: Client, buf: Uint8Array, length: number): void {
  const { input } = client
  input.tail ??= client.socket.turn.memory.tails.acquire()
  input.tail.fill(buf, 0, length, 0)
  watchRequest(client)
  if (input.tail.length >= BLOCKED_INPUT_BYTES) client.socket.readStop()
}

function storeTail(client: Client, buf: Uint8Array, start: number, end: number): void {
  client.input.tail = client.socket.turn.memory.tails.acquire()
  client.input.tail.fill(buf, start, end, client.phase === Phase.blocked ? 0 : client.input.parser!.need)
  watchRequest(client)
}

/**
 * Releases the parser when no input is left. A client that is to end then has sent its last
 * request.
 */
export function inputDone(client: Client): void {
  if (!client.input.isEmpty) return
  if (client.input.parser !== null) releaseParser(client)
  if (client.input.isLast) client.closeAfterReplies(CloseReason.none)
}

/**
 * A client that has not authenticated may send short requests only, unless the pool behaves exactly
 * as nutcracker.
 */
export function restrictParser(client: Client): void {
  client.input.parser?.restrict(!client.authenticated && !client.pool.config.strict)
}

function acquireParser(client: Client): RequestParser {
  const parser = client.poolClients.acquireRequestParser()
  client.input.parser = parser
  if (!client.authenticated) restrictParser(client)
  return parser
}

function releaseParser(client: Client): void {
  client.poolClients.releaseRequestParser(client.input.parser!)
  client.input.parser = null
}

/**
 * Handles the requests in [start, end), and checks `max_message_bytes` also for those that have
 * come whole.
 * @returns as `processRequests`.
 */
function processWithin(client: Client, buf: Uint8Array, start: number, end: number): number {
  const { maxMessageBytes } = client.pool.config
  if (maxMessageBytes === 0 || end - start <= maxMessageBytes) return processRequests(client, buf, start, end)
  for (let at = start; ; ) {
    const stop = Math.min(end, at + maxMessageBytes)
    const rest = processRequests(client, buf, at, stop)
    if (client.phase !== Phase.reading || stop === end) return rest
    // A request that does not end within this many bytes is too large.
    if (rest === at) checkSize(client, maxMessageBytes + 1)
    at = client.input.upload === null ? rest : continueUpload(client, client.input.upload, buf, stop, end)
    if (client.phase >= Phase.ending || client.input.upload !== null) return end
  }
}

/**
 * Handles the requests in [start, end).
 * @returns where the rest begins: it is incomplete, or the client is blocked.
 */
function processRequests(client: Client, buf: Uint8Array, start: number, end: number): number {
  const parser = client.input.parser ?? acquireParser(client)
  const { protocol } = client.poolClients
  let at = start
  while (at < end) {
    if (client.full) {
      client.block()
      return at
    }
    const code = parser.parse(buf, at, end)
    if (code === Parsed.incomplete) return processIncomplete(client, parser, buf, at, end)
    if (code === Parsed.complete) {
      protocol.request(client, parser, buf)
      if (client.isPostponed) {
        client.isPostponed = false
        client.block()
        return at
      }
      at = parser.end
    } else {
      const next = protocol.malformed(client, parser, buf, at, end)
      if (next < 0) {
        client.closeAfterReplies(CloseReason.error)
        return end
      }
      at = next
    }
    if (client.phase >= Phase.ending) return end
  }
  return at
}

/**
 * The request that begins at `start` is incomplete.
 * @returns where the bytes begin that must be kept for it.
 */
function processIncomplete(client: Client, parser: RequestParser, buf: Uint8Array, start: number, end: number): number {
  checkSize(client, Math.max(parser.need, end - start))
  if (client.phase >= Phase.ending) return end
  if (!mayPass(parser, end - start)) return start
  const { protocol } = client.poolClients
  const serverIndex = protocol.streamTarget(client, parser, buf)
  if (serverIndex < 0) return start
  const upload = beginUpload(client, parser, serverIndex, protocol.uploadTag(parser))
  if (upload === null) return start
  continueUpload(client, upload, buf, start, end)
  return end
}

/**
 * Passes on the next bytes of the large request.
 * @returns where the bytes of later requests begin.
 */
function continueUpload(client: Client, upload: Upload, buf: Uint8Array, start: number, end: number): number {
  const rest = passOn(client.input, upload, buf, start, end)
  if (rest >= 0) return rest
  client.poolClients.protocol.malformed(client, client.input.parser!, buf, start, end)
  client.closeAfterReplies(CloseReason.error)
  return end
}

/** Rejects a request above `max_message_bytes`: the stream cannot go on behind it. */
function checkSize(client: Client, bytes: number): void {
  const { config, limitedLog } = client.pool
  const { maxMessageBytes } = config
  if (maxMessageBytes === 0 || bytes <= maxMessageBytes) return
  limitedLog.notice(
    'request too large',
    () =>
      `request of ${bytes} bytes from c ${client.address} rejected: above max_message_bytes of pool '${config.name}'`,
  )
  answerLocally(client, client.poolClients.protocol.tooLarge)
  client.closeAfterReplies(CloseReason.error)
}

function processTail(client: Client): void {
  const tail = client.input.tail!
  client.ownEnd = tail.length >= OWNED_CHUNK_BYTES ? tail.length : -1
  const rest = processWithin(client, tail.buf, 0, tail.length)
  const owned = client.ownEnd >= 0
  client.ownEnd = -1
  if (client.input.tail === null) return
  if (owned && rest === tail.length) tail.detachBuffer()
  if (rest < tail.length) {
    if (rest > 0) tail.skip(rest)
    return
  }
  client.input.tail = null
  client.input.gathersRequest = false
  tail.release()
}

/** Parses the stored input again, of a client that was blocked and is reading again. */
export function continueInput(client: Client): void {
  if (client.input.tail !== null) processTail(client)
  if (client.phase !== Phase.reading) return
  inputDone(client)
  if (client.phase >= Phase.ending) return
  if (client.input.ended) endInput(client)
  else client.socket.readStart()
}

/** The client has sent FIN, and its requests are handled. */
export function endInput(client: Client): void {
  if (client.phase >= Phase.ending) return
  if (!client.input.isEmpty) {
    client.pool.limitedLog.alert(
      'incomplete request',
      () =>
        `eof c ${client.address} discarding incomplete req len ${client.input.tail === null ? 0 : client.input.tail.length}`,
    )
  }
  client.closeAfterReplies(CloseReason.eof)
}

/** Forgets all input that is not handled. */
export function dropInput(client: Client): void {
  const { input } = client
  const { tail, upload } = input
  input.upload = null
  input.tail = null
  upload?.abandon()
  tail?.release()
  if (client.input.parser !== null) releaseParser(client)
}

function watchRequest(client: Client): void {
  if (client.input.requestWatched) return
  client.input.requestWatched = true
  client.poolClients.watches.requests.add(client)
}

/**
 * Disconnects a client whose request does not go on.
 * @returns false when there is no more to watch.
 */
export function checkRequest(client: Client, nowMs: number): boolean {
  if (client.closed || client.input.tail === null) {
    client.input.requestWatched = false
    return false
  }
  // While its input waits for room or for replies, the client cannot be blamed for the delay.
  if (client.phase === Phase.blocked || client.head !== null || nowMs - client.activeMs < REQUEST_STALL_MS) return true
  const { config, limitedLog, row, statBase } = client.pool
  const received = client.input.tail.length
  limitedLog.notice(
    'stalled request',
    () =>
      `c ${client.address} of pool '${config.name}' closed: it sent ${received} bytes of a request ` +
      `and then nothing for ${REQUEST_STALL_MS} ms`,
  )
  row[statBase + PoolStat.clientStalled]++
  client.close(CloseReason.error)
  return false
}
