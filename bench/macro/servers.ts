/**
 * The servers behind all contenders: four redis-servers and four memcached on free loopback ports, without persistence.
 * Every server holds the whole data, so a read finds its key wherever a contender sends it and `direct` can be measured
 * on the first alone. Their own counters are the witness that the requests which a contender was credited with have
 * reached a server. Called by `run.ts` and `measure.ts`.
 */

import { connect } from 'node:net'
import { type Child, freePort, type Processes } from './processes.ts'
import { awaitReply } from './readiness.ts'
import { keyText, type Protocol, valueText, type Workload } from './workload.ts'

const SERVER_COUNT = 4
const HOST = '127.0.0.1'
const FILL_CHUNK_BYTES = 4 << 20
const FILL_TIMEOUT_MS = 60_000

/** What has been asked of all servers of a protocol since they started. */
export interface ServerCounters {
  /** Keys read and found. */
  readonly hits: number
  /** Keys written. */
  readonly writes: number
}

/** Four servers of one protocol. */
export class ServerGroup {
  readonly protocol: Protocol
  readonly ports: readonly number[]
  readonly pids: readonly number[]
  #filled = ''

  constructor(protocol: Protocol, ports: readonly number[], children: readonly Child[]) {
    this.protocol = protocol
    this.ports = ports
    this.pids = children.map(child => child.pid)
  }

  /** Empties the servers and writes every key of the workload to each, unless that is what they hold already. */
  async fill(workload: Workload): Promise<void> {
    const wanted = `${workload.keyspace} ${workload.valueBytes}`
    if (this.#filled === wanted) return
    this.#filled = ''
    for (const port of this.ports) {
      if (this.protocol === 'redis') await exchange(port, 'FLUSHALL\r\n', '+OK\r\n')
      else await exchange(port, 'flush_all\r\n', 'OK\r\n')
      await fillServer(port, this.protocol, workload)
    }
    this.#filled = wanted
  }

  async counters(): Promise<ServerCounters> {
    const texts = await Promise.all(
      this.ports.map(port =>
        this.protocol === 'redis'
          ? command(port, 'INFO all\r\n', isWholeBulk)
          : command(port, 'stats\r\n', isWholeStats),
      ),
    )
    const patterns =
      this.protocol === 'redis'
        ? { hits: /^keyspace_hits:(\d+)/gm, writes: /^cmdstat_(?:set|mset):calls=(\d+)/gm }
        : { hits: /^STAT get_hits (\d+)/gm, writes: /^STAT cmd_set (\d+)/gm }
    return { hits: sumMatches(texts, patterns.hits), writes: sumMatches(texts, patterns.writes) }
  }
}

/** Starts four servers of the protocol. @throws when the program is missing or does not answer. */
export async function startServers(processes: Processes, protocol: Protocol): Promise<ServerGroup> {
  const ports: number[] = []
  for (let i = 0; i < SERVER_COUNT; i++) ports.push(await freePort())
  const children = ports.map(port =>
    protocol === 'redis'
      ? processes.start('redis-server', 'redis-server', redisArguments(port))
      : processes.start('memcached', 'memcached', memcachedArguments(port)),
  )
  const [question, answer] = protocol === 'redis' ? ['PING\r\n', '+PONG\r\n'] : ['mn\r\n', 'MN\r\n']
  await Promise.all(ports.map((port, i) => awaitReply(children[i]!, port, Buffer.from(question), Buffer.from(answer))))
  return new ServerGroup(protocol, ports, children)
}

function redisArguments(port: number): string[] {
  return [
    '--port',
    String(port),
    '--bind',
    HOST,
    '--save',
    '',
    '--appendonly',
    'no',
    '--maxclients',
    '12000',
    '--tcp-backlog',
    '1024',
  ]
}

/** One thread, as a redis-server has. `-u root` is needed, and only allowed, for root. */
function memcachedArguments(port: number): string[] {
  const user = process.getuid?.() === 0 ? ['-u', 'root'] : []
  return ['-l', HOST, '-p', String(port), '-U', '0', '-t', '1', '-m', '512', '-I', '8m', '-c', '12000', ...user]
}

async function fillServer(port: number, protocol: Protocol, workload: Workload): Promise<void> {
  let request = ''
  let reply = ''
  for (let key = 0; key < workload.keyspace; key++) {
    const value = valueText(key, workload.valueBytes)
    if (protocol === 'redis') {
      request += `*3\r\n$3\r\nSET\r\n$16\r\n${keyText(key)}\r\n$${value.length}\r\n${value}\r\n`
      reply += '+OK\r\n'
    } else {
      request += `set ${keyText(key)} 0 0 ${value.length}\r\n${value}\r\n`
      reply += 'STORED\r\n'
    }
    if (request.length >= FILL_CHUNK_BYTES || key === workload.keyspace - 1) {
      await exchange(port, request, reply)
      request = ''
      reply = ''
    }
  }
}

/** Sends bytes that have exactly one right answer. @throws on any other. */
async function exchange(port: number, request: string, reply: string): Promise<void> {
  const text = await command(port, request, received => received.length >= reply.length)
  if (text !== reply) throw new Error(`Server on port ${port} answered ${JSON.stringify(text.slice(0, 100))}`)
}

/** Sends bytes over a connection of their own and collects the answer until it is whole. */
function command(port: number, request: string, isWhole: (received: string) => boolean): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: string[] = []
    const socket = connect({ host: HOST, port })
    socket.setTimeout(FILL_TIMEOUT_MS, () => socket.destroy(new Error(`Server on port ${port} does not answer`)))
    socket.once('error', reject)
    socket.once('end', () => socket.destroy(new Error(`Server on port ${port} closed the connection`)))
    socket.on('data', chunk => {
      chunks.push(chunk.toString('latin1'))
      const received = chunks.join('')
      if (!isWhole(received)) return
      resolve(received)
      socket.destroy()
    })
    socket.write(request, 'latin1')
  })
}

function isWholeBulk(received: string): boolean {
  const head = /^\$(\d+)\r\n/.exec(received)
  return head !== null && received.length >= head[0].length + Number(head[1]) + 2
}

function isWholeStats(received: string): boolean {
  return received.endsWith('END\r\n')
}

function sumMatches(texts: readonly string[], pattern: RegExp): number {
  let sum = 0
  for (const text of texts) for (const match of text.matchAll(pattern)) sum += Number(match[1])
  return sum
}
