/**
 * One client's channels and patterns, and its connections to the servers that have them. Data
 * plane.
 *
 *     SUBSCRIBE a b     a's server: SUBSCRIBE a       b's server: SUBSCRIBE b       a channel's messages are published at its server
 *     PSUBSCRIBE a*     every server: PSUBSCRIBE a*   one confirmation to the client, when all have confirmed
 *
 * The connections speak the client's protocol version, so messages are forwarded unchanged. The
 * proxy writes the confirmations, because only the proxy knows how many subscriptions the client
 * has.
 *
 * When a server fails, the client keeps its other servers, and the proxy subscribes again when the
 * server is back. A client with no other server, or with a channel that moves to another server, is
 * disconnected: as with Redis, that tells the subscriber that it may have missed messages, and it
 * subscribes again.
 */

import { CR, DOLLAR, EIGHT, MINUS, SEVEN } from '../../../bytes/ascii.ts'
import { answerLocally, answerStateLoss, closeSplit } from '../../request/delivery.ts'
import { Failure, type FailureCode } from '../../request/failure.ts'
import type { Message } from '../../request/message.ts'
import { CloseReason, type ReplyTarget } from '../../request/reply-target.ts'
import { type Joiner, SplitRequest } from '../../request/split-request.ts'
import type { Server } from '../../server/server.ts'
import type { ConnectionUser, ServerConnection } from '../../server/server-connection.ts'
import { redisOf } from '../redis-pool.ts'
import { Internal, queueInternal, wireRequest } from '../servers/wire-request.ts'
import { type RedisSession, refuseConnection, type SessionSubscriptions, Topic } from '../session/session.ts'
import { AbsentServers } from './absent-servers.ts'
import type { PublishOrder } from './publish-order.ts'

const PREFIXES = ['', 'p', 's']

/** Channels on which every server publishes events of its own keys. */
const NOTIFICATIONS = /^__key(?:space|event)@/

/** `*3\r\n$7\r\nmessage\r\n` */
const LEAST_MESSAGE_BYTES = 17

class Subscriptions implements ConnectionUser, SessionSubscriptions {
  readonly listens = true
  readonly stateful = true
  readonly session: RedisSession
  /** By `Topic`: each name, one char a byte, with the servers that publish its messages. */
  readonly topics: readonly Map<string, readonly Server[]>[] = [new Map(), new Map(), new Map()]
  private readonly connections: Map<Server, ServerConnection> = new Map()
  /** Names subscribed to on each connection. */
  private readonly uses: Map<ServerConnection, number> = new Map()
  /**
   * True while confirmations of the last request may be outstanding. False at the latest when the
   * client has nothing in flight.
   */
  private confirming = false
  private ended = false
  /** Number that `PublishOrder` gave the subscription that is being confirmed; 0 = none. */
  private arrival = 0
  /** True while a further request to subscribe is postponed. */
  private awaitsNext = false
  /** Names whose confirmation is outstanding. */
  private unconfirmed = 0
  private readonly absent: AbsentServers = new AbsentServers(server => this.returned(server))
  private readonly joiner: Joiner = new ConfirmJoiner(this)

  constructor(session: RedisSession) {
    this.session = session
  }

  private get order(): PublishOrder {
    return redisOf(this.session.client.pool).publishOrder
  }

  /** Notes a request to subscribe. @param postponed true: it is parsed again later. */
  arrived(postponed: boolean): void {
    this.awaitsNext = postponed
    if (this.arrival === 0) this.arrival = this.order.begin()
  }

  /**
   * Notes that this many names are confirmed. When all are, publishes that wait for the
   * subscription continue.
   */
  confirmed(names: number): void {
    this.unconfirmed -= names
    if (this.arrival === 0 || this.unconfirmed > 0 || this.awaitsNext) return
    this.order.settle(this.arrival)
    this.arrival = 0
  }

  /** Names of all kinds. */
  get count(): number {
    return this.topics[Topic.channel].size + this.topics[Topic.pattern].size + this.topics[Topic.shard].size
  }

  /** The number in a confirmation: Redis counts shard channels apart from the others. */
  private countFor(topic: number): number {
    if (topic === Topic.shard) return this.topics[Topic.shard].size
    return this.topics[Topic.channel].size + this.topics[Topic.pattern].size
  }

