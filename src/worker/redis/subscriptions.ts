/**
 * One client's channels and patterns, and its connections to the servers that have them. Data plane.
 *
 *     SUBSCRIBE a b     a's server: SUBSCRIBE a       b's server: SUBSCRIBE b       a channel's messages are published at its server
 *     PSUBSCRIBE a*     every server: PSUBSCRIBE a*   one confirmation to the client, when all have confirmed
 *
 * The connections speak the client's protocol version, so messages pass as they come. Confirmations are written here, as only the proxy
 * knows how many subscriptions the client has. A server that fails, or a channel that moves to another, ends the client's connection: as
 * with Redis itself that is how a subscriber learns that it may have missed something, and it subscribes anew.
 */

import type { Client } from '../client/client.ts'
import { answerFailure, answerLocally } from '../request/delivery.ts'
import { Failure } from '../request/failure.ts'
import { MessageKind, takeMessage } from '../request/message.ts'
import { CloseReason } from '../request/reply-target.ts'
import { FragmentGroup, type Joiner } from '../request/split-request.ts'
import type { Server } from '../server/server.ts'
import type { ConnectionHolder, ServerConnection } from '../server/server-connection.ts'
import { wireRequest } from './greeting.ts'
import { type RedisSession, refuseConnection } from './session.ts'
import { Topic } from './state.ts'

const PREFIXES = ['', 'p', 's']

/** Channels on which every server speaks of its own keys. */
const NOTIFICATIONS = /^__key(?:space|event)@/

const NO_OWNERS = new Uint16Array(0)

const CR = 13
const DOLLAR = 36
const MINUS = 45
const SEVEN = 55
const EIGHT = 56

/** `*3\r\n$7\r\nmessage\r\n` */
const LEAST_MESSAGE_BYTES = 17

export class Subscriptions implements ConnectionHolder {
  readonly listens = true
  readonly stateful = true
  readonly session: RedisSession
  /** By kind: each name, one char a byte, with the connections that were asked for it. */
  readonly topics: readonly Map<string, readonly ServerConnection[]>[] = [new Map(), new Map(), new Map()]
  private readonly connections: Map<Server, ServerConnection> = new Map()
  /** Names on each connection. */
  private readonly uses: Map<ServerConnection, number> = new Map()
  /** The last request's confirmations are still to come, unless the client has nothing under way. */
  private confirming = false
  private ended = false

  constructor(session: RedisSession) {
    this.session = session
  }

  /** What it is subscribed to, of all kinds. */
  get count(): number {
    return this.topics[Topic.channel].size + this.topics[Topic.pattern].size + this.topics[Topic.shard].size
  }

  /** What Redis counts in a confirmation: shard channels apart from the others. */
  private countFor(topic: number): number {
    if (topic === Topic.shard) return this.topics[Topic.shard].size
    return this.topics[Topic.channel].size + this.topics[Topic.pattern].size
  }

  /** Subscribes to a name and confirms, or tells an error. @param topic one of `Topic`. */
  subscribe(topic: number, name: string): void {
    const names = this.topics[topic]
    if (names.has(name)) {
      this.confirm(`${PREFIXES[topic]}subscribe`, topic, name, [])
      return
    }
    const servers = this.serversOf(topic, name)
    if (servers.length === 0) {
      answerFailure(this.session.client, Failure.refused)
      return
    }
    const connections: ServerConnection[] = []
    for (const server of servers) {
      const connection = this.connectionTo(server)
      if (connection === null) {
        this.tidy()
        refuseConnection(this.session.client, server)
        return
      }
      connections.push(connection)
    }
    names.set(name, connections)
    for (const connection of connections) this.uses.set(connection, this.uses.get(connection)! + 1)
    this.confirm(`${PREFIXES[topic]}subscribe`, topic, name, connections)
  }

  /** Ends a subscription and confirms; also one that is none. @param name null = there was no name, and nothing to end. */
  unsubscribe(topic: number, name: string | null): void {
    const names = this.topics[topic]
    const connections = name === null ? undefined : names.get(name)
    const verb = `${PREFIXES[topic]}unsubscribe`
    if (name === null || connections === undefined) {
      this.confirm(verb, topic, name, [])
      return
    }
    names.delete(name)
    for (const connection of connections) this.uses.set(connection, this.uses.get(connection)! - 1)
    this.confirm(verb, topic, name, connections)
  }

  /** The servers that a name's messages may come from. */
  private serversOf(topic: number, name: string): Server[] {
    const { pool } = this.session.client
    const live = pool.servers.filter(server => !server.ejected)
    if (topic === Topic.pattern || pool.router.draws || NOTIFICATIONS.test(name)) return live
    const bytes = Buffer.from(name, 'latin1')
    const index = pool.router.route(bytes, 0, bytes.length)
    return index < 0 || pool.isDown(pool.servers[index]) ? [] : [pool.servers[index]]
  }

