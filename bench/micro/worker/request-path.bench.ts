/**
 * The whole way of a request through a worker, without the kernel: 50 clients' pipelines are read,
 * go to four servers, and the replies come back to the clients. What is left out is what Node and
 * the kernel do for a read or a write. Run by `run.ts`.
 *
 *     batch ─▶ onread of a client ─▶ … ─▶ writes to servers ═ replies ═▶ onread of a server ─▶ … ─▶ writes to clients
 */

import type { ConnectRequest, RawHandle, WriteRequest } from '../../../src/net/handle-types.ts'
import { bindings } from '../../../src/net/raw-handle.ts'
import { fillTable, shapeOf, tableInput } from '../../../src/routing/ring-table.ts'
import type { PoolConfig } from '../../../src/shared/config.ts'
import { PoolHead, SharedLayout, WorkerBlock } from '../../../src/shared/memory-layout.ts'
import { acceptHandedOver } from '../../../src/worker/client/acceptor.ts'
import { poolOf, serverAt } from '../../../test/support/generation.ts'
import { recordingLog } from '../../../test/support/recording-log.ts'
import { newContext } from '../../../test/support/worker/new-context.ts'
import { type Suite, sink } from '../suite.ts'

const CLIENTS = 50
const SERVERS = 4
const KEYS = 10_000
/** Different pipelines of a client. */
const ROUNDS = 4
const VALUE = 'v'.repeat(32)
const BULK = `$32\r\n${VALUE}\r\n`
/** Keys of a request with several. */
const MANY = 20

interface Load {
  readonly name: string
  readonly redis: boolean
  /** Of one length for all keys, so that the servers need not look at what they get. */
  readonly request: (key: string) => string
  readonly reply: string
  /**
   * Where a request has several keys: how many, and what a server says to the bytes that it got.
   */
  readonly keys?: number
  readonly pipelines?: readonly number[]
  readonly answer?: (written: string) => string
}

/** Of a memcached: every key is there. */
function valuesOf(written: string): string {
  return written.replaceAll(/get((?: +[^ \r]+)+) *\r\n/g, (_, keys: string) => {
    const values = keys
      .trim()
      .split(/ +/)
      .map(key => `VALUE ${key} 0 32\r\n${VALUE}\r\n`)
    return `${values.join('')}END\r\n`
  })
}

/** Of a Redis that has every key. */
function repliesToMget(written: string): string {
  const requests = [...written.matchAll(/\*(\d+)\r\n\$4\r\nmget\r\n/gi)]
  return requests.map(([, args]) => `*${Number(args) - 1}\r\n${BULK.repeat(Number(args) - 1)}`).join('')
}

function repliesToMset(written: string): string {
  return '+OK\r\n'.repeat([...written.matchAll(/\$4\r\nmset\r\n/gi)].length)
}

const bulkOf = (text: string): string => `$${text.length}\r\n${text}\r\n`

const LOADS: readonly Load[] = [
  {
    name: 'GET',
    redis: true,
    request: key => `*2\r\n$3\r\nGET\r\n$${key.length}\r\n${key}\r\n`,
    reply: `$32\r\n${VALUE}\r\n`,
  },
  {
    name: 'SET',
    redis: true,
    request: key => `*3\r\n$3\r\nSET\r\n$${key.length}\r\n${key}\r\n$32\r\n${VALUE}\r\n`,
    reply: '+OK\r\n',
  },
  {
    name: 'MGET of 20 keys',
    redis: true,
    request: keys => `*${MANY + 1}\r\n$4\r\nMGET\r\n${keys.split(' ').map(bulkOf).join('')}`,
    reply: `*${MANY}\r\n${BULK.repeat(MANY)}`,
    keys: MANY,
    pipelines: [1, 16],
    answer: repliesToMget,
  },
  {
    name: 'MSET of 20 keys',
    redis: true,
    request: keys =>
      `*${MANY * 2 + 1}\r\n$4\r\nMSET\r\n${keys
        .split(' ')
        .map(key => bulkOf(key) + BULK)
        .join('')}`,
    reply: '+OK\r\n',
    keys: MANY,
    pipelines: [1, 16],
    answer: repliesToMset,
  },
  {
    name: 'memcached get',
    redis: false,
    request: key => `get ${key}\r\n`,
    reply: `VALUE key:00000000 0 32\r\n${VALUE}\r\nEND\r\n`,
    keys: 1,
    answer: valuesOf,
  },
  {
    name: 'memcached get of 20 keys',
    redis: false,
    request: keys => `get ${keys}\r\n`,
    reply: `${`VALUE key:00000000 0 32\r\n${VALUE}\r\n`.repeat(MANY)}END\r\n`,
    keys: MANY,
    pipelines: [1, 16],
    answer: valuesOf,
  },
  { name: 'memcached set', redis: false, request: key => `set ${key} 0 0 32\r\n${VALUE}\r\n`, reply: 'STORED\r\n' },
]

/** What the worker asked of `setImmediate`: the ends of turns. */
const turnEnds: (() => void)[] = []
const { setImmediate } = globalThis
const keepTurnEnd = ((run: () => void) => void turnEnds.push(run)) as unknown as typeof setImmediate

/** Runs a step in which turns end when `endTurn` says so. */
function withoutLoop<T>(step: () => T): T {
  globalThis.setImmediate = keepTurnEnd
  const result = step()
  globalThis.setImmediate = setImmediate
  return result
}

function endTurn(): void {
  for (let run = turnEnds.pop(); run !== undefined; run = turnEnds.pop()) run()
}

const { streamState, readBytesOrError, lastWriteWasAsync } = bindings