  /**
   * Subscribes to a name; the client gets a confirmation or an error.
   * @param topic one of `Topic`.
   */
  subscribe(topic: number, name: string): void {
    const names = this.topics[topic]
    if (names.has(name)) {
      this.confirm(`${PREFIXES[topic]}subscribe`, topic, name, [])
      return
    }
    const servers = this.serversOf(topic, name)
    const present = servers.filter(server => !server.health.isEjected && !this.absent.has(server))
    if (servers.length === 0 || (present.length === 0 && !this.goesOn)) {
      answerStateLoss(this.session.client, Failure.refused)
      return
    }
    const connections: ServerConnection[] = []
    for (const server of present) {
      const connection = this.connectionTo(server)
      if (connection === null) {
        this.tidy()
        refuseConnection(this.session.client, server)
        return
      }
      connections.push(connection)
    }
    names.set(name, servers)
    for (const server of servers) if (!present.includes(server)) this.absent.add(server)
    for (const connection of connections) this.uses.set(connection, this.uses.get(connection)! + 1)
    this.confirm(`${PREFIXES[topic]}subscribe`, topic, name, connections)
  }

  /**
   * Unsubscribes and confirms, also where the client was not subscribed.
   * @param name null = the request has no name, and the client no subscription.
   */
  unsubscribe(topic: number, name: string | null): void {
    const names = this.topics[topic]
    const servers = name === null ? undefined : names.get(name)
    const verb = `${PREFIXES[topic]}unsubscribe`
    if (name === null || servers === undefined) {
      this.confirm(verb, topic, name, [])
      return
    }
    names.delete(name)
    const connections = servers.flatMap(server => this.connections.get(server) ?? [])
    for (const connection of connections) this.uses.set(connection, this.uses.get(connection)! - 1)
    this.confirm(verb, topic, name, connections)
  }

  /** @returns the servers that may publish the name's messages, ejected ones included. */
  private serversOf(topic: number, name: string): Server[] {
    const { pool } = this.session.client
    if (this.isEverywhere(topic, name)) return pool.servers
    const bytes = Buffer.from(name, 'latin1')
    const index = pool.router.route(bytes, 0, bytes.length)
    return index < 0 ? [] : [pool.servers[index]]
  }

  /** True when any server may publish messages of the name. */
  private isEverywhere(topic: number, name: string): boolean {
    return topic === Topic.pattern || this.session.client.pool.router.draws || NOTIFICATIONS.test(name)
  }

  private connectionTo(server: Server): ServerConnection | null {
    const known = this.connections.get(server)
    if (known !== undefined) return known
    const connection = server.exclusive.checkOut(this, this.session.client.resp3)
    if (connection === null) return null
    this.connections.set(server, connection)
    this.uses.set(connection, 0)
    return connection
  }

  /** Sends the request to the servers; the client gets its confirmation when all have answered. */
  private confirm(verb: string, topic: number, name: string | null, connections: readonly ServerConnection[]): void {
    const { client } = this.session
    const reply = confirmation(verb, name, this.countFor(topic), client.resp3)
    if (name === null || connections.length === 0) {
      answerLocally(client, reply)
      return
    }
    this.confirming = true
    this.unconfirmed++
    const split = new SplitRequest(client, this.joiner)
    split.parent.reply = reply
    split.parent.replyEnd = reply.length
    const request = wireRequest(verb.toUpperCase(), name)
    for (const connection of connections) {
      connection.enqueue(split.addFragment(), request.length)
      connection.socket.append(request, 0, request.length)
    }
    closeSplit(split)
  }

  /** Checks in the connections that no name needs and on which no reply is outstanding. */
  private tidy(): void {
    for (const connection of [...this.connections.values()])
      if (connection.head === null) this.connectionIdle(connection)
  }

  takesPush(_connection: ServerConnection, buf: Uint8Array, start: number, end: number): boolean {
    // A message begins with `*3`, `$7`, `message` (`$8`: pmessage, smessage); confirmations have
    // longer names. A shorter reply answers SELECT or HELLO, and the bytes behind it are not part
    // of it.
    const length = buf[start + 5]
    if (end - start < LEAST_MESSAGE_BYTES || buf[start + 4] !== DOLLAR || buf[start + 6] !== CR) return false
    if (buf[start] === MINUS || (length !== SEVEN && length !== EIGHT)) return false
    const { client, blocking } = this.session
    if (client.head === null) this.confirming = false
    client.output.writePush(buf, start, end, this.confirming && blocking === null)
    return true
  }

  connectionIdle(connection: ServerConnection): void {
    if (this.uses.get(connection) !== 0) return
    this.uses.delete(connection)
    this.connections.delete(connection.server)
    connection.server.exclusive.checkIn(connection)
    this.endIfUnused()
  }

  /** True while the client has names at a server that is up. */
  get goesOn(): boolean {
    for (const [connection, names] of this.uses) {
      if (names > 0 && !connection.isClosed) return true
    }
    return false
  }

