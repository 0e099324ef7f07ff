import { describe, expect, it } from 'vitest'
import { parseRedisBenchmark } from '../../../bench/macro/redis-benchmark.ts'

/** As redis-benchmark 7.0.15 prints it, shortened. */
const OUTPUT = ` GET key:__rand_int__: rps=0.0 (overall: -nan) avg_msec=-nan (overall: -nan)\r====== GET key:__rand_int__ ======
  100000 requests completed in 0.08 seconds
  50 parallel clients

Latency by percentile distribution:
0.000% <= 0.167 milliseconds (cumulative count 16)
50.000% <= 0.535 milliseconds (cumulative count 51824)
99.805% <= 2.023 milliseconds (cumulative count 99808)
99.902% <= 2.087 milliseconds (cumulative count 99904)
100.000% <= 2.151 milliseconds (cumulative count 100000)

Cumulative distribution of latencies:
99.936% <= 2.103 milliseconds (cumulative count 99936)

Summary:
  throughput summary: 1219512.12 requests per second
  latency summary (msec):
          avg       min       p50       p95       p99       max
        0.575     0.160     0.535     0.823     1.207     2.151
`

describe('the output of redis-benchmark', () => {
  it('gives the rate and three percentiles', () => {
    expect(parseRedisBenchmark(OUTPUT)).toEqual({
      rate: 1219512.12,
      p50Ms: 0.535,
      p99Ms: 1.207,
      p999Ms: 2.087,
      problem: '',
    })
  })

  it('with an error reply is a problem, not a result', () => {
    expect(parseRedisBenchmark(`Error from server: ERR no\n${OUTPUT}`).problem).toBe('ERR no')
  })

  it('without a result is a problem', () => {
    expect(parseRedisBenchmark('Could not connect').problem).toBe('redis-benchmark printed no result')
  })
})
