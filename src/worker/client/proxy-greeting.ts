/**
 * The beginning of a connection to a pool with `proxy_protocol: true`. It owns the socket until the
 * load balancer's header is complete, and then makes the client the owner, so the client's own path
 * has no code for the header. Data plane; `acceptor.ts` makes it.
 *
 *     accepted ─▶ header complete ─▶ the client owns the socket and gets the bytes behind the header
 *                  └ missing, malformed, incomplete, late ─▶ logged, counted in client_err, closed; no request was processed
 */

import { Parsed } from '../../protocol/parser.ts'
import { ProxyHeaderParser } from '../../protocol/proxy-header.ts'
import type { SocketOwner } from '../io/socket.ts'
import { CloseReason } from '../request/reply-target.ts'
import type { Client } from './client.ts'
import { Phase } from './client-phase.ts'

/**
 * Longest time from the connection to the complete header, ms. A load balancer sends the header
 * first.
 * @testOnly
 */
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
    // A health check connects and closes without a byte. It is not logged.
    if (this.client.socket.bytesRead === 0) this.close(CloseReason.eof)
    else this.refuse('the connection ended within the PROXY header')
  }

  onError(_errno: number): void {
    this.close(CloseReason.error)
  }

  /** Nothing is written before the header is complete. */
  onDrain(): void {}

  /** Called by the coarse timer. @returns false when there is no more to watch. */
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
