import { existsSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { StatsServer } from '../../../../src/main/ports/stats-server.ts'
import { PoolStat, ProcessStat } from '../../../../src/shared/stat-fields.ts'
import { StatsReader } from '../../../../src/stats/reader.ts'
import { listen } from '../../../support/fakes/fake-server.ts'
import { configOf, generationOf, layoutOf, poolOf } from '../../../support/generation.ts'
import { scratchFolder } from '../../../support/processes/child.ts'
import { freePort } from '../../../support/processes/ports.ts'
import { recordingLog } from '../../../support/recording-log.ts'
import { Wire } from '../../../support/wire/wire.ts'

const generation = generationOf(configOf(poolOf('p')), 1)
const layout = layoutOf(generation, 1)
const recorded = recordingLog()
let reader: StatsReader
let server: StatsServer | null = null
let other: Server | null = null

beforeEach(() => {
  reader = new StatsReader()
  reader.addGeneration(generation, 1)
})

afterEach(() => {
  server?.close()
  other?.close()
  server = null
  other = null
})

async function open(address: string, port: number): Promise<StatsServer> {
  server = await StatsServer.open({ address, port, snapshot: () => reader.snapshot(), log: recorded.log })
  return server
}

test('whoever connects gets one document and the end', async () => {
  const port = await freePort()
  await open('127.0.0.1', port)
  const text = (await (await Wire.open({ port })).untilClosed()).toString()
  expect(text.endsWith('}}}\n')).toBe(true)
  expect(JSON.parse(text)).toMatchObject({ service: 'nutcracker', source: hostname(), version: '0.5.0', uptime: 0 })
  expect(Math.abs(JSON.parse(text).timestamp - Date.now() / 1_000)).toBeLessThan(5)
})

test('values are those of the moment of reading', async () => {
  const port = await freePort()
  await open('127.0.0.1', port)
  const row = layout.row(generation.shared, 1)
  for (const count of [1, 2, 3]) {
    row[ProcessStat.totalConnections] = count
    row[layout.poolStat(0) + PoolStat.clientEof] = count * 10
    const document = JSON.parse((await (await Wire.open({ port })).untilClosed()).toString())
    expect([document.total_connections, document.p.client_eof]).toEqual([count, count * 10])
  }
})

test('a request that nobody reads does not cost the document', async () => {
  const port = await freePort()
  await open('127.0.0.1', port)
  const wire = await Wire.open({ port })
  wire.send(Buffer.from(`GET / HTTP/1.1\r\nHost: x\r\nX-Filler: ${'x'.repeat(100_000)}\r\n\r\n`))
  expect(() => JSON.parse(wire.received.toString())).toThrow()
  expect(JSON.parse((await wire.untilClosed()).toString()).service).toBe('nutcracker')
})

test('it answers on a unix socket, whose file goes with it', async () => {
  const path = join(scratchFolder(), 'stats.sock')
  const opened = await open(path, 1)
  expect(JSON.parse((await (await Wire.open({ path })).untilClosed()).toString()).service).toBe('nutcracker')
  opened.close()
  expect(existsSync(path)).toBe(false)
})

test("a port of somebody else's gives nutcracker's line", async () => {
  other = createServer()
  const port = await listen(other)
  await expect(open('127.0.0.1', port)).rejects.toThrow(
    new RegExp(`^bind on m \\d+ to stats server addr '127.0.0.1:${port}' failed: Address already in use$`),
  )
})

test("a path that cannot be bound gives nutcracker's line", async () => {
  await expect(open('/no/such/folder/stats.sock', 1)).rejects.toThrow(
    "bind on m -1 to stats server addr '/no/such/folder/stats.sock' failed: No such file or directory",
  )
})

test("a host that does not resolve gives nutcracker's line", async () => {
  await expect(open('no-such-host.invalid', 22222)).rejects.toThrow(
    /^address resolution of node 'no-such-host.invalid' service '22222' failed: (Name or service not known|Temporary failure in name resolution)$/,
  )
})

test('a successor shares the port while its predecessor still has it', async () => {
  const port = await freePort()
  const first = await open('127.0.0.1', port)
  await open('127.0.0.1', port)
  first.close()
  expect((await (await Wire.open({ port })).untilClosed()).length).toBeGreaterThan(100)
})

test('readers that do not read are bounded in number', async () => {
  const port = await freePort()
  await open('127.0.0.1', port)
  const sockets = await Promise.all(Array.from({ length: 80 }, () => Wire.open({ port })))
  const ends = await Promise.all(sockets.map(async wire => (await wire.untilClosed()).length))
  expect(ends.filter(length => length > 0).length).toBeGreaterThanOrEqual(64)
})
