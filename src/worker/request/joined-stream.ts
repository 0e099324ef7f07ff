/**
 * The reply to a split request that is too large to be kept whole: its values go to the client in
 * the order of the keys while the servers still send them. Data plane; made by the first server
 * connection that reads a large part of it.
 *
 *     server 0 ─▶ a ……… c ………        the next value: straight to the client
 *     server 1 ─▶ b ……… d ………        values before their turn: kept, or left with the server (`server-connection.ts`)
 *
 * It begins when the parent heads its client's queue and every fragment has a list of values, or
 * the beginning of one. From then on a failure closes the client: some of the reply is out, and the
 * rest does not come.
 */

import type { ArenaChunk, ReplyArena } from '../memory/reply-arena.ts'
import type { Message } from './message.ts'
import type { ReplySource, ReplyTarget } from './reply-target.ts'
import type { SplitRequest, SplitStream, ValueStreaming } from './split-request.ts'
import { STREAM_BYTES } from './stream-limits.ts'

/**
 * Pieces of this size and more are written from the read buffer, without a copy, bytes. As for
 * single replies (`delivery.ts`).
 */
const WRITE_THROUGH_BYTES = 8_192

/** Bytes [start, end) of `chunk.buf`: a piece of a value that came before its turn. */
interface Piece {
  readonly chunk: ArenaChunk
  readonly start: number
  readonly end: number
  /** It is the last piece of its value. */
  readonly endsValue: boolean
}

/** A fragment whose reply is arriving. */
interface Part {
  readonly source: ReplySource
  readonly pieces: Piece[]
  /** Pieces before this index have gone out, and are released. */
  sent: number
  /** Size of the others. */
  keptBytes: number
}

export class JoinedStream implements SplitStream {
  begun = false
  private readonly split: SplitRequest
  private readonly streaming: ValueStreaming
  private readonly arena: ReplyArena
  /** By fragment; null = its reply is kept whole, or has not begun. */
  private readonly parts: (Part | null)[]
  /** Values of the keys before this one have gone out. */
  private nextKey = 0
  /** Bytes of values that have gone to the client. */
  private sentBytes = 0

  constructor(split: SplitRequest, streaming: ValueStreaming) {
    this.split = split
    this.streaming = streaming
    this.arena = split.parent.messages.memory.arena
    this.parts = split.fragments.map(() => null)
  }

  /**
   * The reply to a fragment begins to arrive.
   * @param source is resumed when the server's next bytes may be read.
   */
  open(fragment: Message, source: ReplySource): void {
    this.parts[fragment.fragmentIndex] = { source, pieces: [], sent: 0, keptBytes: 0 }
    this.advance()
  }

  /**
   * The client that waits for the reply. null: the client is gone, or the request has failed, and
   * what comes is dropped.
   */
  get receiver(): ReplyTarget | null {
    return this.split.failed ? null : this.split.parent.client
  }

  /** Whether the next value of the reply is one of this fragment's. */
  isTurnOf(fragment: Message): boolean {
    return this.begun && this.split.fragmentOfKey[this.nextKey] === fragment.fragmentIndex
  }

  /** Bytes of this fragment that are kept until their turn. */
  keptBytesOf(fragment: Message): number {
    return this.parts[fragment.fragmentIndex]!.keptBytes
  }

  /**
   * Writes or keeps bytes [start, end) of the fragment's current value. They are valid during the
   * call.
   */
  put(fragment: Message, buf: Uint8Array, start: number, end: number, endsValue: boolean): void {
    const client = this.receiver
    if (client === null) return
    if (!this.isTurnOf(fragment)) {
      this.keep(this.parts[fragment.fragmentIndex]!, client, buf, start, end, endsValue)
      return
    }
    this.sentBytes += end - start
    if (end - start >= WRITE_THROUGH_BYTES) client.socket.writeThrough(buf, start, end)
    else client.socket.append(buf, start, end)
    if (!endsValue) return
    this.nextKey++
    this.advance()
  }

  private keep(part: Part, client: ReplyTarget, buf: Uint8Array, start: number, end: number, endsValue: boolean): void {
    const bytes = end - start
    const chunk = this.arena.keep(buf, start, end)
    part.pieces.push({ chunk, start: chunk.used - bytes, end: chunk.used, endsValue })
    part.keptBytes += bytes
    this.split.heldBytes += bytes
    client.heldBytes += bytes
  }

  /** Writes the values whose turn has come, and resumes the server that sends the next one. */
  advance(): void {
    const client = this.receiver
    if (client === null) {
      for (const part of this.parts) part?.source.resume()
      return
    }
    if (!this.begun && !this.begin(client)) return
    const { fragmentOfKey, keyCount } = this.split
    const sentBefore = this.sentBytes
    while (this.nextKey < keyCount && this.sendValue(fragmentOfKey[this.nextKey], client)) this.nextKey++
    // Kept values go out all at once: the client's window must allow for them.
    if (this.sentBytes > sentBefore) client.noteReply(this.sentBytes)
    if (this.nextKey < keyCount) this.parts[fragmentOfKey[this.nextKey]]?.source.resume()
  }

  private begin(client: ReplyTarget): boolean {
    const { split, parts } = this
    if (client.head !== split.parent) return false
    for (const [i, fragment] of split.fragments.entries()) {
      if (parts[i] === null && fragment.reply === null) return false
    }
    this.begun = true
    client.beginStream(STREAM_BYTES + split.heldBytes)
    this.streaming.writeHead(split, client)
    return true
  }

  /**
   * Writes what has arrived of the fragment's next value.
   * @returns true when that was all of it.
   */
  private sendValue(fragmentIndex: number, client: ReplyTarget): boolean {
    const part = this.parts[fragmentIndex]
    if (part === null) {
      const fragment = this.split.fragments[fragmentIndex]
      const from = fragment.nextValueAt
      this.streaming.skipValue(fragment)
      this.sentBytes += fragment.nextValueAt - from
      client.socket.append(fragment.reply!, from, fragment.nextValueAt)
      return true
    }
    while (part.sent < part.pieces.length) {
      const piece = part.pieces[part.sent]
      part.sent++
      this.sendPiece(part, piece, client)
      if (piece.endsValue) return true
    }
    part.pieces.length = 0
    part.sent = 0
    return false
  }

  private sendPiece(part: Part, piece: Piece, client: ReplyTarget): void {
    const { chunk, start, end } = piece
    const bytes = end - start
    part.keptBytes -= bytes
    this.split.heldBytes -= bytes
    client.heldBytes -= bytes
    this.sentBytes += bytes
    if (chunk.single) client.socket.appendOwned(chunk.buf, start, end)
    else client.socket.append(chunk.buf, start, end)
    this.arena.release(chunk)
  }

  /** Writes the rest: all fragments are answered, none failed, and the parent heads the queue. */
  finish(client: ReplyTarget): void {
    const { split } = this
    // The caller has subtracted the kept bytes from the client's already; `advance` subtracts what
    // it writes.
    client.heldBytes += split.heldBytes
    this.advance()
    client.heldBytes -= split.heldBytes
    client.noteReply(this.sentBytes)
    client.endStream()
  }

  /** Releases what was kept. */
  release(): void {
    for (const part of this.parts) {
      if (part === null) continue
      for (let i = part.sent; i < part.pieces.length; i++) this.arena.release(part.pieces[i].chunk)
      part.pieces.length = 0
      part.sent = 0
    }
  }
}
