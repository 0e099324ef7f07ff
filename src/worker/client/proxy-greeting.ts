/**
 * The beginning of a connection to a pool with `proxy_protocol: true`: owns the socket until the balancer's header is complete, then leaves
 * it to the client, so that the client's own path knows nothing of it. Data plane; made by `acceptor.ts`.
 *
 *     accepted ─▶ header complete ─▶ the client owns the socket and gets the bytes behind the header
 *                  └ none, forged, cut short, late ─▶ logged, counted in client_err, closed; nothing was processed
 */

import { Parsed } from '../../protocol/parser.ts'
import { ProxyHeaderParser } from '../../protocol/proxy-header.ts'
import type { SocketOwner } from '../io/socket.ts'
import { CloseReason } from '../request/reply-target.ts'
import type { Client } from './client.ts'
import { Phase } from './client-phase.ts'

/** The header is the first thing that a balancer sends; it may take so long. @testOnly */
export const GREETING_MS = 5_000

export class ProxyGreeting implements SocketOwner {
  private readonly client: Client
  private readonly parser = new ProxyHeaderParser()
  private readonly deadlineMs: number
  private over = false

  constructor(client: Client) {
    this.client = client
    this.deadlineMs = client.socket.turn.nowMs + GREETING_MS
    client.poolClients.watches.greetings.add(this)
  }

  onData(buf: Uint8Array, length: number): void {
    const { client, parser } = this
    client.activeMs = client.socket.turn.nowMs
    const code = parser.parse(buf, 0, length)
    if (code === Parsed.incomplete) return
    if (code === Parsed.error) {
      this.refuse(parser.problem)
      return
    }
    this.over = true
    client.announced = parser.address
    client.socket.owner = client
    client.enter(Phase.reading)
    if (parser.end < length) client.onData(buf.subarray(parser.end, length), length - parser.end)
  }

  onEnd(): void {
    // Who only looks whether the port is open says nothing.
    if (this.client.socket.bytesRead === 0) this.close(CloseReason.eof)
    else this.refuse('the connection ended within the PROXY header')
  }

  onError(_errno: number): void {
    this.close(CloseReason.error)
  }

  /** Nothing is written before the header is complete. */
  onDrain(): void {}

  /** @returns false when there is no more to wait for. */
  checkTime(nowMs: number): boolean {
    if (this.over || this.client.closed) return false
    if (nowMs < this.deadlineMs) return true
    this.refuse(`no PROXY header within ${GREETING_MS} ms`)
    return false
  }

  private refuse(problem: string): void {
    this.client.poolClients.logRefused(this.client, problem)
    this.close(CloseReason.error)
  }

  private close(reason: number): void {
    this.over = true
    this.client.close(reason)
  }
}
