/**
 * How many bytes of replies one client of a pool may have waiting. Data plane; computed for each configuration of a pool, read by
 * `client.ts`.
 *
 * An explicit `client_queue_bytes` is the whole answer. By default a client may have much more waiting, because many write a whole pipeline
 * before they read its first reply (redis-py, phpredis): with a bound of 16 MiB 400 GETs and SETs of 100 KB never ended. What bounds the
 * process then is the memory guard.
 */

import type { PoolConfig } from '../../shared/config.ts'

/** Replies in flight for one client by default, bytes; what is in flight cannot be refused when memory is short. */
const IN_FLIGHT_BYTES = 16_777_216
/** Largest share of `--memory-limit` that replies waiting for one client take by default. */
const PROCESS_SHARE = 1 / 8
/** Largest share of the worker's part of it: less than the memory guard's marks, so that one client alone does not reach them. */
const WORKER_SHARE = 1 / 2
const MOST_QUEUE_BYTES = 1_073_741_824
/** A client that has this many times `client_queue_bytes` waiting is closed. */
const HARD_LIMIT_FACTOR = 4
/** Room for a large reply that passes through, bytes, at least, before its server waits for the client. */
export const STREAM_ROOM_BYTES = 2_097_152

export interface ClientLimits {
  /** Replies in flight are to fit this; the window follows from it. */
  readonly inFlightBytes: number
  /** A client with this much waiting is not read. */
  readonly queueBytes: number
  /** A client with more waiting is closed; one reply of any size beside it is allowed. */
  readonly closeBytes: number
  /** A large reply is read from its server, for the sake of other clients behind it, until this much waits. */
  readonly largeReplyBytes: number
  /** Messages of channels that wait behind replies; a client with more is closed. */
  readonly pushBytes: number
  /** By default: replies of a client that writes on while it reads nothing are kept up to `queueBytes`. */
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
