/**
 * A server on 127.0.0.1 that does what a test tells it, request by request or by hand. Requests are
 * multi-bulk.
 */

import { createServer, type Server, type Socket } from 'node:net'
import { listen } from '../fakes/fake-server.ts'
import { waitUntil } from '../wait.ts'
import { decode, replyEnd } from '../wire/resp.ts'

/** One connection that the proxy opened. */
export class Peer {
  readonly socket: Socket
  /** Requests so far: their arguments, one char a byte. */
  readonly requests: string[][] = []
  /** Bytes that came. */
  receivedBytes = 0
  ended = false
  closed = false
  /** The pieces of the request that is not whole. */
  #pieces: Buffer[] = []
  #pieceBytes = 0
  #needBytes = 0

  constructor(socket: Socket, onRequest: (peer: Peer, request: string[]) => void) {
    this.socket = socket
    socket.setNoDelay(true)
    socket.on('data', chunk => this.#take(chunk, onRequest))
    socket.on('end', () => {
      this.ended = true
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      this.closed = true
    })
  }

  send(bytes: string | Uint8Array): void {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
  }

  #take(chunk: Buffer, onRequest: (peer: Peer, request: string[]) => void): void {
    this.receivedBytes += chunk.length
    this.#pieces.push(chunk)
    this.#pieceBytes += chunk.length
    // Large requests come in thousands of pieces: joined when they have doubled.
    if (this.#pieceBytes < this.#needBytes) return
    let rest = Buffer.concat(this.#pieces)
    for (let end = replyEnd(rest, 0, rest.length); end >= 0 && rest.length > 0; end = replyEnd(rest, 0, rest.length)) {
      const request = decode(rest.subarray(0, end)) as string[]
      rest = rest.subarray(end)
      this.requests.push(request)
      onRequest(this, request)
    }
    this.#pieces = [rest]
    this.#pieceBytes = rest.length
    this.#needBytes = rest.length > 1_000_000 ? rest.length * 2 : 0
    if (this.#needBytes > 0) this.#finishLargeWhenQuiet(onRequest)
  }

  /**
   * The last doubling of a large request never comes: look again when its bytes have stopped
   * coming.
   */
  #finishLargeWhenQuiet(onRequest: (peer: Peer, request: string[]) => void): void {
    const seen = this.receivedBytes
    setTimeout(() => {
      if (this.receivedBytes !== seen || this.#needBytes === 0) {
        if (this.#needBytes > 0 && !this.closed) this.#finishLargeWhenQuiet(onRequest)
        return
      }
      this.#needBytes = 0
      this.#take(Buffer.alloc(0), onRequest)
    }, 5).unref()
  }
}

/** @returns the reply's bytes, or null to send nothing. */
export type Answer = (request: readonly string[], peer: Peer) => string | Uint8Array | null

export class ScriptedServer {
  readonly port: number
  readonly peers: Peer[] = []
  answer: Answer
  readonly #server: Server
  /** Connections that somebody else serves. */
  readonly #strangers: Socket[] = []

  private constructor(server: Server, port: number, answer: Answer, serve: ((socket: Socket) => void) | undefined) {
    this.#server = server
    this.port = port
    this.answer = answer
    server.on('connection', socket => {
      if (serve !== undefined) {
        this.#strangers.push(socket)
        socket.on('error', () => {})
        serve(socket)
        return
      }
      this.peers.push(
        new Peer(socket, (peer, request) => {
          const reply = this.answer(request, peer)
          if (reply !== null) peer.send(reply)
        }),
      )
    })
  }

  /** @param serve serves the connections in place of `answer`. */
  static async start(answer: Answer = answerWithKey, serve?: (socket: Socket) => void): Promise<ScriptedServer> {
    const server = createServer({ allowHalfOpen: true })
    const port = await listen(server)
    return new ScriptedServer(server, port, answer, serve)
  }

  /** The newest connection. */
  get peer(): Peer {
    return this.peers.at(-1)!
  }

  get openPeers(): Peer[] {
    return this.peers.filter(peer => !peer.closed)
  }

  /** Requests over all connections. */
  get requests(): string[][] {
    return this.peers.flatMap(peer => peer.requests)
  }

  get requestCount(): number {
    return this.peers.reduce((sum, peer) => sum + peer.requests.length, 0)
  }

  async received(count: number): Promise<void> {
    await waitUntil(() => this.requestCount >= count, `${count} requests at the server`).catch(error => {
      throw new Error(`${(error as Error).message}, of which ${this.requestCount} came`)
    })
  }

  async stop(): Promise<void> {
    for (const peer of this.peers) peer.socket.destroy()
    for (const socket of this.#strangers) socket.destroy()
    await new Promise<void>(resolve => {
      this.#server.close(() => resolve())
    })
  }
}

export function bulk(value: string): string {
  return `$${value.length}\r\n${value}\r\n`
}

/** Says for each request what a server with a value `value-of-KEY` under each key would say. */
export function answerWithKey(request: readonly string[]): string {
  const [name, ...args] = request
  switch (name!.toUpperCase()) {
    case 'GET':
      return bulk(`value-of-${args[0]}`)
    case 'MGET':
      return `*${args.length}\r\n${args.map(key => bulk(`value-of-${key}`)).join('')}`
    case 'DEL':
    case 'UNLINK':
    case 'TOUCH':
    case 'EXISTS':
      return `:${args.length}\r\n`
    case 'STRLEN':
      return `:${args[0]!.length}\r\n`
    default:
      return '+OK\r\n'
  }
}

/** Says nothing; the test answers by hand. */
export function silent(): null {
  return null
}
