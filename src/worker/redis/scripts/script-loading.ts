/**
 * SCRIPT LOAD and FUNCTION LOAD in a pool of several servers: they succeed with the servers that
 * are there, and reach the others when those return. Data plane, for rare requests. What is owed to
 * which server: `script-registry.ts`.
 *
 *     SCRIPT LOAD ─▶ s1 :sha, s2 refused ─▶ client :sha, owed to s2
 *     s2 returns ─▶ each new connection to it: AUTH … SCRIPT LOAD … ahead of all requests ─▶ paid
 *     s2 answers -LOADING ─▶ again every RETRY_MS over a connection that is open
 */

import { CR, MINUS } from '../../../bytes/ascii.ts'
import { latin1 } from '../../../bytes/text.ts'
import { argText } from '../../../protocol/redis/arguments.ts'
import type { RespRequestParser } from '../../../protocol/redis/request-parser.ts'
import type { LoadedKind, LoadNotice } from '../../../shared/messages.ts'
import type { Client } from '../../client/client.ts'
import { Failure } from '../../request/failure.ts'
import type { Message } from '../../request/message.ts'
import { type Joiner, NO_FAILURE, type SplitRequest } from '../../request/split-request.ts'
import type { Pool } from '../../server/pool.ts'
import type { ServerConnection } from '../../server/server-connection.ts'
import { SameJoiner } from '../join/by-server.ts'
import { cannotServe, noteAnswer } from '../join/replies.ts'
import { Internal, queueInternal, wireRequest } from '../servers/wire-request.ts'
import { broadcast, Reach } from '../split/broadcast.ts'
import { identityOf, type Loaded, ScriptRegistry } from './script-registry.ts'

/** A server that has a connection and cannot load yet is asked again after this long, ms. */
const RETRY_MS = 500

/** One pool's loads in one worker. */
export class ScriptLoading {
  readonly registry: ScriptRegistry = new ScriptRegistry()
  private readonly pool: Pool
  /** Loads sent over a connection and not answered, in the order of their replies. */
  private readonly sent = new WeakMap<ServerConnection, Loaded[]>()
  private timer: NodeJS.Timeout | null = null

  constructor(pool: Pool) {
    this.pool = pool
  }

  /** SCRIPT LOAD text, FUNCTION LOAD [REPLACE] text. */
  load(client: Client, parser: RespRequestParser, buf: Uint8Array, kind: LoadedKind): void {
    const { argCount } = parser
    const isText = kind === 'script' ? argCount === 3 : argCount === 3 || argCount === 4
    const text = argText(parser, buf, argCount - 1)
    const joiner = isText ? new LoadJoiner(this, kind, text) : new SameJoiner()
    broadcast(client, parser, buf, joiner, Reach.all)
  }

  /**
   * Servers have a text.
   * @param loadedBy and
   * @param owedTo: `identityOf` of the servers that have it, and that have missed it.
   */
  loaded(kind: LoadedKind, name: string, text: string, loadedBy: readonly string[], owedTo: readonly string[]): void {
    const isNew = this.registry.remember(kind, name, text, owedTo)
    if (isNew) this.tell({ type: 'loaded', kind, name, text, owedTo })
    for (const server of loadedBy) this.pay(kind, name, server)
    if (owedTo.length > 0) this.sendWhereOpen()
  }

  /** FUNCTION DELETE, FUNCTION FLUSH, SCRIPT FLUSH. @param name null = all. */
  drop(kind: LoadedKind, name: string | null): void {
    this.forget(kind, name)
    this.tell({ type: 'dropped', kind, name })
  }

  /** Applies what another worker has learned. */
  heed(notice: LoadNotice): void {
    const { kind } = notice
    if (notice.type === 'dropped') {
      this.forget(kind, notice.name)
    } else if (notice.type === 'paid') {
      this.registry.paid(kind, notice.name, notice.server)
    } else {
      this.registry.remember(kind, notice.name, notice.text, notice.owedTo)
      if (notice.owedTo.length > 0) this.sendWhereOpen()
    }
  }

