import { expect, test } from 'vitest'
import { POOL_FIELDS, PoolStat, ProcessStat, SERVER_FIELDS, ServerStat } from '../../../src/shared/stat-fields.ts'
import { renderStats } from '../../../src/stats/json.ts'
import type { StatsSnapshot } from '../../../src/stats/reader.ts'

function zeroServer(name: string) {
  return { name, values: new Float64Array(SERVER_FIELDS.length) }
}

function freshProcess(): StatsSnapshot {
  const pool = new Float64Array(POOL_FIELDS.length)
  pool[PoolStat.clientConnections] = 1
  return {
    process: Float64Array.of(3, 3),
    pools: [
      { name: 'p', values: pool, servers: [zeroServer('b'), zeroServer('zz')] },
      { name: 'mc', values: new Float64Array(POOL_FIELDS.length), servers: [zeroServer('127.0.0.1:17021')] },
    ],
  }
}

const SERVER_ZERO =
  '{"server_eof":0, "server_err":0, "server_timedout":0, "server_connections":0, "server_ejected_at":0, "requests":0, ' +
  '"request_bytes":0, "responses":0, "response_bytes":0, "in_queue":0, "in_queue_bytes":0, "out_queue":0, "out_queue_bytes":0}'

test("a fresh process gives nutcracker's document, byte for byte", () => {
  const document = renderStats(freshProcess(), { source: 'HOST', uptimeSec: 0, timestampSec: 1795359670 })
  expect(document).toBe(
    '{"service":"nutcracker", "source":"HOST", "version":"0.5.0", "uptime":0, "timestamp":1795359670, ' +
      '"total_connections":3, "curr_connections":3, ' +
      '"p": {"client_eof":0, "client_err":0, "client_connections":1, "server_ejects":0, "forward_error":0, "fragments":0, ' +
      `"b": ${SERVER_ZERO},"zz": ${SERVER_ZERO}},` +
      '"mc": {"client_eof":0, "client_err":0, "client_connections":0, "server_ejects":0, "forward_error":0, "fragments":0, ' +
      `"127.0.0.1:17021": ${SERVER_ZERO}}}\n`,
  )
})

test('fields that nutcracker does not have stay out', () => {
  const snapshot = freshProcess()
  snapshot.pools[0].values[PoolStat.clientRefused] = 777
  snapshot.pools[0].servers[0].values[ServerStat.queueFull] = 777
  expect(renderStats(snapshot, { source: 'HOST', uptimeSec: 0, timestampSec: 0 })).not.toContain('777')
})

test('large and negative values are plain decimal integers', () => {
  const snapshot = freshProcess()
  snapshot.process[ProcessStat.totalConnections] = 2 ** 52
  snapshot.pools[0].servers[0].values[ServerStat.connections] = -1
  const document = renderStats(snapshot, { source: 'HOST', uptimeSec: 86_400, timestampSec: 1 })
  expect(document).toContain('"total_connections":4503599627370496, ')
  expect(document).toContain('"server_connections":-1, ')
  expect(JSON.parse(document).uptime).toBe(86_400)
})
