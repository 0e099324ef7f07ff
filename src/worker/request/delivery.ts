/**
 * Replies on their way to clients, in order. Data plane.
 *
 *     reply ─▶ its message heads the client's queue ─▶ straight to the client's output, then every finished message behind it
 *          └─▶ it is early ─▶ kept; goes out when every request before it is answered
 */

import type { WordBuffer } from '../../bytes/word-buffer.ts'
import { PoolStat } from '../../shared/stat-fields.ts'
import { OWNED_CHUNK_BYTES } from '../io/output.ts'
import { type FailureCode, isRefusal } from './failure.ts'
import { type Message, MessageKind } from './message.ts'
import { CloseReason, type ReplyPool, type ReplyTarget } from './reply-target.ts'
import { NO_FAILURE, type SplitRequest, type SplitStream } from './split-request.ts'

/**
 * Replies of this size and more are written from the read buffer when it is their turn: a copy
 * costs more than a write (GET of 16 KB: 5 % of CPU).
 */
const WRITE_THROUGH_BYTES = 8_192

const NOTHING = new Uint8Array(0)

/**
 * Brings a server's reply [start, end) of buf to the message that waits for it. The bytes are valid
 * during the call.
 * @param owned the buffer may be kept: no other object uses it.
 */
export function deliver(message: Message, buf: Uint8Array, start: number, end: number, owned: boolean): void {
  if (message.kind === MessageKind.fragment) {
    deliverFragment(message, buf, start, end)
    return
  }
  const client = message.client!
  if (end > start) client.noteReply(end - start)
  if (client.head === message) {
    if (owned) client.socket.appendOwned(buf, start, end)
    else if (end - start >= WRITE_THROUGH_BYTES) client.socket.writeThrough(buf, start, end)
    else client.socket.append(buf, start, end)
    client.popHead()
    message.release()
    emitReady(client)
    return
  }
  if (owned && end - start > OWNED_CHUNK_BYTES) message.keepOwnedReply(buf as WordBuffer, start, end)
  else message.keepReply(buf, start, end)
  message.done = true
  client.heldBytes += end - start
}

function deliverFragment(message: Message, buf: Uint8Array, start: number, end: number): void {
  const split = message.split!
  if (!split.joiner.accept(split, message, buf, start, end)) {
    split.failedFragments++
    if (split.errorReply === null) split.errorReply = Uint8Array.prototype.slice.call(buf, start, end)
  } else if (message.chunk !== null) {
    const { client } = split.parent
    split.heldBytes += end - start
    if (client !== null) client.heldBytes += end - start
  }
  fragmentDone(split)
}

/**
 * Answers a message with the proxy's error for a failed server connection or an expired request.
 */
export function deliverFailure(message: Message, pool: ReplyPool, failure: FailureCode): void {
  if (message.kind === MessageKind.fragment) {
    const split = message.split
    if (split === null) return
    split.fail(failure)
    fragmentDone(split)
    return
  }
  if (message.client === null) return
  if (message.silent) {
    finishWith(message, NOTHING)
    return
  }
  pool.row[pool.statBase + PoolStat.forwardError]++
  if (closesClient(pool, failure)) endWith(message, failure)
  else finishWith(message, pool.protocol.failureReplies[failure])
}

/** Whether a client's connection ends in place of an error reply. */
function closesClient(pool: ReplyPool, failure: FailureCode): boolean {
  return pool.config.serverLoss === 'close' && !isRefusal(failure)
}

/**
 * The server that is lost had more of the client than this request: a blocking command's place in
 * the queue, a transaction, watched keys. No reply can say so to a client library; its connection
 * ends, as it would end with the server.
 */
export function deliverStateLoss(message: Message, pool: ReplyPool, failure: FailureCode): void {
  if (message.kind === MessageKind.fragment || message.client === null) deliverFailure(message, pool, failure)
  else endWith(message, failure)
}

/** The replies before this request go out, and then the client's connection ends. */
function endWith(message: Message, failure: FailureCode): void {
  message.client!.loseServer(message, failure)
  finishWith(message, NOTHING)
}

/** Fails a fragment that was not sent, with an error of the proxy's. The bytes are constant. */
export function rejectFragment(message: Message, reply: Uint8Array): void {
  const split = message.split!
  split.failedFragments++
  if (split.errorReply === null) split.errorReply = reply
  fragmentDone(split)
}

/**
 * No more fragments of the request follow. Its reply goes out now if all of them have failed
 * already.
 */
export function closeSplit(split: SplitRequest): void {
  fragmentDone(split)
}

/**
 * Answers a request now, by the fragments that are answered. Replies to the others are dropped when
 * they come.
 */
export function completeSplit(split: SplitRequest): void {
  split.waiting = 1
  fragmentDone(split)
}

