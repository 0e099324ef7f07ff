import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { StatsServer } from '../../../../src/main/ports/stats-server.ts'
import { PoolStat, ProcessStat } from '../../../../src/shared/stat-fields.ts'
import { StatsReader } from '../../../../src/stats/reader.ts'
import { listen } from '../../../support/fakes/open-server.ts'
import { configOf, generationOf, layoutOf, poolOf } from '../../../support/generation.ts'
import { scratchFolder } from '../../../support/processes/child.ts'
import { freePort } from '../../../support/processes/ports.ts'
import { recordingLog } from '../../../support/recording-log.ts'
import { Wire } from '../../../support/wire/wire.ts'

const generation = generationOf(configOf(poolOf('p')), 1)
const layout = layoutOf(generation, 1)
const recorded = recordingLog()
let reader: StatsReader
let other: Server | null = null

beforeEach(() => {
  reader = new StatsReader()
  reader.addGeneration(generation, 1)
})

afterEach(() => {
  for (const server of opened.splice(0)) server.close()
  other?.close()
  other = null
})

const opened: StatsServer[] = []

async function reserve(address: string, port: number, shared = false): Promise<StatsServer> {
  const server = await StatsServer.reserve({
    address,
    port,
    shared,
    snapshot: () => reader.snapshot(),
    log: recorded.log,
  })
  opened.push(server)
  return server
}

async function open(address: string, port: number, shared = false): Promise<StatsServer> {
  const server = await reserve(address, port, shared)
  await server.listen()
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
  wire.send(Buffer.from(`PUT / HTTP/1.1\r\nHost: x\r\nX-Filler: ${'x'.repeat(100_000)}\r\n\r\n`))
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

test('a successor shares the port while its predecessor still has it, if both say so', async () => {
  const port = await freePort()
  const first = await open('127.0.0.1', port, true)
  await open('127.0.0.1', port, true)
  first.close()
  expect((await (await Wire.open({ port })).untilClosed()).length).toBeGreaterThan(100)
  await expect(reserve('127.0.0.1', port, false)).rejects.toThrow('Address already in use')
})

test('a port that is not shared is refused to a second process before that has listened anywhere', async () => {
  const port = await freePort()
  const first = await open('127.0.0.1', port)
  await expect(reserve('127.0.0.1', port, true)).rejects.toThrow('Address already in use')
  await first.share(true)
  await open('127.0.0.1', port, true)
  await first.share(false)
  expect(recorded.messages().at(-1)).toMatch(
    /bind on m \d+ to stats server addr '127.0.0.1:\d+' failed: Address already in use/,
  )
})

test('a reserved port refuses connections until it listens', async () => {
  const port = await freePort()
  const server = await reserve('127.0.0.1', port)
  await expect(Wire.open({ port })).rejects.toThrow('ECONNREFUSED')
  await server.listen()
  expect((await (await Wire.open({ port })).untilClosed()).length).toBeGreaterThan(100)
})

describe('HTTP', () => {
  async function answerTo(...pieces: string[]): Promise<string> {
    const port = await freePort()
    await open('127.0.0.1', port)
    const wire = await Wire.open({ port })
    for (const piece of pieces) {
      wire.send(Buffer.from(piece))
      await new Promise(resolve => setImmediate(resolve))
    }
    return (await wire.untilClosed()).toString('latin1')
  }

  test('a GET is answered with the document in a response', async () => {
    for (const pieces of [['GET / HTTP/1.1\r\nHost: x\r\n\r\n'], ['G', 'ET /stats HTT', 'P/1.0\n', '\n']]) {
      const [head, body] = (await answerTo(...pieces)).split('\r\n\r\n')
      expect(head!.split('\r\n')).toEqual([
        'HTTP/1.1 200 OK',
        'Content-Type: application/json',
        `Content-Length: ${body!.length}`,
        'Cache-Control: no-store',
        'Connection: close',
      ])
      expect(JSON.parse(body!).service).toBe('nutcracker')
    }
  })

  test.each([
    'stats\r\n',
    'GET /\r\n',
    'GETX / HTTP/1.1\r\n',
    'POST / HTTP/1.1\r\n\r\n',
    'G',
    `GET /${'x'.repeat(9_000)}`,
  ])('anything else gets the document alone: %.20j', async piece => {
    expect((await answerTo(piece)).startsWith('{"service":"nutcracker", ')).toBe(true)
  })

  test('a reader that has ended its side is answered', async () => {
    const port = await freePort()
    await open('127.0.0.1', port)
    const wire = await Wire.open({ port })
    wire.end()
    expect(JSON.parse((await wire.untilClosed()).toString()).service).toBe('nutcracker')
  })

  test('curl reads it', async () => {
    const port = await freePort()
    await open('127.0.0.1', port)
    const { stdout } = await promisify(execFile)('curl', ['-sS', '--fail', `http://127.0.0.1:${port}/`], {
      timeout: 10_000,
    })
    expect(JSON.parse(stdout).service).toBe('nutcracker')
  })
})

test('readers that do not read are bounded in number', async () => {
  const port = await freePort()
  await open('127.0.0.1', port)
  const sockets = await Promise.all(Array.from({ length: 80 }, () => Wire.open({ port })))
  const ends = await Promise.all(sockets.map(async wire => (await wire.untilClosed()).length))
  expect(ends.filter(length => length > 0).length).toBeGreaterThanOrEqual(64)
})
