/**
 * Debian's redis-benchmark as a load: a second witness beside our own driver, and the cheaper one for new connections.
 * It compares no replies, so `measure.ts` sends a sample through our driver first and looks at the servers' counters
 * afterwards.
 */

import type { Processes } from './processes.ts'
import type { Workload } from './workload.ts'

export interface RedisBenchmarkResult {
  /** Requests a second. */
  readonly rate: number
  /** For a pipeline: from writing it to the first bytes of its reply. */
  readonly p50Ms: number
  readonly p99Ms: number
  readonly p999Ms: number
  readonly problem: string
}

const TIMEOUT_MS = 120_000

/** Runs GETs of random keys. @param requests in all. @param reconnects a new connection for each request. */
export async function runRedisBenchmark(
  processes: Processes,
  port: number,
  workload: Workload,
  clients: number,
  requests: number,
  reconnects: boolean,
): Promise<RedisBenchmarkResult> {
  const args = [
    '-h',
    '127.0.0.1',
    '-p',
    String(port),
    '-c',
    String(clients),
    '-n',
    String(requests),
    '-P',
    String(workload.pipeline),
  ]
  args.push(
    '-k',
    reconnects ? '0' : '1',
    '-r',
    String(workload.keyspace),
    '--precision',
    '3',
    'GET',
    'key:__rand_int__',
  )
  const child = processes.start('redis-benchmark', 'redis-benchmark', args)
  const timer = setTimeout(() => child.signal('SIGKILL'), TIMEOUT_MS)
  let text = ''
  child.process.stdout?.on('data', chunk => {
    text += chunk
  })
  const how = await child.exited
  clearTimeout(timer)
  const result = parseRedisBenchmark(text)
  return how === '0' ? result : { ...result, problem: `redis-benchmark ended with ${how}: ${child.lastOutput}` }
}

/** Reads the long form of redis-benchmark 7's output. Missing figures are NaN and a `problem`. */
export function parseRedisBenchmark(text: string): RedisBenchmarkResult {
  const rate = numberAfter(text, /throughput summary: ([\d.]+) requests per second/)
  const p50Ms = numberAfter(text, /p50\s+p95\s+p99\s+max\s+[\d.]+\s+[\d.]+\s+([\d.]+)/)
  const p99Ms = numberAfter(text, /p50\s+p95\s+p99\s+max\s+[\d.]+\s+[\d.]+\s+[\d.]+\s+[\d.]+\s+([\d.]+)/)
  const p999Ms = percentileAtLeast(text, 99.9)
  const errors = /Error from server: (.*)/.exec(text)
  const missing = Number.isNaN(rate + p50Ms + p99Ms + p999Ms) ? 'redis-benchmark printed no result' : ''
  return { rate, p50Ms, p99Ms, p999Ms, problem: errors?.[1] ?? missing }
}

/** First line of the distribution (`99.902% <= 1.234 milliseconds …`) that covers the share. */
function percentileAtLeast(text: string, percent: number): number {
  for (const line of text.matchAll(/^([\d.]+)% <= ([\d.]+) milliseconds/gm)) {
    if (Number(line[1]) >= percent) return Number(line[2])
  }
  return Number.NaN
}

function numberAfter(text: string, pattern: RegExp): number {
  return Number(pattern.exec(text)?.[1] ?? Number.NaN)
}
