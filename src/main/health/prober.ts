/**
 * Asks one server whether it can serve: connects, authenticates as the pool does, and sends PING or
 * `version`. Primary thread; called by `health.ts` for ejected servers. A server that accepts
 * connections and answers LOADING, MASTERDOWN or an authentication error is down.
 */

import { connect } from 'node:net'
import type { PoolConfig, ServerConfig } from '../../shared/config.ts'
import { strerror } from '../../shared/strerror.ts'

/** Time limit of a probe for pools without `timeout`, ms. */
const DEFAULT_TIMEOUT_MS = 1_000
/** Limit on a probe's reply: longer than any valid one. */
const REPLY_LIMIT_BYTES = 1_024

/**
 * Resolves host names again each time. Never rejects.
 * @returns '' when the server is healthy, else why not, for the log.
 */
export function probe(pool: PoolConfig, server: ServerConfig): Promise<string> {
  const replyTimeoutMs = pool.timeoutMs > 0 ? pool.timeoutMs : DEFAULT_TIMEOUT_MS
  const connectTimeoutMs = pool.serverConnectTimeoutMs > 0 ? pool.serverConnectTimeoutMs : replyTimeoutMs
  const { request, expected } = pool.redis ? redisProbe(pool.redisAuth) : MEMCACHE_PROBE
  return new Promise(resolve => {
    const socket =
      server.path !== ''
        ? connect({ path: server.path })
        : connect({ host: server.host, port: server.port, autoSelectFamily: false, noDelay: true })
    const finish = (problem: string): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(problem)
    }
    let timer = setTimeout(finish, connectTimeoutMs, 'connecting timed out')
    let received = ''
    socket.once('connect', () => {
      clearTimeout(timer)
      timer = setTimeout(finish, replyTimeoutMs, 'the answer timed out')
      socket.write(request, 'latin1')
    })
    socket.on('data', chunk => {
      received += chunk.toString('latin1')
      const verdict = judge(received, expected)
      if (verdict !== null) finish(verdict)
    })
    socket.once('end', () => finish('the server closed the connection'))
    socket.once('error', (error: NodeJS.ErrnoException) => finish(strerror(error.code ?? error.message)))
  })
}

interface Probe {
  readonly request: string
  /** How each line of the reply must begin. */
  readonly expected: readonly string[]
}

const MEMCACHE_PROBE: Probe = { request: 'version\r\n', expected: ['VERSION '] }

function redisProbe(password: string): Probe {
  const ping = '*1\r\n$4\r\nPING\r\n'
  if (password === '') return { request: ping, expected: ['+PONG'] }
  return { request: `*2\r\n$4\r\nAUTH\r\n$${password.length}\r\n${password}\r\n${ping}`, expected: ['+OK', '+PONG'] }
}

/** @returns '' when healthy, the reason when not, or null while the reply is incomplete. */
function judge(received: string, expected: readonly string[]): string | null {
  const lines = received.split('\r\n')
  const whole = lines.length - 1
  for (let i = 0; i < whole && i < expected.length; i++) {
    if (!lines[i].startsWith(expected[i])) return `it answers '${lines[i].slice(0, 200)}'`
  }
  if (whole >= expected.length) return ''
  return received.length > REPLY_LIMIT_BYTES ? 'its answer has no end' : null
}
