/**
 * A server on 127.0.0.1 that does what a test tells it, request by request or by hand. Requests are
 * multi-bulk.
 */

import type { Socket } from 'node:net'
import { type OpenServer, openServer } from '../fakes/open-server.ts'
import { RequestReader } from '../fakes/request-reader.ts'
import { waitUntil } from '../wait.ts'
import { decode, replyEnd } from '../wire/resp.ts'

/** One connection that the proxy opened. */
export class Peer {
  readonly socket: Socket
  /** Requests so far: their arguments, one char a byte. */
  readonly requests: string[][] = []
  ended = false
  closed = false
  readonly #reader: RequestReader

  constructor(socket: Socket, onRequest: (peer: Peer, request: string[]) => void) {
    this.socket = socket
    this.#reader = new RequestReader(
      (bytes, at) => replyEnd(bytes, at, bytes.length),
      bytes => {
        const request = decode(bytes) as string[]
        this.requests.push(request)
        onRequest(this, request)
      },
    )
    socket.on('data', chunk => this.#reader.take(chunk))
    socket.on('end', () => {
      this.ended = true
    })
    socket.on('close', () => {
      this.closed = true
    })
  }

  send(bytes: string | Uint8Array): void {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
  }

  /** Bytes received so far. */
  get receivedBytes(): number {
    return this.#reader.receivedBytes
  }
}

/** @returns the reply's bytes, or null to send nothing. */
export type Answer = (request: readonly string[], peer: Peer) => string | Uint8Array | null

export class ScriptedServer {
  readonly peers: Peer[] = []
  answer: Answer
  #server: OpenServer | null = null

  private constructor(answer: Answer) {
    this.answer = answer
  }

  /** @param serve serves the connections in place of `answer`. */
  static async start(answer: Answer = answerWithKey, serve?: (socket: Socket) => void): Promise<ScriptedServer> {
    const scripted = new ScriptedServer(answer)
    scripted.#server = await openServer(serve ?? (socket => scripted.#accept(socket)), { allowHalfOpen: true })
    return scripted
  }

  get port(): number {
    return this.#server!.port
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

  stop(): Promise<void> {
    return this.#server!.stop()
  }

  #accept(socket: Socket): void {
    this.peers.push(
      new Peer(socket, (peer, request) => {
        const reply = this.answer(request, peer)
        if (reply !== null) peer.send(reply)
      }),
    )
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