  private connectionTo(server: Server): ServerConnection | null {
    const known = this.connections.get(server)
    if (known !== undefined) return known
    const connection = server.held.take(this, this.session.client.resp3)
    if (connection === null) return null
    this.connections.set(server, connection)
    this.uses.set(connection, 0)
    return connection
  }

  /** Asks the servers; the client has its confirmation when all have answered. */
  private confirm(verb: string, topic: number, name: string | null, connections: readonly ServerConnection[]): void {
    const { client } = this.session
    const reply = confirmation(verb, name, this.countFor(topic), client.resp3)
    if (name === null || connections.length === 0) {
      answerLocally(client, reply)
      return
    }
    this.confirming = true
    const parent = takeMessage(client, MessageKind.parent)
    const group = new FragmentGroup(confirmJoiner, parent, NO_OWNERS, 0)
    parent.group = group
    parent.reply = reply
    parent.replyEnd = reply.length
    client.push(parent)
    group.waiting = connections.length
    const request = wireRequest(verb.toUpperCase(), name)
    for (const connection of connections) {
      const fragment = takeMessage(null, MessageKind.fragment)
      fragment.group = group
      fragment.fragmentIndex = group.fragments.length
      group.fragments.push(fragment)
      connection.enqueue(fragment, request.length)
      connection.socket.append(request, 0, request.length)
    }
  }

  /** Gives back the connections that no name needs and nothing is to come on. */
  private tidy(): void {
    for (const connection of [...this.connections.values()])
      if (connection.head === null) this.connectionIdle(connection)
  }

  takesPush(_connection: ServerConnection, buf: Uint8Array, start: number, end: number): boolean {
    // `*3`, `$7`, `message`; `$8` are pmessage and smessage; all that confirms has longer names. A shorter reply answers SELECT or HELLO:
    // behind it in the buffer lies anything.
    const length = buf[start + 5]
    if (end - start < LEAST_MESSAGE_BYTES || buf[start + 4] !== DOLLAR || buf[start + 6] !== CR) return false
    if (buf[start] === MINUS || (length !== SEVEN && length !== EIGHT)) return false
    const { client, blocking } = this.session
    if (client.head === null) this.confirming = false
    client.writePush(buf, start, end, this.confirming && blocking === null)
    return true
  }

  connectionIdle(connection: ServerConnection): void {
    if (this.uses.get(connection) !== 0) return
    this.uses.delete(connection)
    this.connections.delete(connection.server)
    connection.server.held.give(connection)
    this.endIfUnused()
  }

  /** Without subscriptions, and without connections to leave in order, there is nothing to keep. */
  endIfUnused(): void {
    if (this.connections.size === 0 && this.session.subscriptions === this) this.session.subscriptions = null
  }

  connectionLost(connection: ServerConnection): void {
    this.uses.delete(connection)
    this.connections.delete(connection.server)
    if (!this.ended) this.session.client.closeAfterReplies(CloseReason.error)
  }

  /** Ends the client's connection where messages of its channels may now come from a server that it does not listen to. */
  ringChanged(): void {
    for (const [topic, names] of this.topics.entries()) {
      for (const [name, connections] of names) {
        const missed = this.serversOf(topic, name).some(server => !connections.some(known => known.server === server))
        if (!missed) continue
        const { client } = this.session
        client.pool.limitedLog.info(
          'subscriber moved',
          () => `subscriber of pool '${client.pool.config.name}' closed: a channel of its has moved to another server`,
        )
        client.closeAfterReplies(CloseReason.error)
        return
      }
    }
  }

  /** The client is gone, or has said RESET. */
  leave(): void {
    this.ended = true
    for (const connection of [...this.connections.values()]) connection.close(Failure.closed)
  }
}

/** `[verb, name, count]`, as a push in RESP3. */
function confirmation(verb: string, name: string | null, count: number, resp3: boolean): Buffer {
  const none = resp3 ? '_\r\n' : '$-1\r\n'
  const subject = name === null ? none : `$${name.length}\r\n${name}\r\n`
  return Buffer.from(`${resp3 ? '>' : '*'}3\r\n$${verb.length}\r\n${verb}\r\n${subject}:${count}\r\n`, 'latin1')
}

/** The confirmation is written beforehand, and waits for the servers'. */
const confirmJoiner: Joiner = {
  partial: false,
  closesWhenStrict: false,
  accept(group, _fragment, buf, start) {
    if (buf[start] !== MINUS) return true
    // Subscribed at some servers, perhaps, and not at others: the client begins anew.
    group.parent.client?.closeAfterReplies(CloseReason.error)
    return false
  },
  write(group, client: Client) {
    const { reply, replyEnd } = group.parent
    client.socket.append(reply!, 0, replyEnd)
  },
}
