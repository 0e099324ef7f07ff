/**
 * Every statistic, defined once. The order is nutcracker's and defines the stats JSON,
 * `--describe-stats`, and the place in a worker's row. Fields with `own: true` are not
 * nutcracker's: the stats port does not show them; the log and the admin interfaces do.
 */

export interface StatField {
  readonly name: string
  readonly kind: 'counter' | 'gauge' | 'timestamp'
  readonly description: string
  readonly own: boolean
}

function field(name: string, kind: StatField['kind'], description: string, own = false): StatField {
  return { name, kind, description, own }
}

export const PROCESS_FIELDS = [
  field('total_connections', 'counter', '# connections ever created'),
  field('curr_connections', 'gauge', '# connections now'),
  field('worker_crashes', 'counter', '# workers that died and were replaced', true),
  field('memory_pauses', 'counter', '# times a worker stopped reading from clients to save memory', true),
] as const

export const POOL_FIELDS = [
  field('client_eof', 'counter', '# eof on client connections'),
  field('client_err', 'counter', '# errors on client connections'),
  field('client_connections', 'gauge', '# active client connections'),
  field('server_ejects', 'counter', '# times backend server was ejected'),
  field('forward_error', 'counter', '# times we encountered a forwarding error'),
  field('fragments', 'counter', '# fragments created from a multi-vector request'),
  field('client_refused', 'counter', '# clients refused by a limit', true),
  field('client_overrun', 'counter', '# clients closed because they did not read their replies', true),
  field('client_idle', 'counter', '# clients closed by the idle timeout', true),
  field('partial_replies', 'counter', '# multi-gets answered without some of their servers', true),
  field('local_requests', 'counter', '# requests answered by the proxy itself', true),
  field('client_memory', 'counter', '# clients closed to free memory', true),
  field('client_stalled', 'counter', '# clients closed after no progress within a request', true),
  field('client_server_lost', 'counter', '# clients disconnected because a server failed', true),
  field('undeclared_keys', 'counter', '# scripts received whose text uses keys that it does not declare', true),
  field('cross_server_refused', 'counter', '# requests refused because several servers have their keys', true),
  field('script_publishes', 'counter', '# scripts received whose text publishes to a channel of another server', true),
] as const

export const SERVER_FIELDS = [
  field('server_eof', 'counter', '# eof on server connections'),
  field('server_err', 'counter', '# errors on server connections'),
  field('server_timedout', 'counter', '# timeouts on server connections'),
  field('server_connections', 'gauge', '# active server connections'),
  field('server_ejected_at', 'timestamp', 'timestamp when server was ejected in usec since epoch'),
  field('requests', 'counter', '# requests'),
  field('request_bytes', 'counter', 'total request bytes'),
  field('responses', 'counter', '# responses'),
  field('response_bytes', 'counter', 'total response bytes'),
  field('in_queue', 'gauge', '# requests in incoming queue'),
  field('in_queue_bytes', 'gauge', 'current request bytes in incoming queue'),
  field('out_queue', 'gauge', '# requests in outgoing queue'),
  field('out_queue_bytes', 'gauge', 'current request bytes in outgoing queue'),
  field('request_timeouts', 'counter', '# requests that met their deadline', true),
  field('queue_full', 'counter', '# requests refused because the queue was full', true),
  field('reply_too_large', 'counter', '# replies above max_message_bytes', true),
] as const

/** Index of a process field in a row. */
export const ProcessStat = { totalConnections: 0, currConnections: 1, workerCrashes: 2, memoryPauses: 3 } as const

/** Offset of a pool field from the pool's base in a row. */
export const PoolStat = {
  clientEof: 0,
  clientErr: 1,
  clientConnections: 2,
  serverEjects: 3,
  forwardError: 4,
  fragments: 5,
  clientRefused: 6,
  clientOverrun: 7,
  clientIdle: 8,
  partialReplies: 9,
  localRequests: 10,
  clientMemory: 11,
  clientStalled: 12,
  clientServerLost: 13,
  undeclaredKeys: 14,
  crossServerRefused: 15,
  scriptPublishes: 16,
} as const

/** Offset of a server field from the server's base in a row. */
export const ServerStat = {
  eof: 0,
  err: 1,
  timedout: 2,
  connections: 3,
  ejectedAt: 4,
  requests: 5,
  requestBytes: 6,
  responses: 7,
  responseBytes: 8,
  inQueue: 9,
  inQueueBytes: 10,
  outQueue: 11,
  outQueueBytes: 12,
  requestTimeouts: 13,
  queueFull: 14,
  replyTooLarge: 15,
} as const
