/** One server of a case: its connections, what it answers on them and when, and how it fails. */

import { RequestReader } from '../support/fakes/request-reader.ts'
import type { Random } from '../support/random.ts'
import type { Peer } from './fake-transport.ts'
import type { VirtualLoop } from './virtual-loop.ts'

export interface ModelReply {
  readonly bytes: Buffer
  /** Beyond the server's usual time, ms. */
  readonly waitMs: number
  /** Not what a healthy server says. */
  readonly odd: boolean
  /** The witness keys that it gives an answer for. */
  readonly witnessKeys: readonly string[]
}

/** A connection's state and replies, by protocol. */
export interface Model {
  /** @returns where the request that begins at `at` ends, or -1 while it is not whole. @throws Fault at what no server should see. */
  requestEnd(bytes: Buffer, at: number): number
  /** @param request whole. */
  answer(request: Buffer): ModelReply
}

/** What a server does with a request instead of answering it well. */
export type Misdeed =
  | { readonly do: 'reply'; readonly bytes: Buffer; readonly after: 'go on' | 'close' | 'reset' }
  | { readonly do: 'close' }
  | { readonly do: 'reset' }
  | { readonly do: 'stall' }
  | { readonly do: 'late'; readonly ms: number }

export interface ServerOptions {
  readonly name: string
  readonly loop: VirtualLoop
  readonly random: Random
  readonly newModel: () => Model
  /** null: the request is answered well. */
  readonly misdeed: (() => Misdeed | null) | null
  /** Usual time to answer, ms. */
  readonly delayMs: number
}

export class ModelServer {
  readonly connections = new Set<ServerPeer>()
  readonly options: ServerOptions
  requests = 0
  /** Witness keys with a good answer in good time, on a connection that was in order until then. */
  readonly answered = new Set<string>()
  /** Something other than a good answer in good time was given. */
  misdeeds = 0
  private isClosing = false

  constructor(options: ServerOptions) {
    this.options = options
  }

  accept(peer: Peer): void {
    this.connections.add(new ServerPeer(this, peer))
    if (this.isClosing) peer.end()
  }

  /** Ends every connection, and those that still come. */
  closeAll(): void {
    this.isClosing = true
    for (const connection of this.connections) connection.peer.end()
  }
}

class ServerPeer {
  readonly peer: Peer
  private readonly server: ModelServer
  private readonly model: Model
  private readonly reader: RequestReader
  private damaged = false
  private answersMs = 0

  constructor(server: ModelServer, peer: Peer) {
    this.server = server
    this.peer = peer
    this.model = server.options.newModel()
    peer.name = server.options.name
    this.reader = new RequestReader(
      (bytes, at) => this.model.requestEnd(bytes, at),
      request => this.serve(request),
    )
    peer.onBytes = bytes => this.reader.take(bytes)
    peer.onClose = () => {
      this.reader.stop()
      server.connections.delete(this)
    }
    // A server that sees the end closes too.
    peer.onEnd = () => peer.end()
  }

  private serve(request: Buffer): void {
    const { server, model } = this
    const { options } = server
    server.requests++
    const misdeed = options.misdeed === null ? null : options.misdeed()
    const reply = model.answer(Buffer.from(request))
    if (misdeed !== null || reply.odd) this.damaged = true
    if (misdeed !== null || reply.odd) server.misdeeds++
    if (!this.damaged) for (const key of reply.witnessKeys) server.answered.add(key)
    if (misdeed === null || misdeed.do === 'late') {
      this.later(reply.waitMs + (misdeed === null ? 0 : misdeed.ms), () => this.send(reply.bytes))
      return
    }
    if (misdeed.do === 'reply') {
      if (misdeed.after !== 'go on') this.reader.stop()
      this.later(0, () => {
        this.send(misdeed.bytes)
        if (misdeed.after === 'close') this.peer.end()
        if (misdeed.after === 'reset') this.peer.reset()
      })
      return
    }
    this.reader.stop()
    this.later(0, () => {
      if (misdeed.do === 'close') this.peer.end()
      else if (misdeed.do === 'reset') this.peer.reset()
    })
  }

  /** In the order of the requests. */
  private later(ms: number, run: () => void): void {
    const { loop, random, delayMs } = this.server.options
    const usual = delayMs === 0 ? 0 : random.below(delayMs + 1)
    this.answersMs = Math.max(this.answersMs, loop.nowMs + usual + ms)
    loop.after(this.answersMs - loop.nowMs, run)
  }

  private send(bytes: Buffer): void {
    const { random } = this.server.options
    this.peer.send(bytes, random.chance(0.2) ? random.cuts(bytes.length, 4) : [], random.chance(0.1) ? 3 : 0)
  }
}