/** A fragment is answered, or has failed. */
export function fragmentDone(split: SplitRequest): void {
  split.waiting--
  if (split.stream !== null && !goesOn(split, split.stream)) return
  if (split.waiting > 0) return
  const parent = split.parent
  const client = parent.client
  if (client === null) {
    split.release()
    parent.release()
    return
  }
  parent.done = true
  if (client.head === parent) emitReady(client)
}

/**
 * @returns false when the reply was begun and cannot be completed: the client is closed, and the
 * split request with it.
 */
function goesOn(split: SplitRequest, stream: SplitStream): boolean {
  const { client } = split.parent
  if (client !== null && stream.begun && split.failed) {
    client.close(CloseReason.error)
    return false
  }
  stream.advance()
  return true
}

/** Gives a message that is in its client's queue a constant reply. */
export function finishWith(message: Message, reply: Uint8Array): void {
  message.reply = reply
  message.replyStart = 0
  message.replyEnd = reply.length
  message.done = true
  const client = message.client!
  client.heldBytes += reply.length
  if (client.head === message) emitReady(client)
}

/** Writes every finished message at the head of the client's queue. */
export function emitReady(client: ReplyTarget): void {
  let message = client.head
  while (message?.done) {
    if (message.kind === MessageKind.parent) {
      client.heldBytes -= message.split!.heldBytes
      emitParent(client, message)
    } else {
      const bytes = message.replyEnd - message.replyStart
      client.heldBytes -= bytes
      if (message.chunk?.single) client.socket.appendOwned(message.reply!, message.replyStart, message.replyEnd)
      else client.socket.append(message.reply!, message.replyStart, message.replyEnd)
    }
    client.popHead()
    leaveClient(message)
    message = client.head
  }
  if (message !== null && message.kind === MessageKind.parent) message.split!.stream?.advance()
  client.afterReplies()
}

function emitParent(client: ReplyTarget, parent: Message): void {
  if (parent.silent) return
  const split = parent.split!
  const pool = client.pool
  if (split.failed && !isAnswered(split)) {
    if (split.errorReply !== null) {
      client.socket.append(split.errorReply, 0, split.errorReply.length)
    } else {
      pool.row[pool.statBase + PoolStat.forwardError]++
      const failure = (split.failure === NO_FAILURE ? 0 : split.failure) as FailureCode
      if (split.joiner.recover?.(split, client, failure)) return
      if (closesClient(pool, failure)) {
        client.loseServer(parent, failure)
        return
      }
      const reply = pool.protocol.failureReplies[failure]
      client.socket.append(reply, 0, reply.length)
    }
    if (split.joiner.closesWhenStrict && pool.config.strict) client.closeAfterReplies(CloseReason.error)
    return
  }
  if (split.stream !== null) {
    split.stream.finish(client)
    return
  }
  if (split.failed) pool.row[pool.statBase + PoolStat.partialReplies]++
  split.joiner.write(split, client)
}

/** Whether a request with failed fragments has a reply other than its error. */
function isAnswered({ joiner, failedFragments, fragments }: SplitRequest): boolean {
  return joiner.partial && (joiner.unfailing === true || failedFragments < fragments.length)
}

/** A message leaves its client's queue: it is free unless a server connection still has it. */
export function leaveClient(message: Message): void {
  if (message.kind === MessageKind.parent) {
    const split = message.split!
    if (split.waiting > 0) {
      message.client = null
      return
    }
    split.release()
    message.release()
    return
  }
  if (message.queued) message.client = null
  else message.release()
}

/**
 * Answers the current request by the proxy itself, in its place among the client's replies. The
 * bytes are constant.
 */
export function answerLocally(client: ReplyTarget, reply: Uint8Array): void {
  if (client.head === null) {
    client.socket.append(reply, 0, reply.length)
    return
  }
  const message = client.messages.acquire(client, MessageKind.local)
  client.push(message)
  finishWith(message, reply)
}

/**
 * Answers the current request with the pool's error for a failure, which counts as a forwarding
 * error; with `server_loss: close` the client is closed.
 */
export function answerFailure(client: ReplyTarget, failure: FailureCode): void {
  const pool = client.pool
  if (closesClient(pool, failure)) {
    answerStateLoss(client, failure)
    return
  }
  pool.row[pool.statBase + PoolStat.forwardError]++
  answerLocally(client, pool.protocol.failureReplies[failure])
}

/**
 * Ends the client's connection behind the replies due: the current request has no server that could
 * keep its state.
 */
export function answerStateLoss(client: ReplyTarget, failure: FailureCode): void {
  const { row, statBase } = client.pool
  row[statBase + PoolStat.forwardError]++
  client.loseServer(client.last, failure)
}