/** One end of a connection, whose other end is the load's. */
class Handle implements RawHandle {
  onread: () => void = () => {}
  readonly fd = -1
  readonly writeQueueSize = 0
  /** Bytes that the worker wrote since `taken`. */
  written = 0
  /** Whether `text` keeps them too. */
  keeps = false
  private text = ''
  private target: Uint8Array = new Uint8Array(0)

  useUserBuffer(buf: Uint8Array): void {
    this.target = buf
  }

  receive(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += this.target.length) {
      const piece = bytes.subarray(at, at + this.target.length)
      this.target.set(piece)
      streamState[readBytesOrError] = piece.length
      this.onread()
    }
  }

  writeBuffer(_request: WriteRequest, buf: Uint8Array): number {
    this.written += buf.length
    if (this.keeps) this.text += Buffer.from(buf.buffer, buf.byteOffset, buf.length).toString('latin1')
    streamState[lastWriteWasAsync] = 0
    return 0
  }

  writev(request: WriteRequest, bufs: readonly Uint8Array[]): number {
    for (const buf of bufs) this.writeBuffer(request, buf)
    return 0
  }

  takeText(): string {
    const { text } = this
    this.text = ''
    return text
  }

  take(): number {
    const { written } = this
    this.written = 0
    return written
  }

  connect(request: ConnectRequest): number {
    connecting.push(() => request.oncomplete(0))
    return 0
  }

  readStart(): number {
    return 0
  }

  readStop(): number {
    return 0
  }

  shutdown(): number {
    return 0
  }

  close(): void {}
}

const connecting: (() => void)[] = []
const serverHandles: Handle[] = []

bindings.newTcp = () => {
  const handle = new Handle()
  serverHandles.push(handle)
  return handle
}

/** A worker with one pool, and its clients. */
function startWorker(redis: boolean): { clients: Handle[]; servers: Handle[] } {
  const servers = Array.from({ length: SERVERS }, (_, i) => serverAt(`s${i}`, 6379 + i))
  const config: PoolConfig = poolOf('bench', { redis, servers, timeoutMs: 400, preconnect: true })
  const shapes = [shapeOf(config)]
  const layout = new SharedLayout(1, shapes)
  const shared = layout.allocate()
  fillTable(tableInput(config, [0, 1, 2, 3]), layout.table(shared, 0, 0))
  layout.poolHead(shared, 0)[PoolHead.liveServers] = SERVERS
  const context = newContext(recordingLog().log)
  serverHandles.length = 0
  context.turn.begin()
  context.adopt({ id: 0, config: { pools: [config] }, shapes, shared }, [])
  for (const connect of connecting.splice(0)) connect()
  endTurn()
  const clients = Array.from({ length: CLIENTS }, () => {
    Atomics.add(context.block, WorkerBlock.clients, 1)
    const handle = new Handle()
    acceptHandedOver(context.pools[0]!, handle)
    return handle
  })
  endTurn()
  return { clients, servers: [...serverHandles] }
}

/** One round: every client sends a pipeline and gets its replies. */
function pathTask(load: Load, pipeline: number): () => void {
  const { clients, servers } = withoutLoop(() => startWorker(load.redis))
  let key = 0
  const nextKey = (): string => {
    key = (key * 7_919 + 13) % KEYS
    return `key:${String(key).padStart(8, '0')}`
  }
  const keysOf = (): string => Array.from({ length: load.keys ?? 1 }, nextKey).join(' ')
  const batches = Array.from({ length: CLIENTS * ROUNDS }, () =>
    Buffer.from(Array.from({ length: pipeline }, () => load.request(keysOf())).join(''), 'latin1'),
  )
  const requestBytes = batches[0]!.length / pipeline
  const replies = Buffer.from(load.reply.repeat(CLIENTS * pipeline), 'latin1')
  const replyBytes = load.reply.length
  const answered = Array.from({ length: CLIENTS * pipeline + 1 }, (_, n) => replies.subarray(0, n * replyBytes))
  const answers = new Map<string, Buffer>()
  const { answer } = load
  for (const server of servers) server.keeps = answer !== undefined
  const answerTo = (text: string): Buffer => {
    let bytes = answers.get(text)
    if (bytes === undefined) {
      bytes = Buffer.from(answer!(text), 'latin1')
      answers.set(text, bytes)
    }
    return bytes
  }
  /** @returns whether there was something to answer. */
  const serve = (server: Handle): boolean => {
    const written = server.take()
    if (written === 0) return false
    server.receive(answer === undefined ? answered[written / requestBytes]! : answerTo(server.takeText()))
    return true
  }
  let round = 0
  const step = (): void => {
    for (let i = 0; i < CLIENTS; i++) clients[i]!.receive(batches[round * CLIENTS + i]!)
    round = (round + 1) % ROUNDS
    endTurn()
    // Until its window has grown to the pipeline, a client's requests go out in several turns.
    for (let busy = true; busy; endTurn()) {
      busy = false
      for (const server of servers) if (serve(server)) busy = true
    }
    let bytes = 0
    for (const client of clients) bytes += client.take()
    if (bytes !== CLIENTS * pipeline * replyBytes) throw new Error(`${bytes} bytes of replies`)
    sink.value += bytes
  }
  return () => withoutLoop(step)
}

export const suite: Suite = {
  name: 'worker: the whole path',
  tasks: LOADS.flatMap(load =>
    (load.pipelines ?? [1, 16, 100]).map(pipeline => ({
      name: `${load.name}, pipeline ${pipeline}`,
      batch: CLIENTS * pipeline,
      fn: pathTask(load, pipeline),
    })),
  ),
}
