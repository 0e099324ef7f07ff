import { createServer, type Server, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { holdIdle, type LoadJob, runLoad } from '../../../bench/macro/load.ts'
import { keyText, valueText, type Workload } from '../../../bench/macro/workload.ts'

const WORKLOAD: Workload = {
  protocol: 'memcached',
  operation: 'get',
  keysPerRequest: 1,
  valueBytes: 32,
  pipeline: 3,
  keyspace: 50,
}

type Answer = (socket: Socket, key: string, requestNumber: number) => void

let server: Server | null = null
let sockets: Socket[] = []

/** A memcached that knows `get` alone, and answers each request as the test wants. */
async function listen(answer: Answer): Promise<number> {
  let requests = 0
  server = createServer({ noDelay: true }, socket => {
    sockets.push(socket)
    let text = ''
    socket.on('error', () => {})
    socket.on('data', chunk => {
      text += chunk.toString('latin1')
      for (let end = text.indexOf('\r\n'); end >= 0; end = text.indexOf('\r\n')) {
        const key = text.slice('get '.length, end)
        text = text.slice(end + 2)
        answer(socket, key, requests++)
      }
    })
  })
  await new Promise<void>(resolve => server!.listen(0, '127.0.0.1', resolve))
  return (server.address() as { port: number }).port
}

function rightReply(key: string): string {
  const index = Number(key.slice('key:'.length))
  return `VALUE ${keyText(index)} 0 32\r\n${valueText(index, 32)}\r\nEND\r\n`
}

function job(port: number, change: Partial<LoadJob> = {}): LoadJob {
  return {
    host: '127.0.0.1',
    port,
    workload: WORKLOAD,
    clients: 4,
    seconds: 0.1,
    warmupSeconds: 0.02,
    ratePerSecond: 0,
    seed: 7,
    contenderPids: [process.pid],
    serverPids: [],
    ...change,
  }
}

afterEach(async () => {
  for (const socket of sockets) socket.destroy()
  sockets = []
  await new Promise(resolve => (server === null ? resolve(null) : server.close(resolve)))
  server = null
})

describe('the load driver', () => {
  it('counts every request that the server answered, and no other', async () => {
    let answered = 0
    const port = await listen((socket, key) => {
      answered++
      socket.write(rightReply(key))
    })
    const result = await runLoad(job(port))
    expect(result.problem).toBe('')
    expect(result.requestsTotal).toBe(answered)
    expect(result.requests).toBeGreaterThan(0)
    expect(result.requests).toBeLessThanOrEqual(result.requestsTotal)
    expect(result.requests % WORKLOAD.pipeline).toBe(0)
    expect(result.seconds).toBeGreaterThanOrEqual(0.1)
    expect(result.p50Ms).toBeLessThanOrEqual(result.p99Ms)
    expect(result.p99Ms).toBeLessThanOrEqual(result.p999Ms)
  })

  it('takes replies that arrive in pieces', async () => {
    const port = await listen((socket, key) => {
      const reply = rightReply(key)
      socket.write(reply.slice(0, 11))
      setImmediate(() => socket.write(reply.slice(11)))
    })
    const result = await runLoad(job(port, { workload: { ...WORKLOAD, pipeline: 1 } }))
    expect(result.problem).toBe('')
    expect(result.requests).toBeGreaterThan(0)
  })

  it('reports a reply that belongs to another key', async () => {
    const port = await listen((socket, key, number) => {
      const wrong = keyText((Number(key.slice('key:'.length)) + 1) % WORKLOAD.keyspace)
      socket.write(rightReply(number === 40 ? wrong : key))
    })
    const result = await runLoad(job(port))
    expect(result.problem).toMatch(/^Wrong reply: .* in place of /)
  })

  it('reports a single wrong byte at the end of a reply', async () => {
    const port = await listen((socket, key, number) => {
      socket.write(number === 30 ? `${rightReply(key).slice(0, -1)}\r` : rightReply(key))
    })
    expect((await runLoad(job(port))).problem).toMatch(/^Wrong reply/)
  })

  it('reports bytes that nobody asked for', async () => {
    const port = await listen((socket, key, number) => {
      socket.write(rightReply(key) + (number === 0 ? 'END\r\n' : ''))
    })
    const result = await runLoad(job(port, { clients: 1, workload: { ...WORKLOAD, pipeline: 1 } }))
    expect(result.problem).toMatch(/^(Bytes without a request|Wrong reply)/)
  })

  it('reports a connection that the server closes', async () => {
    const port = await listen((socket, key, number) => {
      if (number === 20) socket.end()
      else socket.write(rightReply(key))
    })
    expect((await runLoad(job(port))).problem).toBe('Connection closed by the other side')
  })

  it('reports that nobody listens', async () => {
    const port = await listen(() => {})
    await new Promise(resolve => server!.close(resolve))
    server = null
    expect((await runLoad(job(port))).problem).toMatch(/^Connection failed: .*ECONNREFUSED/)
  })

  it('keeps to a fixed rate and sends on while replies are due', async () => {
    const waiting: (() => void)[] = []
    let seen = 0
    const port = await listen((socket, key) => {
      seen++
      waiting.push(() => socket.write(rightReply(key)))
      // Nothing is answered before 60 requests wait: a closed loop with 4 clients would stand still.
      if (seen >= 60) for (const reply of waiting.splice(0)) reply()
    })
    const workload = { ...WORKLOAD, pipeline: 1 }
    const result = await runLoad(job(port, { workload, ratePerSecond: 1000, seconds: 0.3, warmupSeconds: 0.1 }))
    expect(result.problem).toBe('')
    expect(result.sentShare).toBeGreaterThan(0.8)
    expect(result.sentShare).toBeLessThan(1.2)
    expect(result.requestsTotal).toBe(seen)
    expect(seen).toBeLessThan(600)
  })

  it('attributes the CPU of the processes it was told to watch', async () => {
    const port = await listen((socket, key) => socket.write(rightReply(key)))
    const result = await runLoad(job(port, { seconds: 0.3 }))
    expect(result.problem).toBe('')
    // Server and driver are this very process here.
    expect(result.contenderCpuUs).toBeGreaterThan(0)
    expect(result.driverCpuUs).toBeGreaterThan(0)
    expect(result.serverCpuUs).toBe(0)
  })

  it('holds idle connections after one reply each', async () => {
    let requests = 0
    const port = await listen((socket, key) => {
      requests++
      socket.write(rightReply(key))
    })
    const end = Promise.withResolvers<void>()
    let open = 0
    const held = holdIdle(
      job(port, { clients: 120, workload: { ...WORKLOAD, pipeline: 1 } }),
      () => {
        open = sockets.filter(socket => !socket.destroyed).length
        end.resolve()
      },
      end.promise,
    )
    expect(await held).toBe('')
    expect(open).toBe(120)
    expect(requests).toBe(120)
  })
})
