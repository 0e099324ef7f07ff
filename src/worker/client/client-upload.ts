/**
 * When a client's large request passes through (`upload.ts`), and when it must wait or be gathered
 * whole. Data plane.
 *
 *     incomplete, 256 KiB or more announced ─┬▶ nothing in flight: passes through
 *                                            ├▶ replies due: blocked until they are written, then parsed again
 *                                            └▶ the client reads no replies while it writes: gathered whole, like a small request
 */

import { Parsed, type RequestParser } from '../../protocol/parser.ts'
import { STREAM_BYTES } from '../request/stream-limits.ts'
import { type ClientOutput, type OutputClient, WRITES_FIRST_MS } from './client-output.ts'
import { Phase } from './client-phase.ts'
import type { ClientWatches, WatchedClient } from './client-watches.ts'
import type { InputState } from './input-state.ts'
import { Upload } from './upload.ts'

/**
 * This much of a large request must have come before it passes through. A server allocates memory
 * for what is announced (Redis: all of it, at once), so an announcement alone must not reach it.
 */
const UPLOAD_START_BYTES = 65_536

/** What an upload needs of the client. `Client` implements it. */
export interface UploadClient extends OutputClient, WatchedClient {
  readonly input: InputState
  readonly output: ClientOutput
  readonly poolClients: { readonly watches: ClientWatches }
  waitsForReplies: boolean
  ownEnd: number
  block(): void
}

/**
 * Whether an incomplete request is large, and enough of it has come.
 * @param receivedBytes of it.
 */
export function mayPass(parser: RequestParser, receivedBytes: number): boolean {
  return parser.need >= STREAM_BYTES && receivedBytes >= UPLOAD_START_BYTES
}

/**
 * Lets the incomplete request of `parser` pass through. The caller must pass on the bytes that have
 * come.
 * @param tag of its message.
 * @returns null when the bytes must be kept: the request is gathered whole, or the client is
 * blocked until the request can pass.
 */
export function beginUpload(
  client: UploadClient,
  parser: RequestParser,
  serverIndex: number,
  tag: number,
): Upload | null {
  const { input } = client
  if (input.gathersRequest) return null
  if (client.output.writesFirst && client.socket.pendingBytes > 0) {
    input.gathersRequest = true
    return null
  }
  if (client.head !== null) {
    client.waitsForReplies = true
    input.uploadWaitsSinceMs = client.socket.turn.nowMs
    client.block()
    client.poolClients.watches.uploads.add(client)
    return null
  }
  const connection = client.pool.servers[serverIndex].bulkConnection(client)
  if (connection === null) {
    client.block()
    return null
  }
  client.ownEnd = -1
  client.waitsForReplies = true
  input.upload = new Upload(client, parser, connection, parser.need, tag)
  return input.upload
}

/**
 * Passes on the next bytes of the large request.
 * @returns where the bytes of later requests begin, or -1 when the request is malformed: its upload
 * has ended.
 */
export function passOn(input: InputState, upload: Upload, buf: Uint8Array, start: number, end: number): number {
  const code = upload.consume(buf, start, end)
  if (code === Parsed.incomplete) return end
  input.upload = null
  if (code === Parsed.complete) {
    upload.finish()
    return end - upload.surplusBytes
  }
  upload.abandon()
  return -1
}

/**
 * Called by the coarse timer. A client that writes all of a pipeline before it reads may never read
 * the replies that its large request waits for: then the request is gathered whole.
 * @returns false when there is no more to watch.
 */
export function checkUploadWait(client: UploadClient, nowMs: number): boolean {
  if (client.phase !== Phase.blocked || !client.waitsForReplies || client.input.upload !== null) return false
  if (client.socket.pendingBytes === 0 || nowMs - client.input.uploadWaitsSinceMs < WRITES_FIRST_MS) return true
  client.input.gathersRequest = true
  client.output.keepForWriter()
  client.waitsForReplies = false
  client.pool.context.resumeLater(client)
  return false
}
