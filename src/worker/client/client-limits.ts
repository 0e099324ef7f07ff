/**
 * How many bytes of replies the proxy buffers for one client of a pool. Data plane; computed once
 * for each configuration of a pool.
 *
 * With `client_queue_bytes`, every limit follows from it. By default the limits are much larger,
 * because many client libraries write a whole pipeline before they read its first reply (redis-py,
 * phpredis): with 16 MiB, 400 GETs and SETs of 100 KB never ended. The memory guard then bounds the
 * process.
 */

import type { PoolConfig } from '../../shared/config.ts'

/**
 * Default size of the replies in flight for one client, bytes. Replies in flight cannot be rejected
 * when memory is short.
 */
const IN_FLIGHT_BYTES = 16_777_216
/** Default share of `--memory-limit` that the replies for one client may take. */
const PROCESS_SHARE = 1 / 8
/**
 * The same as a share of the worker's part. It is below the thresholds of the memory guard, so that
 * one client alone does not reach them.
 */
const WORKER_SHARE = 1 / 2
const MOST_QUEUE_BYTES = 1_073_741_824
/** A client with this many times `client_queue_bytes` buffered is disconnected. */
const HARD_LIMIT_FACTOR = 4
/**
 * At least this much of a large reply is buffered before its server connection pauses for the
 * client, bytes.
 */
export const STREAM_ROOM_BYTES = 2_097_152

export interface ClientLimits {
  /** Room for the replies in flight, bytes. The window follows from it. */
  readonly inFlightBytes: number
  /** The proxy does not read from a client with this many bytes buffered. */
  readonly queueBytes: number
  /**
   * A client with more bytes buffered is disconnected. One reply of any size is allowed beside
   * them.
   */
  readonly closeBytes: number
  /**
   * While other clients wait behind a large reply, it is read from its server until this many bytes
   * are buffered.
   */
  readonly largeReplyBytes: number
  /**
   * Bytes of published messages that may wait behind replies. A client with more is disconnected.
   */
  readonly pushBytes: number
  /**
   * True by default: replies are buffered up to `queueBytes` for a client that writes and reads
   * nothing.
   */
  readonly keepsForWriter: boolean
}

/** @param memoryBytes this worker's share of `--memory-limit`; Infinity = no limit. */
export function clientLimits(config: PoolConfig, memoryBytes: number, workers: number): ClientLimits {
  const explicit = config.clientQueueBytes
  if (explicit > 0) return limitsOf(explicit, explicit, explicit * HARD_LIMIT_FACTOR)
  const most = Math.min(MOST_QUEUE_BYTES, memoryBytes * workers * PROCESS_SHARE, memoryBytes * WORKER_SHARE)
  const queueBytes = Math.trunc(most)
  const inFlightBytes = Math.min(IN_FLIGHT_BYTES, queueBytes)
  return {
    ...limitsOf(inFlightBytes, queueBytes, queueBytes + inFlightBytes * HARD_LIMIT_FACTOR),
    keepsForWriter: true,
  }
}

function limitsOf(inFlightBytes: number, queueBytes: number, closeBytes: number): ClientLimits {
  const pushBytes = inFlightBytes * HARD_LIMIT_FACTOR
  const largeReplyBytes = Math.max(pushBytes, STREAM_ROOM_BYTES)
  return { inFlightBytes, queueBytes, closeBytes, largeReplyBytes, pushBytes, keepsForWriter: false }
}