  /**
   * Sends a server what it has missed, ahead of what is queued from now on. Called for each new
   * connection.
   */
  sendOwed(connection: ServerConnection): void {
    const owed = this.registry.owedTo(identityOf(connection.server.config))
    if (owed.length === 0) return
    this.sent.set(connection, [...(this.sent.get(connection) ?? []), ...owed])
    for (const { kind, text } of owed) {
      // An older library may have survived the server's restart.
      const words = kind === 'script' ? ['SCRIPT', 'LOAD'] : ['FUNCTION', 'LOAD', 'REPLACE']
      queueInternal(connection, Internal.load, wireRequest(...words, text))
    }
  }

  /** A server has answered a load of `sendOwed`: [start, end) of buf. */
  answered(connection: ServerConnection, buf: Uint8Array, start: number, end: number): void {
    const { kind, name } = this.sent.get(connection)!.shift()!
    const { config } = connection.server
    if (buf[start] === MINUS && cannotServe(buf, start)) {
      this.retryLater()
      return
    }
    if (buf[start] === MINUS) {
      const text = latin1(buf, start + 1, end - 2)
      this.pool.limitedLog.warn(
        'load failed',
        () =>
          `${kind} ${name} cannot be loaded by server '${config.pname}' of pool '${this.pool.config.name}': ${text}`,
      )
    }
    this.pay(kind, name, identityOf(config))
  }

  private pay(kind: LoadedKind, name: string, server: string): void {
    if (this.registry.paid(kind, name, server)) this.tell({ type: 'paid', kind, name, server })
  }

  private forget(kind: LoadedKind, name: string | null): void {
    if (name === null) this.registry.clear(kind)
    else this.registry.forget(kind, name)
  }

  private tell(notice: LoadNotice): void {
    if (this.pool.context.workers > 1) this.pool.context.post({ type: 'tell', pool: this.pool.config.name, notice })
  }

  /**
   * A server that has missed a load may still have an open connection: only another connection to
   * it has failed.
   */
  private sendWhereOpen(): void {
    for (const server of this.pool.servers) {
      const connection = server.openConnection
      if (connection === null || (this.sent.get(connection)?.length ?? 0) > 0) continue
      this.pool.context.turn.begin()
      this.sendOwed(connection)
    }
  }

  private retryLater(): void {
    this.timer ??= setTimeout(() => {
      this.timer = null
      this.sendWhereOpen()
    }, RETRY_MS)
  }
}

/**
 * Loaded when one server has it and none refuses it; what the others have missed is owed to them.
 */
class LoadJoiner implements Joiner {
  readonly partial = true
  readonly closesWhenStrict = false
  private readonly loading: ScriptLoading
  private readonly kind: LoadedKind
  private readonly text: string
  private reply: Uint8Array | null = null
  private refusal: Uint8Array | null = null
  private readonly loadedBy = new Set<number>()

  constructor(loading: ScriptLoading, kind: LoadedKind, text: string) {
    this.loading = loading
    this.kind = kind
    this.text = text
  }

  accept(split: SplitRequest, fragment: Message, buf: Uint8Array, start: number, end: number): boolean {
    if (buf[start] === MINUS) {
      if (!cannotServe(buf, start)) this.refusal ??= Uint8Array.prototype.slice.call(buf, start, end)
      return false
    }
    this.reply ??= Uint8Array.prototype.slice.call(buf, start, end)
    this.loadedBy.add(split.serverOfFragment[fragment.fragmentIndex])
    noteAnswer(split)
    return true
  }

  write(split: SplitRequest, client: Client): void {
    const { servers, protocol } = client.pool
    const missedBy = split.serverOfFragment.filter(server => !this.loadedBy.has(server))
    let reply = this.refusal ?? this.reply!
    if (this.refusal === null && missedBy.length > 0 && !this.loading.registry.fits(this.text.length)) {
      // The text is too large to be kept for the servers that missed it.
      reply =
        split.errorReply ?? protocol.failureReplies[split.failure === NO_FAILURE ? Failure.refused : split.failure]
    } else if (this.refusal === null) {
      const names = (indexes: Iterable<number>): string[] =>
        [...indexes].map(index => identityOf(servers[index].config))
      // `$40\r\n<sha>\r\n`, `$5\r\nmylib\r\n`
      const name = latin1(reply, reply.indexOf(CR) + 2, reply.length - 2)
      this.loading.loaded(this.kind, name, this.text, names(this.loadedBy), names(missedBy))
    }
    client.socket.append(reply, 0, reply.length)
  }
}