  /**
   * Ends this object when the client has no subscriptions and no connections left. Closes the
   * client when all its subscriptions are at lost servers.
   */
  endIfUnused(): void {
    if (this.count > 0) {
      if (!this.goesOn) answerStateLoss(this.session.client, Failure.closed)
      return
    }
    this.absent.clear()
    if (this.connections.size === 0 && this.session.subscriptions === this) this.session.subscriptions = null
  }

  connectionLost(connection: ServerConnection): void {
    const { server } = connection
    const names = this.uses.get(connection)
    this.uses.delete(connection)
    this.connections.delete(server)
    if (this.ended) return
    if (names === 0) {
      this.endIfUnused()
      return
    }
    const { client } = this.session
    if (!this.goesOn) answerStateLoss(client, Failure.closed)
    else if (client.pool.servers.includes(server)) this.absent.add(server)
  }

  /** A lost server answers again: subscribes to its names there. */
  private returned(server: Server): void {
    for (const [topic, names] of this.topics.entries()) {
      for (const [name, servers] of names) if (servers.includes(server)) this.resume(server, topic, name)
    }
  }

  /** Subscribes to a name at one more server; the client was told before. */
  private resume(server: Server, topic: number, name: string): void {
    const connection = server.health.isEjected || this.absent.has(server) ? null : this.connectionTo(server)
    if (connection === null) {
      this.absent.add(server)
      return
    }
    this.uses.set(connection, this.uses.get(connection)! + 1)
    queueInternal(connection, Internal.vital, wireRequest(`${PREFIXES[topic]}subscribe`.toUpperCase(), name))
  }

  /**
   * Subscribes at servers that are new for a name, and closes a client whose channel has moved: it
   * may have missed messages.
   */
  ringChanged(): void {
    for (const [topic, names] of this.topics.entries()) {
      for (const [name, servers] of names) {
        const added = this.serversOf(topic, name).filter(server => !servers.includes(server))
        if (added.length === 0) continue
        if (!this.isEverywhere(topic, name)) {
          this.channelMoved()
          return
        }
        names.set(name, [...servers, ...added])
        for (const server of added) this.resume(server, topic, name)
      }
    }
  }

  private channelMoved(): void {
    const { client } = this.session
    client.pool.limitedLog.info(
      'subscriber moved',
      () => `subscriber of pool '${client.pool.config.name}' closed: one of its channels has moved to another server`,
    )
    client.closeAfterReplies(CloseReason.error)
  }

  /** Closes the connections: the servers then drop the subscriptions. */
  end(): void {
    this.ended = true
    if (this.arrival > 0) this.order.settle(this.arrival)
    this.absent.clear()
    for (const connection of [...this.connections.values()]) connection.close(Failure.closed)
  }
}

/** The client's subscriptions, made when it first needs them. */
export function subscriptionsOf(session: RedisSession): Subscriptions {
  session.subscriptions ??= new Subscriptions(session)
  return session.subscriptions as Subscriptions
}

/** `[verb, name, count]`, as a push in RESP3. */
function confirmation(verb: string, name: string | null, count: number, resp3: boolean): Buffer {
  const none = resp3 ? '_\r\n' : '$-1\r\n'
  const subject = name === null ? none : `$${name.length}\r\n${name}\r\n`
  return Buffer.from(`${resp3 ? '>' : '*'}3\r\n$${verb.length}\r\n${verb}\r\n${subject}:${count}\r\n`, 'latin1')
}

/** The client's confirmation is written before, and goes out when the servers have confirmed. */
class ConfirmJoiner implements Joiner {
  readonly partial = false
  readonly closesWhenStrict = false
  private readonly subscriptions: Subscriptions

  constructor(subscriptions: Subscriptions) {
    this.subscriptions = subscriptions
  }

  accept(split: SplitRequest, _fragment: Message, buf: Uint8Array, start: number): boolean {
    if (buf[start] !== MINUS) return true
    // The client may now be subscribed at some servers only: it is closed, so that it subscribes
    // again.
    split.parent.client?.closeAfterReplies(CloseReason.error)
    return false
  }

  write(split: SplitRequest, client: ReplyTarget): void {
    const { reply, replyEnd } = split.parent
    client.socket.append(reply!, 0, replyEnd)
    this.subscriptions.confirmed(1)
  }

  /** A server was lost meanwhile: the proxy subscribes there when it is back. */
  recover(split: SplitRequest, client: ReplyTarget, failure: FailureCode): boolean {
    if (this.subscriptions.goesOn) this.write(split, client)
    else client.loseServer(split.parent, failure)
    return true
  }
}
