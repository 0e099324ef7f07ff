/** What a server connection asks of the wire protocol that its pool speaks. Data plane. `redis/` and `memcache/` implement it. */

import type { ReplyParser } from '../../protocol/parser.ts'
import type { Message } from '../request/message.ts'
import type { ReplyProtocol } from '../request/reply-target.ts'

/** What becomes of a server's reply. */
export const Verdict = {
  /** It goes to the client. */
  pass: 0,
  /** The request is answered, with nothing (a quiet command's success). */
  drop: 1,
  /** It goes to the client, and the server's failure counts. */
  passAndCount: 2,
  /** The connection is closed as broken; its requests fail. */
  broken: 3,
  /** It answered several requests, each of which has its part by now. */
  handled: 4,
} as const

/** `Connection` is `ServerConnection`. */
export interface ServerProtocol<Connection> extends ReplyProtocol {
  /** @param resp3 the connection speaks RESP3. */
  newReplyParser(resp3: boolean): ReplyParser
  /** Looks at a reply that begins with `-`, or whose message has a tag, before it is delivered. @returns one of `Verdict`. */
  inspect(connection: Connection, message: Message, buf: Uint8Array, start: number, end: number): number
  /** Queues what a new server connection must say first (AUTH, SELECT). */
  greet(connection: Connection): void
  /** Queues a question that a server answers when it is ready for requests. */
  probe(connection: Connection): void
  /** Reply in place of one above `max_message_bytes`. */
  readonly replyTooLarge: Uint8Array
  /** Reply to a request whose server has `server_queue_bytes` waiting already. */
  readonly queueFull: Uint8Array
}
