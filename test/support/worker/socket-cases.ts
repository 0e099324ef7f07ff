/**
 * What a `Socket` promises, over either transport: `socket.test.ts` and `socket-stream.test.ts` run
 * these.
 */

import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer, type Socket as Peer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openListener } from '../../../src/net/listener.ts'
import { bindings } from '../../../src/net/raw-handle.ts'
import { OWNED_CHUNK_BYTES } from '../../../src/worker/io/output.ts'
import { Socket, type SocketOwner } from '../../../src/worker/io/socket.ts'
import { Turn } from '../../../src/worker/io/turn.ts'
import { SLAB_BYTES } from '../../../src/worker/memory/slab.ts'
import { WorkerMemory } from '../../../src/worker/memory/worker-memory.ts'
import { freePort } from '../processes/ports.ts'
import { Random, runSeed } from '../random.ts'
import { waitUntil } from '../wait.ts'
import { WatchedMemory } from './watched-memory.ts'

export type Transport = 'raw' | 'stream'

const ECONNRESET = -104
const ECONNREFUSED = -111
const EPIPE = -32

class Owner implements SocketOwner {
  readonly events: string[] = []
  received = Buffer.alloc(0)
  /** Called after each event has been written down. */
  react: (event: string) => void = () => {}

  onData(buf: Uint8Array, length: number): void {
    this.received = Buffer.concat([this.received, buf.subarray(0, length)])
    this.tell('data')
  }

  onEnd(): void {
    this.tell('end')
  }

  onError(errno: number): void {
    this.tell(`error ${errno}`)
  }

  onDrain(): void {
    this.tell('drain')
  }

  tell(event: string): void {
    this.events.push(event)
    this.react(event)
  }
}

let server: Server
let peers: { socket: Peer; received: Buffer[]; bytes: number; ended: boolean; error: string }[]
let sockets: Socket[]
let memory: WorkerMemory
let watched: WatchedMemory

beforeEach(async () => {
  memory = new WorkerMemory()
  watched = new WatchedMemory(memory)
  peers = []
  sockets = []
  server = createServer({ allowHalfOpen: true }, socket => {
    const peer = { socket, received: [] as Buffer[], bytes: 0, ended: false, error: '' }
    peers.push(peer)
    socket.on('data', chunk => {
      peer.received.push(chunk)
      peer.bytes += chunk.length
    })
    socket.on('end', () => {
      peer.ended = true
    })
    socket.on('error', error => {
      peer.error = (error as NodeJS.ErrnoException).code ?? ''
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
})

afterEach(async () => {
  for (const socket of sockets) socket.close()
  for (const peer of peers) peer.socket.destroy()
  await new Promise(resolve => server.close(resolve))
  await waitUntil(() => watched.balance().slabs === 0, 'slabs to be given back').catch(() => {})
  expect(watched.balance()).toMatchObject({ slabs: 0, faults: [] })
})

function port(): number {
  return (server.address() as AddressInfo).port
}

interface Pair {
  readonly socket: Socket
  readonly owner: Owner
  readonly peer: (typeof peers)[number]
}

function begin(address: string, at: number): { socket: Socket; owner: Owner; done: Promise<number> } {
  const owner = new Owner()
  const socket = new Socket(new Turn(memory))
  sockets.push(socket)
  const done = new Promise<number>((resolve, reject) => {
    const status = socket.connect(address, at, owner, resolve)
    if (status !== 0) reject(new Error(`connect: ${status}`))
  })
  return { socket, owner, done }
}

async function connected(): Promise<Pair> {
  const { socket, owner, done } = begin('127.0.0.1', port())
  expect(await done).toBe(0)
  await waitUntil(() => peers.length > 0, 'the peer')
  return { socket, owner, peer: peers.at(-1)! }
}

function bytesOf(peer: Pair['peer']): Buffer {
  return Buffer.concat(peer.received)
}

/** Fills the kernel's buffers: the peer does not read, and some output waits. */
async function clog({ socket, peer }: Pair): Promise<number> {
  peer.socket.pause()
  const chunk = Buffer.alloc(SLAB_BYTES, 'x')
  let bytes = 0
  while (!socket.writing || socket.unwrittenBytes === 0) {
    socket.append(chunk, 0, chunk.length)
    bytes += chunk.length
    await nextTurn()
  }
  return bytes
}

export function socketCases(transport: Transport): void {
  test('the transport is the one that was asked for', () => {
    expect(bindings.newTcp().constructor.name).toBe(transport === 'raw' ? 'TCP' : 'StreamHandle')
  })

  describe('connecting', () => {
    test('bytes go both ways', async () => {
      const { socket, owner, peer } = await connected()
      socket.readStart()
      socket.append(Buffer.from('..hello..'), 2, 7)
      await waitUntil(() => peer.bytes === 5, 'the bytes')
      expect(bytesOf(peer).toString()).toBe('hello')
      peer.socket.write('world')
      await waitUntil(() => owner.received.length === 5, 'the answer')
      expect(owner.received.toString()).toBe('world')
      expect(socket.bytesRead).toBe(5)
      // Over streams every write is one that waits.
      expect(owner.events.filter(event => event !== 'drain')).toEqual(['data'])
    })

    test('a refusal is told once, and nothing else', async () => {
      const { socket, owner, done } = begin('127.0.0.1', await freePort())
      socket.append(Buffer.from('hello'), 0, 5)
      expect(await done).toBe(ECONNREFUSED)
      await nextTurn()
      expect(owner.events).toEqual([])
    })

    test('output gathers until the connection stands', async () => {
      const { socket, done } = begin('127.0.0.1', port())
      const large = Buffer.alloc(100_000, 'l')
      socket.append(Buffer.from('first'), 0, 5)
      socket.appendOwned(large, 0, large.length)
      socket.append(Buffer.from('last'), 0, 4)
      await nextTurn()
      await done
      await waitUntil(() => peers[0]?.bytes === 100_009, 'the bytes')
      expect(bytesOf(peers[0]!).equals(Buffer.concat([Buffer.from('first'), large, Buffer.from('last')]))).toBe(true)
    })

    test('closed before it stands: nothing is told', async () => {
      const { socket, owner } = begin('127.0.0.1', port())
      let told = false
      owner.react = () => {
        told = true
      }
      socket.append(Buffer.from('hello'), 0, 5)
      socket.close()
      for (let i = 0; i < 20; i++) await nextTurn()
      expect(told).toBe(false)
    })

    test('over IPv6, and over a unix socket', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'pistachio-socket-'))
      const others = [createServer(), createServer()]
      await new Promise<void>(resolve => others[0]!.listen(0, '::1', resolve))
      await new Promise<void>(resolve => others[1]!.listen(join(folder, 's'), resolve))
      const places = [
        ['::1', (others[0]!.address() as AddressInfo).port],
        [join(folder, 's'), 0],
      ] as const
      for (const [i, [address, at]] of places.entries()) {
        const received = new Promise<string>(resolve => {
          others[i]!.once('connection', peer => peer.once('data', chunk => resolve(String(chunk))))
        })
        const { socket, done } = begin(address, at)
        expect(await done).toBe(0)
        socket.append(Buffer.from('hello'), 0, 5)
        expect(await received).toBe('hello')
        socket.close()
      }
      for (const other of others) other.close()
      rmSync(folder, { recursive: true })
    })

    test('an accepted handle is taken over, with its peer’s address', async () => {
      const owner = new Owner()
      const socket = new Socket(new Turn(memory))
      sockets.push(socket)
      const listener = await openListener({
        address: '127.0.0.1',
        port: 0,
        backlog: 5,
        reuseport: false,
        onClient: handle => {
          socket.adopt(bindings.fromHandle(handle), owner)
          socket.readStart()
        },
        onError: code => expect.fail(code),
      })
      const { socket: client, done } = begin('127.0.0.1', listener.port)
      await done
      client.append(Buffer.from('hello'), 0, 5)
      await waitUntil(() => owner.received.toString() === 'hello', 'the bytes')
      expect(socket.peerName()).toMatch(/^127\.0\.0\.1:\d+$/)
      listener.close()
    })
  })

  describe('output', () => {
    test('of a server, large requests of a turn lie in one slab and share a write; of a client, they are counted as they come', () => {
      const request = Buffer.alloc(16_430)
      for (const [gathersLarge, queued] of [
        [true, 0],
        [false, 3 * SLAB_BYTES],
      ] as const) {
        const socket = new Socket(new Turn(memory), gathersLarge)
        for (let i = 0; i < 7; i++) socket.append(request, 0, request.length)
        expect(socket.queuedBytes).toBe(queued)
        expect(socket.pendingBytes).toBe(7 * request.length)
        socket.close()
      }
    })

    test('leaves in the order in which it came, by whatever call, whoever waits for whom', {
      timeout: 60_000,
    }, async () => {
      const random = new Random(runSeed())
      for (let round = 0; round < 12; round++) {
        const pair = await connected()
        const { socket, peer } = pair
        const expected: Buffer[] = []
        let sent = 0
        for (let step = 0; step < 150; step++) {
          const bytes = random.pick([
            0,
            1,
            30,
            33,
            1000,
            OWNED_CHUNK_BYTES,
            SLAB_BYTES - 1,
            SLAB_BYTES,
            SLAB_BYTES + 1,
            100_000,
          ])
          const data = Buffer.alloc(bytes, `${round}:${step} `)
          const padded = Buffer.concat([Buffer.from('a'), data, Buffer.from('z')])
          const how = random.below(4)
          if (how === 0) socket.append(padded, 1, 1 + bytes)
          else if (how === 1) socket.appendOwned(padded, 1, 1 + bytes)
          else if (how === 2) {
            socket.writeThrough(padded, 1, 1 + bytes)
            // The buffer is the caller's again at once.
            padded.fill('!')
          } else if (bytes <= SLAB_BYTES) {
            data.copy(socket.reserve(bytes), socket.outLength)
            socket.outLength += bytes
          } else continue
          expected.push(data)
          sent += bytes
          if (random.chance(0.05)) peer.socket.pause()
          if (random.chance(0.05)) peer.socket.resume()
          if (random.chance(0.3)) await nextTurn()
        }
        peer.socket.resume()
        await waitUntil(() => peer.bytes === sent, `${sent} bytes`)
        expect(bytesOf(peer).equals(Buffer.concat(expected))).toBe(true)
        await waitUntil(() => socket.pendingBytes === 0, 'nothing to be pending')
        socket.close()
      }
    })

    test('what the kernel does not take waits, and its end is told', async () => {
      const pair = await connected()
      const { socket, owner, peer } = pair
      let bytes = await clog(pair)
      expect(socket.pendingBytes).toBeGreaterThan(0)
      expect(socket.unwrittenBytes).toBeGreaterThan(0)
      expect(socket.unwrittenBytes).toBeLessThanOrEqual(socket.pendingBytes)
      owner.events.length = 0
      // Behind the write that waits: a queued chunk, and a part of a slab.
      const chunk = Buffer.alloc(200_000, 'y')
      socket.appendOwned(chunk, 0, chunk.length)
      socket.append(chunk, 0, 100)
      bytes += 200_100
      await nextTurn()
      expect(owner.events).toEqual([])
      peer.socket.resume()
      await waitUntil(() => peer.bytes === bytes, 'all bytes')
      await waitUntil(() => owner.events.includes('drain'), 'the drain')
      expect(socket.pendingBytes).toBe(0)
      expect(socket.unwrittenBytes).toBe(0)
    })

    test('the end is told also where only a part of a slab came behind the write that waited', async () => {
      const pair = await connected()
      const { socket, owner, peer } = pair
      await clog(pair)
      owner.events.length = 0
      socket.append(Buffer.from('tail'), 0, 4)
      await nextTurn()
      peer.socket.resume()
      await waitUntil(() => owner.events.includes('drain'), 'the drain')
      await waitUntil(() => bytesOf(peer).subarray(-4).toString() === 'tail', 'the last bytes')
      expect(socket.pendingBytes).toBe(0)
    })

    test('a chunk of 64 MB', async () => {
      const { socket, owner, peer } = await connected()
      const chunk = Buffer.alloc(64 << 20, 'chunk')
      socket.appendOwned(chunk, 0, chunk.length)
      await waitUntil(() => peer.bytes === chunk.length, 'all bytes')
      expect(bytesOf(peer).equals(chunk)).toBe(true)
      await waitUntil(() => owner.events.includes('drain'), 'the drain')
    })

    test('everything of a turn goes in one write', async () => {
      const { socket, peer } = await connected()
      let writes = 0
      const handle = socket.handle!
      const write = handle.writeBuffer.bind(handle)
      handle.writeBuffer = (request, buf) => {
        writes++
        return write(request, buf)
      }
      for (let i = 0; i < 500; i++) socket.append(Buffer.from('0123456789'), 0, 10)
      expect(writes).toBe(0)
      await waitUntil(() => peer.bytes === 5000, 'the bytes')
      expect(writes).toBe(1)
    })
  })

  describe('input', () => {
    test('nothing is read while reading is stopped, and nothing is lost', async () => {
      const { socket, owner, peer } = await connected()
      peer.socket.write('first')
      for (let i = 0; i < 20; i++) await nextTurn()
      expect(owner.events).toEqual([])
      socket.readStart()
      await waitUntil(() => owner.received.length === 5, 'the first bytes')
      socket.readStop()
      socket.readStop()
      const large = Buffer.alloc(5_000_000, 'z')
      peer.socket.write(large)
      for (let i = 0; i < 20; i++) await nextTurn()
      expect(owner.received.length).toBe(5)
      socket.readStart()
      await waitUntil(() => owner.received.length === 5_000_005, 'the rest')
      expect(owner.received.subarray(5).equals(large)).toBe(true)
    })

    test('reading can be stopped within a read', async () => {
      const { socket, owner, peer } = await connected()
      const stream = Buffer.alloc(3_000_000, 'stop and go ')
      owner.react = () => {
        socket.readStop()
        setImmediate(() => socket.readStart())
      }
      socket.readStart()
      peer.socket.write(stream)
      await waitUntil(() => owner.received.length >= stream.length, 'all bytes')
      expect(owner.received.equals(stream)).toBe(true)
    })

    test('the end of the input is told once, and output still goes out', async () => {
      const { socket, owner, peer } = await connected()
      socket.readStart()
      peer.socket.end('bye')
      await waitUntil(() => owner.events.includes('end'), 'the end')
      expect(owner.events).toEqual(['data', 'end'])
      socket.append(Buffer.from('bye, too'), 0, 8)
      socket.flush()
      socket.shutdown()
      await waitUntil(() => peer.ended, 'the end on the other side')
      expect(bytesOf(peer).toString()).toBe('bye, too')
    })

    test('after a shutdown input still comes', async () => {
      const { socket, owner, peer } = await connected()
      socket.readStart()
      socket.append(Buffer.from('x'), 0, 1)
      socket.flush()
      socket.shutdown()
      await waitUntil(() => peer.ended, 'the end on the other side')
      peer.socket.write('late')
      await waitUntil(() => owner.received.toString() === 'late', 'the input')
    })
  })

  describe('breaking', () => {
    test('a reset by the peer is an error', async () => {
      const { socket, owner, peer } = await connected()
      socket.readStart()
      peer.socket.resetAndDestroy()
      await waitUntil(() => owner.events.length > 0, 'the error')
      expect(owner.events[0]).toBe(`error ${ECONNRESET}`)
    })

    test('a write to a peer that is gone is an error, told in a turn of its own', async () => {
      const { socket, owner, peer } = await connected()
      peer.socket.resetAndDestroy()
      await waitUntil(() => peer.socket.destroyed, 'the reset')
      for (let i = 0; i < 50 && owner.events.length === 0; i++) {
        socket.append(Buffer.from('hello'), 0, 5)
        socket.flush()
        expect(owner.events.length).toBe(0)
        await nextTurn()
      }
      await waitUntil(() => owner.events.length > 0, 'the error')
      expect([`error ${ECONNRESET}`, `error ${EPIPE}`]).toContain(owner.events[0])
    })

    test('a write that waits fails when the peer resets', async () => {
      const pair = await connected()
      await clog(pair)
      pair.owner.events.length = 0
      pair.peer.socket.resetAndDestroy()
      await waitUntil(() => pair.owner.events.length > 0, 'the error')
      expect(pair.owner.events[0]).toMatch(/^error -/)
    })

    test.each(['data', 'end', 'drain', 'error'])('closed within its %s event: no event follows', async kind => {
      const pair = await connected()
      const { socket, owner, peer } = pair
      if (kind === 'drain') await clog(pair)
      owner.events.length = 0
      owner.react = event => {
        if (event.startsWith(kind)) socket.close()
      }
      socket.readStart()
      if (kind === 'data') peer.socket.write(Buffer.alloc(3_000_000))
      else if (kind === 'end') peer.socket.end()
      else if (kind === 'error') peer.socket.resetAndDestroy()
      else peer.socket.resume()
      await waitUntil(() => socket.closed, 'the close')
      const count = owner.events.length
      for (let i = 0; i < 20; i++) await nextTurn()
      expect(owner.events.length).toBe(count)
      if (kind !== 'error')
        await waitUntil(() => peer.ended || peer.error !== '' || peer.socket.destroyed, 'the other side')
    })

    test('closed with output of every kind: all of it is given back, and calls do nothing any more', async () => {
      const pair = await connected()
      const { socket, owner } = pair
      await clog(pair)
      owner.events.length = 0
      const chunk = Buffer.alloc(100_000)
      socket.append(chunk, 0, chunk.length)
      socket.appendOwned(chunk, 0, chunk.length)
      socket.append(chunk, 0, 10)
      socket.close()
      socket.close()
      socket.append(chunk, 0, chunk.length)
      socket.appendOwned(chunk, 0, chunk.length)
      socket.writeThrough(chunk, 0, chunk.length)
      socket.flush()
      socket.readStart()
      socket.readStop()
      socket.shutdown()
      socket.reset()
      socket.setNoDelay()
      socket.setKeepAlive(5)
      expect([socket.pendingBytes, socket.unwrittenBytes, socket.peerName()]).toEqual([0, 0, ''])
      for (let i = 0; i < 20; i++) await nextTurn()
      expect(owner.events).toEqual([])
    })

    test('reset tells the peer at once', async () => {
      const { socket, peer } = await connected()
      socket.append(Buffer.from('x'), 0, 1)
      socket.flush()
      await waitUntil(() => peer.bytes === 1, 'the byte')
      socket.reset()
      await waitUntil(() => peer.error !== '' || peer.ended, 'the other side')
      if (transport === 'raw') expect(peer.error).toBe('ECONNRESET')
    })
  })
}
